"""CUDA graphs: the forward and the backward pass of a training step are recorded once per shape, then replayed.

A step of these models has one to ten thousand small kernels. Launching them one by one takes the host longer than
computing them takes a large GPU; a graph is launched as a whole.

Legend: N clips, M bodies, B bodies computed.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..settings.data import HardwareConfig
from ..settings.model import ModelConfig
from ..utils.errors import UserError, is_out_of_memory

_MOST_GRAPHS = 24  # of different shapes; further shapes run without a graph
Key = tuple[object, ...]


def records_steps(
    model: ModelConfig, hardware: HardwareConfig, device: torch.device, processes: int, *, compiled: bool
) -> bool:
    """Tell whether the passes of a run's training steps are recorded as CUDA graphs.

    DistributedDataParallel and recomputed features do not support graphs; compiled code has its own graphs. Where whole
    steps are recorded, their passes are not.
    """
    if hardware.whole_step_graph:
        return False
    possible = device.type == "cuda" and torch.version.cuda is not None and processes == 1 and not compiled
    recomputes = getattr(model, "recompute", False)
    return possible and not recomputes and hardware.cuda_graphs is not False


@contextmanager
def recorded_steps(model: nn.Module) -> Iterator[None]:
    """Run a model's training passes as CUDA graphs while the block runs; release their memory at its end.

    Evaluation, passes without gradients and passes that return details run without graphs.
    """
    # Recording creates torch's gradient accumulation nodes on a separate stream, about which torch warns later.
    warnings.filterwarnings("ignore", "The AccumulateGrad node's stream does not match")
    model.forward = GraphedForward(model)
    try:
        yield
    finally:
        del model.forward  # removes the instance's attribute, not the class's method


class GraphedForward:
    """Replacement for a model's `forward`: streams (N, C, T, V, M) each, (N, M) and (B,) -> (N, classes)."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.plain: Callable[..., Any] = model.forward
        self.graphs: dict[Key, Callable[..., Tensor]] = {}
        self.pool: Any = None

    def __call__(
        self,
        streams: dict[str, Tensor],
        body_mask: Tensor | None = None,
        body_slots: Tensor | None = None,
        *,
        return_details: bool = False,
        joint_mask: Tensor | None = None,
        padded: bool = False,
        **more: Any,
    ) -> Any:
        """Return the result of the model's `forward` for the same arguments."""
        masks: dict[str, Any] = {} if joint_mask is None else {"joint_mask": joint_mask}
        more = {**more, "padded": True} if padded else more
        if body_mask is None or body_slots is None or return_details or not self._applies():
            return self.plain(streams, body_mask, body_slots, return_details=return_details, **masks, **more)
        names = tuple(streams)
        inputs = (*streams.values(), body_mask, body_slots, *masks.values())
        key = (names, _precision(), padded, *((each.shape, each.dtype) for each in inputs))
        if key not in self.graphs:
            if len(self.graphs) >= _MOST_GRAPHS:
                return self.plain(streams, body_mask, body_slots, **masks, **more)
            self._record(key, names, inputs, padded=padded)
        return self.graphs[key](*inputs)

    def _applies(self) -> bool:
        return self.model.training and torch.is_grad_enabled()

    def _record(self, key: Key, names: tuple[str, ...], inputs: tuple[Tensor, ...], *, padded: bool) -> None:
        """Record both passes for inputs of a new shape.

        Raises:
            UserError: CUDA cannot record them on this machine. A failed recording leaves CUDA's random generator
                unusable, so this process cannot continue without graphs either.
        """
        device = inputs[0].device
        before = [each.clone() for each in self.model.buffers()]
        plain = partial(self.plain, padded=True) if padded else self.plain
        passes = _Passes(self.model, plain, names, _precision())
        copies = tuple(each.clone() for each in inputs)
        self.pool = self.pool or torch.cuda.graph_pool_handle()
        try:
            with torch.random.fork_rng([device]), torch.autocast("cuda", enabled=False):
                torch.cuda.make_graphed_callables(passes, copies, allow_unused_input=True, pool=self.pool)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise UserError(
                f"A training step cannot be recorded as a CUDA graph on this machine: {_root(error)} Train without: "
                "--set hardware.cuda_graphs=false"
            ) from error
        self.graphs[key] = passes.forward  # `forward` is the recorded one now
        with torch.no_grad():  # recording has updated the running statistics
            torch._foreach_copy_(list(self.model.buffers()), before)


def _root(error: BaseException) -> str:
    """Return the first line of the original error: after it, CUDA reports further errors about the failed recording."""
    while error.__context__ is not None:
        error = error.__context__
    return f"{str(error).strip().partition(chr(10))[0].rstrip('.')}."


class _Passes(nn.Module):
    """A model that is called with positional tensors, in the number format of the step."""

    def __init__(
        self,
        model: nn.Module,
        plain: Callable[..., Tensor],
        names: tuple[str, ...],
        precision: tuple[bool, torch.dtype],
    ) -> None:
        super().__init__()
        self.model, self.names, self.precision = model, names, precision
        self.plain = plain

    def forward(self, *inputs: Tensor) -> Tensor:
        enabled, dtype = self.precision
        count = len(self.names)
        streams, (body_mask, body_slots, *masks) = inputs[:count], inputs[count:]
        options = {"joint_mask": masks[0]} if masks else {}
        with torch.autocast("cuda", dtype, enabled=enabled, cache_enabled=False):
            return self.plain(dict(zip(self.names, streams, strict=True)), body_mask, body_slots, **options)


def _precision() -> tuple[bool, torch.dtype]:
    return torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
