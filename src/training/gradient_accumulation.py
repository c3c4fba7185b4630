"""Gradient accumulation: the gradients since the last update, without those of skipped batches.

Legend: P numbers of all parameters.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class GradientAccumulator:
    """Sum the gradients of several batches; batches that the guard skips are left out on the device.

    Args:
        parameters: the parameters, which hold the gradients.
        sums: whether to sum. A single batch needs no sum, since its update can be skipped instead.
        device: the device of the parameters.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], sums: bool, device: torch.device) -> None:
        self.parameters = list(parameters)
        self.sums = sums
        self.clips = torch.zeros((), device=device)
        self._sum: Tensor | None = None  # (P,)

    def add(self, good: Tensor, clips: int) -> None:
        """Add the gradients of a batch of `clips` clips, if it is `good`, a bool ()."""
        self.clips += good * clips
        if not self.sums:
            return
        flat = torch.cat([_gradient(each).flatten() for each in self.parameters])
        flat = torch.where(good, flat, 0.0)  # zero times NaN would be NaN
        self._sum = flat if self._sum is None else self._sum + flat
        self._drop()

    def close(self) -> list[Tensor]:
        """Set the accumulated gradients in the parameters and return them."""
        if self.sums and self._sum is not None:
            parts = torch.split(self._sum, [each.numel() for each in self.parameters])
            for parameter, part in zip(self.parameters, parts, strict=True):
                parameter.grad = part.view_as(parameter)
        return [each.grad for each in self.parameters if each.grad is not None]

    def reset(self) -> None:
        """Remove all gradients."""
        self.clips.zero_()
        self._sum = None
        self._drop()

    def state(self, scale: float) -> dict[str, Tensor]:
        """Return the accumulated gradients, divided by the `scale` of a GradScaler."""
        return {"clips": self.clips.clone()} | ({} if self._sum is None else {"sum": self._sum / scale})

    def load_state(self, state: dict[str, Tensor], scale: float) -> None:
        """Load accumulated gradients times `scale`; a run without accumulation starts without any."""
        if self.sums and "sum" in state:
            self.clips.copy_(state["clips"])
            self._sum = state["sum"].to(self.clips.device) * scale

    def _drop(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
