"""The limits of this machine, and how close a training step comes to them.

The ceilings, of memory copies and of matrix products, are measured. A step must write and read once the data that the
backward pass needs, and do its multiply-adds; the longer of the two is the least time. The table also has the time for
all bytes that the step's operations actually read and write.
"""

import statistics
from argparse import Namespace
from copy import deepcopy
from typing import Any

import torch

from last.data.loading.pipeline import InputPipeline
from last.models.cost import Workload, count_multiply_adds, random_streams, saved_bytes
from last.models.cpu_kernels import multiply
from last.models.registry import create_model
from last.runtime.precision import choose_device
from last.settings.run import RunConfig
from last.utils.progress import Progress

from .measure import Turns, Way, seconds, spread, take_turns
from .report import Result, Table
from .steps import Learner, build_task, config_of, moving_batch, note_of
from .traffic import MovedBytes

_CACHED_MIB = {"cpu": 0.25, "cuda": 8.0}
_SIDES = {"cpu": 1024, "cuda": 8192}
_CHANNELS, _CLIPS, _FRAMES, _JOINTS = 64, 16, 64, 25  # of the typical product: a 1x1 convolution
_BACKWARD_TOO = 3  # forward, and in backward one product for the inputs and one for the weights
_PARAMETER_PASSES = 7  # read twice, gradient written and read, momentum read and written, parameter written
_BUDGET_S, _TIMES, _MOST_RUNS = 0.1, 5, 2000
_CEILINGS = {"ceiling": "{what}", "rate": "{rate:,.1f}", "unit": "{unit}"}
_STEPS = {
    "step in": "{precision}",
    "GFLOP": "{gflop:.1f}",
    "MB at least": "{least_megabytes:,.1f}",
    "MB moved": "{moved_megabytes:,.1f}",
    "ms for the GFLOP": "{compute_ms:.2f}",
    "ms for the least MB": "{memory_ms:.2f}",
    "ms for the moved MB": "{moved_ms:.2f}",
    "ms measured": "{milliseconds[median]:.2f}",
    "times the least": "{gap:.1f}",
}


def measure(arguments: Namespace, progress: Progress) -> Result:
    """Measure the ceilings, count what a step needs, and time it."""
    device = choose_device(arguments.device)
    ceilings = _ceilings(arguments, device)
    rates = {row["name"]: row["rate"] for row in ceilings}
    config = config_of(
        arguments,
        hardware__amp_dtype="bf16",
    )
    half = deepcopy(config)
    half.amp = True
    learners = {"float32": _Step(config, device), "bfloat16": _Step(half, device)}
    ways: dict[str, Way] = dict(learners)
    taken = take_turns(ways, Turns(arguments.turns), device, progress)
    gflop = 2e-9 * _BACKWARD_TOO * arguments.batch * _multiply_adds(config)
    rows = [_row(name, step, gflop, rates, taken[name]) for name, step in learners.items()]
    title = f"a training step of {arguments.model}, batch {arguments.batch}, one body, {device.type}"
    summary = {"times_the_least": {row["precision"]: row["gap"] for row in rows}}
    remarks = [
        "Least: what the backward pass needs is written once and read once, or the multiply-adds are done, whichever "
        "takes longer at the measured ceilings. What a cache keeps may be faster than memory."
    ]
    tables = [Table("ceilings", "ceilings of this machine", _CEILINGS, ceilings), Table("rows", title, _STEPS, rows)]
    return Result(tables, summary, remarks)


class _Step:
    """A training step that can be repeated."""

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self.learner = Learner(config, build_task(config, device), device)
        self.batch = moving_batch(config, device)
        self.streams = InputPipeline(config.data)(self.batch, training=True)
        self.note = note_of(self.batch)

    def __call__(self) -> None:
        self.learner.learn(self.streams, self.batch, self.note)

    def moved(self) -> int:
        """Return the bytes that the operations of a step read and write."""
        with MovedBytes() as counted:
            self()
        total: int = counted.total
        return total

    def least(self) -> int:
        """Return the bytes that a step has to write and read, however it is computed."""
        task = self.learner.state.task
        kept = saved_bytes(self, (*task.parameters(), *task.buffers()))
        parameters = sum(each.numel() * each.element_size() for each in task.parameters())
        return 2 * kept + _PARAMETER_PASSES * parameters


def _row(name: str, step: _Step, gflop: float, rates: dict[str, float], taken: list[float]) -> dict[str, Any]:
    least, moved = step.least() / 1e6, step.moved() / 1e6
    milliseconds = spread(taken, 1e3)
    compute = gflop / max(rates[f"{name} typical"], rates[f"{name} large"]) * 1e3
    memory = least / rates["copy large"]
    return {
        "precision": name,
        "gflop": gflop,
        "least_megabytes": least,
        "moved_megabytes": moved,
        "compute_ms": compute,
        "memory_ms": memory,
        "moved_ms": moved / rates["copy large"],
        "milliseconds": milliseconds,
        "gap": milliseconds["median"] / max(compute, memory),
    }


def _multiply_adds(config: RunConfig) -> int:
    """Return the multiply-adds of one clip of one body in a forward pass."""
    workload = Workload(config.data.layout, config.input_frames, 1, len(config.data.classes))
    model = create_model(config.model.name, workload.classes, workload.layout).eval()
    with torch.no_grad():
        return count_multiply_adds(model, random_streams(workload))


# --- ceilings


def _ceilings(arguments: Namespace, device: torch.device) -> list[dict[str, Any]]:
    """Return how fast memory is copied, in GB/s read and written, and matrices are multiplied, in GFLOP/s."""
    side = arguments.side or _SIDES[device.type]
    typical = (_CHANNELS, _CHANNELS, _CLIPS * _FRAMES * _JOINTS)
    rows = [
        _copy("copy large", arguments.large_mib, device),
        _copy("copy cached", _CACHED_MIB[device.type], device),
    ]
    for dtype in (torch.float32, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        rows.append(_product(f"{name} typical", typical, dtype, device))
        rows.append(_product(f"{name} large", (side, side, side), dtype, device))
    return rows


def _copy(name: str, mebibytes: float, device: torch.device) -> dict[str, Any]:
    source = torch.ones(int(mebibytes * 2**20) // 4, device=device)
    target = torch.zeros_like(source)
    taken = _seconds_each(lambda: target.copy_(source), device)
    rate = 2 * source.nbytes / taken / 1e9
    return {"name": name, "what": f"copying {mebibytes:g} MiB", "rate": rate, "unit": "GB/s"}


def _product(name: str, sizes: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    rows, inner, columns = sizes
    left = torch.randn(rows, inner, device=device).to(dtype)
    right = torch.randn(inner, columns, device=device).to(dtype)
    ways: list[Way] = [lambda: left @ right, lambda: multiply(left, right)]
    taken = min(_seconds_each(way, device) for way in ways)
    what = f"{str(dtype).removeprefix('torch.')} product {rows} x {inner} x {columns}"
    return {"name": name, "what": what, "rate": 2e-9 * rows * inner * columns / taken, "unit": "GFLOP/s"}


def _seconds_each(run: Way, device: torch.device) -> float:
    """Return the median time of a run, repeated until the clock is precise enough."""
    run()
    runs = min(max(1, int(_BUDGET_S / max(seconds(run, device), 1e-7))), _MOST_RUNS)

    def repeated() -> None:
        for _ in range(runs):
            run()

    return statistics.median(seconds(repeated, device) for _ in range(_TIMES)) / runs
