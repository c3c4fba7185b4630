"""Training steps with and without the memory that a process keeps when it frees it.

A process cannot undo the setting, so each turn of each way is a process of its own.
"""

import multiprocessing
import statistics
from argparse import Namespace
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch

from last.training.epoch_report import peak_memory_mib
from last.utils.errors import UserError
from last.utils.freed_memory import keep_freed_memory
from last.utils.progress import Progress

from .measure import ratio, seconds, spread
from .report import Result, Table, spread_columns
from .steps import Learner, build_task, config_of, moving_batch, step_from_joints

_WARMUP_STEPS = 4
_COLUMNS = {
    "freed memory": "{way}",
    **spread_columns("ms", "milliseconds"),
    "page faults in a step": "{faults:.0f}",
    "peak memory, MiB": "{peak_mib:.0f}",
    "times as fast": "{ratio:.2f}",
}


@dataclass(frozen=True)
class Steps:
    """What one process measured: the median seconds of a step, its mean page faults, and the process's peak memory."""

    seconds: float
    faults: float
    peak_mib: float


def measure(arguments: Namespace, progress: Progress) -> Result:
    """Time steps in processes that take turns.

    Raises:
        UserError: the C library of this system does not have the setting, or the user has set it.
    """
    ways: dict[str, list[Steps]] = {"given back": [], "kept": []}
    with progress.task("timing steps in processes of their own", arguments.turns, "turns"):
        for turn in range(arguments.turns):
            for way in [*ways][:: 1 if turn % 2 else -1]:
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                    ways[way].append(pool.submit(_steps, arguments, kept=way == "kept").result())
            progress.advance()
    rows = [_row(way, measured, ways["given back"]) for way, measured in ways.items()]
    title = f"{arguments.model}, batch {arguments.batch}, {arguments.frames} frames, one body, cpu"
    remarks = ["A figure in milliseconds is the median step of one process."]
    return Result([Table("rows", title, _COLUMNS, rows)], {"times_as_fast": rows[1]["ratio"]}, remarks)


def _row(way: str, measured: Sequence[Steps], reference: Sequence[Steps]) -> dict[str, Any]:
    taken = [each.seconds for each in measured]
    return {
        "way": way,
        "milliseconds": spread(taken, 1e3),
        "faults": statistics.median(each.faults for each in measured),
        "peak_mib": statistics.median(each.peak_mib for each in measured),
        "ratio": ratio([each.seconds for each in reference], taken),
    }


def _steps(arguments: Namespace, *, kept: bool) -> Steps:
    """Measure the trainer's step on one batch of made-up clips, from augmentation to update.

    Raises:
        UserError: memory cannot be kept.
    """
    if kept and not keep_freed_memory():
        raise UserError(
            "Memory cannot be kept here: the C library is not glibc, or the environment has settings of malloc "
            "(MALLOC_... or GLIBC_TUNABLES)."
        )
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device, config = torch.device("cpu"), config_of(arguments)
    step = step_from_joints(Learner(config, build_task(config, device), device), moving_batch(config, device))
    for _ in range(_WARMUP_STEPS):
        step()
    before = _page_faults()
    taken = [seconds(step, device) for _ in range(arguments.steps)]
    faults = (_page_faults() - before) / arguments.steps
    return Steps(statistics.median(taken), faults, peak_memory_mib(device))


def _page_faults() -> int:
    """Return the page faults of this process that needed no disk."""
    import resource  # Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
