"""The cost of a model: parameters, multiply-adds, activation memory, latency.

Legend: N clips, C coordinates, T frames, V joints, M bodies.
"""

import statistics
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from ..skeleton import load_layout
from .cpu_kernels import PRODUCT_COSTS
from .multi_body import STREAMS
from .registry import count_parameters, create_model

_WARMUP_RUNS = 3
_TIMED_RUNS = 15


@dataclass(frozen=True)
class Workload:
    """The input for which a cost is measured.

    Attributes:
        layout: the joint layout.
        frames: T.
        bodies: M, all of them present.
        classes: the number of classes.
    """

    layout: str = "ntu25"
    frames: int = 64
    bodies: int = 1
    classes: int = 60


@dataclass(frozen=True)
class Cost:
    """The cost of one clip.

    Attributes:
        parameters: the number of trainable parameters.
        multiply_adds: multiply-adds of one forward pass; a library that counts "FLOPs" usually prints twice as many.
        inference_mib: the peak memory of features in evaluation, without weights.
        training_mib: the memory per clip that a training step keeps for its backward pass.
        latency_ms: the median time of a forward pass of one clip on the CPU.
        threads: the number of threads of the latency measurement.
    """

    model: str
    parameters: int
    multiply_adds: int
    inference_mib: float
    training_mib: float
    latency_ms: float
    threads: int


def measure_cost(name: str, workload: Workload) -> Cost:
    """Measure a model on the CPU with torch's current number of threads.

    Raises:
        UserError: the model, given by its name or its file, or the layout does not exist.
    """
    model = create_model(name, workload.classes, workload.layout)
    streams = random_streams(workload, names=model.streams)
    training_mib = _saved_bytes(model.train(), streams) / 2**20
    model.eval()
    with torch.no_grad():
        return Cost(
            model=model.facts.name,
            parameters=count_parameters(model),
            multiply_adds=count_multiply_adds(model, streams),
            inference_mib=_peak_bytes(model, streams) / 2**20,
            training_mib=training_mib,
            latency_ms=1e3 * _median_seconds(lambda: model(streams)),
            threads=torch.get_num_threads(),
        )


def random_streams(workload: Workload, clips: int = 1, names: Sequence[str] = STREAMS) -> dict[str, Tensor]:
    """Return streams of random numbers, each (N, C, T, V, M)."""
    layout = load_layout(workload.layout)
    shape = (clips, layout.coordinates, workload.frames, layout.num_joints, workload.bodies)
    return {name: torch.randn(shape) for name in names}


def count_multiply_adds(model: nn.Module, streams: Mapping[str, Tensor]) -> int:
    """Return the multiply-adds of matrix products and convolutions in a forward pass, from torch's own counter.

    The counter counts additions and multiplications separately, so its result is halved. Filters over frames are
    counted as convolutions, although LAST-E computes them as products, which do more operations in less time: a hook on
    a layer makes it run as a convolution.
    """
    hooks = [each.register_forward_hook(_nothing) for each in model.modules() if isinstance(each, nn.Conv2d)]
    try:
        with FlopCounterMode(display=False, custom_mapping=PRODUCT_COSTS) as counter:
            model(streams)
    finally:
        for hook in hooks:
            hook.remove()
    return int(counter.get_total_flops()) // 2


def _nothing(*_: object) -> None:
    """Do nothing; a hook that leaves a layer's output unchanged."""


def _saved_bytes(model: nn.Module, streams: Mapping[str, Tensor]) -> int:
    return saved_bytes(lambda: model(streams), (*model.parameters(), *model.buffers()))


def saved_bytes(run: Callable[[], object], owned: Iterable[Tensor]) -> int:
    """Return the bytes that autograd keeps for the backward pass while `run` runs, without the tensors `owned`."""
    known = {each.untyped_storage().data_ptr() for each in owned}
    kept: dict[int, Tensor] = {}  # the tensors themselves, so that no address is reused

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        run()
    return sum(each.untyped_storage().nbytes() for address, each in kept.items() if address not in known)


def _peak_bytes(model: nn.Module, streams: Mapping[str, Tensor]) -> int:
    """Return the peak memory in bytes of the results of operations in a forward pass."""
    tracker = _LiveBytes()
    with tracker:
        model(streams)
    return tracker.peak


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Track the storages that operations allocate until they are freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live, self.peak = 0, 0
        self._seen: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        inputs = {id(each) for each in _storages((args, kwargs))}
        result = function(*args, **(kwargs or {}))
        for storage in _storages(result):
            if storage not in self._seen and id(storage) not in inputs:
                self._follow(storage)
        return result

    def _follow(self, storage: torch.UntypedStorage) -> None:
        self._seen.add(storage)
        size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.live -= size


def _storages(value: Any) -> Iterator[torch.UntypedStorage]:
    """Yield the storage of every tensor in nested arguments or results."""
    if isinstance(value, Tensor):
        yield value.untyped_storage()
    elif isinstance(value, Mapping):
        yield from _storages(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _storages(item)


def _median_seconds(run: Callable[[], object]) -> float:
    for _ in range(_WARMUP_RUNS):
        run()
    seconds = []
    for _ in range(_TIMED_RUNS):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch compute with `count` threads while the block runs; 0 leaves the number unchanged."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
