"""Time several ways to do the same thing fairly, and tell on what machine.

The ways take turns in one process, each first in every other turn, so that whatever else the machine does slows all of
them. Figures are medians with their spread.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import torch

from last.utils.machine import processor, usable_cores
from last.utils.progress import SILENT, Progress
from last.utils.versions import git_commit, versions

CLASSES = 60
Way = Callable[[], object]


@dataclass(frozen=True)
class Turns:
    """Say how ways take turns.

    Attributes:
        turns: how many count.
        warmup_turns: how many come before them and do not.
        runs: timed runs of a way in each of its turns.
        warmup_runs: runs at the beginning of each of its turns that do not count.
        pause_s: before each of its turns, until the threads of the way before sleep.
    """

    turns: int
    warmup_turns: int = 2
    runs: int = 1
    warmup_runs: int = 0
    pause_s: float = 0.0


def take_turns(
    ways: Mapping[str, Way], plan: Turns, device: torch.device, progress: Progress = SILENT
) -> dict[str, list[float]]:
    """Return the seconds of every run that counts, for each way; work left to a GPU is waited for."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    total = plan.warmup_turns + plan.turns
    with progress.task(f"timing {', '.join(ways)}", total, "turns"):
        for turn in range(total):
            for name, run in list(ways.items())[:: 1 if turn % 2 else -1]:
                taken = _one_turn(run, plan, device)
                seconds[name] += taken if turn >= plan.warmup_turns else []
            progress.advance()
    return seconds


def _one_turn(run: Way, plan: Turns, device: torch.device) -> list[float]:
    time.sleep(plan.pause_s)
    taken = [seconds(run, device) for _ in range(plan.warmup_runs + plan.runs)]
    return taken[plan.warmup_runs :]


def seconds(run: Way, device: torch.device) -> float:
    """Return how long a run takes, with all that it left to the GPU."""
    wait(device)
    began = time.perf_counter()
    run()
    wait(device)
    return time.perf_counter() - began


def wait(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def spread(values: Sequence[float], factor: float = 1.0) -> dict[str, float]:
    """Return the median, the least, the most, and what 90% of the values stay under, each times `factor`."""
    ninth = statistics.quantiles(values, n=10, method="inclusive")[-1] if len(values) > 1 else values[0]
    figures = {"median": statistics.median(values), "least": min(values), "most": max(values), "p90": ninth}
    return {name: factor * value for name, value in figures.items()}


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """Return how many times as long `of` took as `to`: the median, over the turns, of the ratio within a turn."""
    return statistics.median(first / second for first, second in zip(of, to, strict=True))


def machine() -> dict[str, Any]:
    """Return what is computed on and with, how busy it is now, and when that is."""
    return {
        "cpu": processor(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cuda": torch.version.cuda,
        "tf32": {"convolutions": torch.backends.cudnn.allow_tf32, "products": torch.backends.cuda.matmul.allow_tf32},
        "platform": platform.platform(),
        "versions": versions(),
        "git_commit": git_commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_before": load(),
    }


def load() -> float | None:
    """Return how many processes wanted to run in the last minute, where the system tells it."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
