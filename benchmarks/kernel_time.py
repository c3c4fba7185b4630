"""Kernel time and wall time of something that is repeated on a GPU, by torch's profiler."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.profiler import ProfilerActivity, profile

from .measure import wait

_NAME_LENGTH = 70
_SHOWN = 10


@dataclass(frozen=True)
class KernelTimes:
    """Times of one run, in milliseconds, without those of the first runs.

    Attributes:
        wall_ms: the mean time of a run, measured without the profiler.
        kernel_ms: the sum of the times of its kernels, copies and fills; None on a CPU.
        kernels: their number; None on a CPU.
        longest: the kernels that take most of it: name, milliseconds and number in a run.
    """

    wall_ms: float
    kernel_ms: float | None = None
    kernels: float | None = None
    longest: list[tuple[str, float, float]] = field(default_factory=list)

    @property
    def busy_percent(self) -> float | None:
        """Return the share of the wall time in which kernels run; above 100 if they run beside each other."""
        return None if self.kernel_ms is None else 100 * self.kernel_ms / self.wall_ms

    def values(self) -> dict[str, Any]:
        """Return the times as JSON values."""
        return {**vars(self), "busy_percent": self.busy_percent}


def kernel_times(
    run: Callable[[], object], device: torch.device, *, warmup: int = 12, runs: int = 20, profiled: int = 3
) -> KernelTimes:
    """Return the times of `run`: the wall time of `runs` repetitions, the kernels of `profiled` others."""
    for _ in range(warmup):
        run()
    wait(device)
    began = time.perf_counter()
    for _ in range(runs):
        run()
    wait(device)
    wall_ms = 1e3 * (time.perf_counter() - began) / runs
    if device.type != "cuda":
        return KernelTimes(wall_ms)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        for _ in range(profiled):
            run()
        wait(device)
    return _with_kernels(wall_ms, profiler.key_averages(), profiled)


def _with_kernels(wall_ms: float, events: Any, runs: int) -> KernelTimes:
    """Return the times with those of the kernels among the profiler's averaged events."""
    on_gpu = [each for each in events if each.device_type == DeviceType.CUDA]
    on_gpu.sort(key=lambda each: -each.self_device_time_total)
    longest = [
        (each.key[:_NAME_LENGTH], each.self_device_time_total / 1e3 / runs, each.count / runs)
        for each in on_gpu[:_SHOWN]
    ]
    total = sum(each.self_device_time_total for each in on_gpu) / 1e3 / runs
    return KernelTimes(wall_ms, total, sum(each.count for each in on_gpu) / runs, longest)
