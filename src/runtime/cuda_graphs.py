"""CUDA graphs: the forward and the backward pass of a training step are recorded once per shape, then replayed.

A step of these models has one to ten thousand small kernels. Launching them one by one takes the host longer than
computing them takes a large GPU; a graph is launched as a whole.

Legend: N clips, M bodies, B bodies computed.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..settings.data import HardwareConfig
from ..settings.model import ModelConfig

_log = logging.getLogger(__name__)

_MOST_GRAPHS = 24  # of different shapes; further shapes run without a graph
_FAILED = (
    "hardware.cuda_graphs: the passes of a step cannot be recorded as CUDA graphs on this machine (%s). Training "
    "continues without graphs, more slowly."
)
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


def warn_of_unused_switches(hardware: HardwareConfig, device: torch.device) -> None:
    """Warn once of switches for a GPU in a run that does not use one."""
    switches = ("cuda_graphs", "trial_kernels", "masked_padding", "whole_step_graph")
    used = [f"hardware.{name}" for name in switches if getattr(hardware, name)]
    if used and device.type != "cuda":
        _log.warning("Only meant for a GPU, and this run has the device %s: %s.", device.type, ", ".join(used))


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
        self.records = True

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
        if key not in self.graphs and self.records and len(self.graphs) < _MOST_GRAPHS:
            self._record(key, names, inputs, padded=padded)
        if key not in self.graphs:
            return self.plain(streams, body_mask, body_slots, **masks, **more)
        return self.graphs[key](*inputs)

    def _applies(self) -> bool:
        return self.model.training and torch.is_grad_enabled()

    def _record(self, key: Key, names: tuple[str, ...], inputs: tuple[Tensor, ...], *, padded: bool) -> None:
        """Record both passes for inputs of a new shape; if CUDA cannot, warn once and record nothing any more."""
        device = inputs[0].device
        buffers = list(self.model.buffers())
        before = [each.clone() for each in buffers]
        plain = partial(self.plain, padded=True) if padded else self.plain
        passes = _Passes(self.model, plain, names, _precision())
        copies = tuple(each.clone() for each in inputs)
        self.pool = self.pool or torch.cuda.graph_pool_handle()
        try:
            with generator_kept(device), torch.autocast("cuda", enabled=False):
                torch.cuda.make_graphed_callables(passes, copies, allow_unused_input=True, pool=self.pool)
            self.graphs[key] = passes.forward  # `forward` is the recorded one now
        except RuntimeError as error:  # memory that ends too: without graphs a step needs less
            _log.warning(_FAILED, first_line(error))
            self.records, self.pool = False, None
            self.graphs.clear()
        with torch.no_grad():  # recording has updated the running statistics
            torch._foreach_copy_(buffers, before)


@contextmanager
def generator_kept(device: torch.device) -> Iterator[None]:
    """Set CUDA's random generator back to its present state after the block, in which it is recorded.

    A recording that fails leaves the recorded state unusable: then a copy of it from before replaces it.
    """
    index = torch.cuda.current_device() if device.index is None else device.index
    generator = torch.cuda.default_generators[index]
    copy, numbers = generator.clone_state(), generator.get_state()
    try:
        yield
    except RuntimeError:
        generator.graphsafe_set_state(copy)
        raise
    generator.set_state(numbers)  # not the copy: graphs read the state that was recorded


def first_line(error: BaseException) -> str:
    """Return the first line of the original error: after it, CUDA reports others about the failed recording."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


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
