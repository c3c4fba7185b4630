"""Kernel time beside wall time: kernels are summed over the profiled runs, and a CPU has none."""

from types import SimpleNamespace

import pytest
import torch
from torch.autograd import DeviceType

from last.benchmarks import kernel_time
from last.benchmarks.kernel_time import kernel_times


def event(key: str, device: DeviceType, microseconds: float, count: int) -> SimpleNamespace:
    return SimpleNamespace(key=key, device_type=device, self_device_time_total=microseconds, count=count)


def test_kernels_are_summed_for_one_run_and_compared_with_the_wall_time() -> None:
    events = [
        event("copy", DeviceType.CUDA, 3000.0, 6),
        event("aten::mm", DeviceType.CPU, 9000.0, 3),
        event("product" * 30, DeviceType.CUDA, 15000.0, 3),
    ]
    found = kernel_time._with_kernels(8.0, events, runs=3)
    assert (found.kernel_ms, found.kernels, found.busy_percent) == (6.0, 3.0, 75.0)
    assert found.longest == [(("product" * 30)[:70], 5.0, 1.0), ("copy", 1.0, 2.0)]
    assert found.values()["busy_percent"] == 75.0


def test_a_cpu_has_a_wall_time_alone() -> None:
    runs: list[int] = []
    found = kernel_times(lambda: runs.append(1), torch.device("cpu"), warmup=2, runs=3)
    assert len(runs) == 5 and found.wall_ms >= 0
    assert found.kernel_ms is None and found.busy_percent is None


def test_the_profiler_runs_on_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise AssertionError("not on a CPU")

    monkeypatch.setattr(kernel_time, "profile", refuse)
    kernel_times(lambda: None, torch.device("cpu"), warmup=0, runs=1)
