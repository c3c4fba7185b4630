"""Time several ways to do the same thing fairly, and describe the machine.

The ways run alternately in one process, each first in every second turn, so that other load on the machine slows all of
them equally. Figures are medians with their spread.
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
    """Settings for alternating between ways.

    Attributes:
        turns: the number of timed turns.
        warmup_turns: the number of untimed turns before them.
        runs: timed runs of a way in each of its turns.
        warmup_runs: untimed runs at the start of each of its turns.
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
    """Return the seconds of every timed run, for each way, including work on a GPU."""
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
    """Return the seconds that a run takes, including its work on the GPU."""
    wait(device)
    began = time.perf_counter()
    run()
    wait(device)
    return time.perf_counter() - began


def wait(device: torch.device) -> None:
    """Wait until a GPU has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def spread(values: Sequence[float], factor: float = 1.0) -> dict[str, float]:
    """Return the median, minimum, maximum and 90th percentile, each times `factor`."""
    ninth = statistics.quantiles(values, n=10, method="inclusive")[-1] if len(values) > 1 else values[0]
    figures = {"median": statistics.median(values), "least": min(values), "most": max(values), "p90": ninth}
    return {name: factor * value for name, value in figures.items()}


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """Return how many times as long `of` took as `to`: the median, over the turns, of the ratio within a turn."""
    return statistics.median(first / second for first, second in zip(of, to, strict=True))


def machine() -> dict[str, Any]:
    """Return the hardware and software, the present load and the date."""
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
    """Return the load average of the last minute; None if the system does not report it."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
