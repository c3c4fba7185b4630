"""The time of a search, all its calls together, and what its runs take beside their epochs."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from ...runs.folder import SEARCH_FILE, runs_in
from ...runs.logbook import read_rows
from ...utils.errors import UserError
from ...utils.files import read_json, write_json

_MOST = 1e10  # seconds, some three hundred years; a larger number in a record is damaged


@dataclass(frozen=True)
class Times:
    """The times of a search in seconds.

    Attributes:
        spent_s: how long all calls together took.
        overhead_s: how long a run takes beside its epochs: the start of its process, its data, its evaluation, its
            pictures; 0 if it is not known.
        epochs_s: how long the epochs of all runs took, also of runs that have not ended.
    """

    spent_s: float = 0.0
    overhead_s: float = 0.0
    epochs_s: float = 0.0

    def facts(self) -> dict[str, float]:
        """Return what `search.json` records of them."""
        return {
            "spent_seconds": round(self.spent_s, 1),
            "overhead_seconds": round(self.overhead_s, 1),
            "epoch_seconds": round(self.epochs_s, 1),
        }


@dataclass
class Clock:
    """The clock of a call.

    Attributes:
        folder: that of the search.
        budget_s: how long the search may take in seconds.
        before: the times of earlier calls.
        began: when this call began by `time.monotonic()`.
        overheads_s: how long each run that this call finished took beside its epochs.
    """

    folder: Path
    budget_s: float
    before: Times
    began: float = field(default_factory=lambda: time.monotonic())
    overheads_s: list[float] = field(default_factory=list)

    @property
    def left_s(self) -> float:
        """Return how long the search may still take."""
        return max(self.budget_s - self._spent_s, 0.0)

    @property
    def overhead_s(self) -> float:
        """Return how long a run takes beside its epochs, by this call if it knows, since the machine may be another."""
        return fmean(self.overheads_s) if self.overheads_s else self.before.overhead_s

    def times(self) -> Times:
        """Return the present times; the logbooks of all runs are read."""
        return Times(self._spent_s, self.overhead_s, epochs_s(self.folder))

    def record(self, jobs: int) -> None:
        """Update the times in `search.json`, so that they are known if the search is killed.

        Raises:
            UserError: it cannot be written.
        """
        write_json(self.folder / SEARCH_FILE, {**_recorded(self.folder), **self.times().facts(), "jobs": jobs})

    @property
    def _spent_s(self) -> float:
        return self.before.spent_s + time.monotonic() - self.began


def recorded_times(folder: Path, jobs: int) -> Times:
    """Return the times of earlier calls of the search in a folder: as they recorded, with all that was trained since.

    Epochs that were trained after the last record, or without any, took at least their seconds by the number of runs
    side by side.

    Args:
        folder: that of the search.
        jobs: how many runs this call trains side by side.
    """
    recorded, trained_s = _recorded(folder), epochs_s(folder)
    side_by_side = max(jobs, int(_number(recorded, "jobs")), 1)
    spent_s, known_s = _number(recorded, "spent_seconds"), _number(recorded, "epoch_seconds") or trained_s
    since_s = max(trained_s - known_s, 0.0) / side_by_side
    spent_s = max(spent_s + since_s, trained_s / side_by_side)
    return Times(spent_s, _number(recorded, "overhead_seconds"), trained_s)


def epochs_s(folder: Path) -> float:
    """Return how long the epochs of all runs of a search took in seconds, also of runs that have not ended.

    Damaged logbooks count as empty.
    """
    total = 0.0
    for run in (each for variant in folder.glob("*/*") for each in runs_in(variant)):
        with suppress(UserError):
            total += sum(_number(row, "seconds") for row in read_rows(run.logbook))
    return total


def _recorded(folder: Path) -> Mapping[str, object]:
    """Return the content of `search.json`; nothing if it is missing or damaged."""
    try:
        return read_json(folder / SEARCH_FILE)
    except UserError:
        return {}


def _number(recorded: Mapping[str, object], key: str) -> float:
    """Return a number above 0 that is recorded; 0 in place of anything else."""
    value = recorded.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 < value < _MOST else 0.0
