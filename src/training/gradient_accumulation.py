"""The gradients since the last update, without those of refused batches.

Legend: P numbers of all parameters.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class GradientWindow:
    """Sum the gradients of several batches, leaving out on the device those that a guard refuses.

    Args:
        parameters: whose gradients.
        sums: whether to sum at all. A window of one batch need not be, since its update can be left out instead.
        device: where they are.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], sums: bool, device: torch.device) -> None:
        self.parameters = list(parameters)
        self.sums = sums
        self.clips = torch.zeros((), device=device)
        self._sum: Tensor | None = None  # (P,)

    def add(self, good: Tensor, clips: int) -> None:
        """Take the gradients of a batch of so many `clips` from the parameters, if it is `good`, a bool ()."""
        self.clips = self.clips + good * clips
        if not self.sums:
            return
        flat = torch.cat([_gradient(each).flatten() for each in self.parameters])
        flat = torch.where(good, flat, 0.0)  # zero times NaN would be NaN
        self._sum = flat if self._sum is None else self._sum + flat
        self._drop()

    def close(self) -> list[Tensor]:
        """Put the window's gradients into the parameters and return them."""
        if self.sums and self._sum is not None:
            parts = torch.split(self._sum, [each.numel() for each in self.parameters])
            for parameter, part in zip(self.parameters, parts, strict=True):
                parameter.grad = part.view_as(parameter)
        return [each.grad for each in self.parameters if each.grad is not None]

    def reset(self) -> None:
        """Begin an empty window."""
        self.clips = torch.zeros_like(self.clips)
        self._sum = None
        self._drop()

    def state(self, scale: float) -> dict[str, Tensor]:
        """Return what the window holds, its gradients without the `scale` that a GradScaler gave them."""
        return {"clips": self.clips} | ({} if self._sum is None else {"sum": self._sum / scale})

    def load_state(self, state: dict[str, Tensor], scale: float) -> None:
        """Load an unfinished window with this run's `scale`; a run without accumulation starts an empty one."""
        if self.sums and "sum" in state:
            self.clips = state["clips"].to(self.clips.device)
            self._sum = state["sum"].to(self.clips.device) * scale

    def _drop(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
