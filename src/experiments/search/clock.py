"""The time of a search, all its calls together, and what its runs take beside their epochs."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from ...runs.folder import SEARCH_FILE
from ...utils.errors import UserError
from ...utils.files import read_json

_MOST = 1e10  # seconds, some three hundred years; a larger number in a record is damaged


@dataclass(frozen=True)
class Times:
    """The times of a search in seconds.

    Attributes:
        spent_s: how long all calls together took.
        overhead_s: how long a run takes beside its epochs: the start of its process, its data, its evaluation, its
            pictures; 0 if it is not known.
    """

    spent_s: float = 0.0
    overhead_s: float = 0.0

    def facts(self) -> dict[str, float]:
        """Return what `search.json` records of them."""
        return {"spent_seconds": round(self.spent_s, 1), "overhead_seconds": round(self.overhead_s, 1)}


@dataclass
class Clock:
    """The clock of a call.

    Attributes:
        budget_s: how long the search may take in seconds.
        before: the times of earlier calls.
        began: when this call began by `time.monotonic()`.
        overheads_s: how long each run that this call finished took beside its epochs.
    """

    budget_s: float
    before: Times
    began: float = field(default_factory=lambda: time.monotonic())
    overheads_s: list[float] = field(default_factory=list)

    @property
    def left_s(self) -> float:
        """Return how long the search may still take."""
        return max(self.budget_s - self.times.spent_s, 0.0)

    @property
    def times(self) -> Times:
        """Return the present times; the overhead is that of this call if it is known, since the machine may differ."""
        spent_s = self.before.spent_s + time.monotonic() - self.began
        return Times(spent_s, fmean(self.overheads_s) if self.overheads_s else self.before.overhead_s)


def recorded_times(folder: Path, jobs: int, epochs_s: float) -> Times:
    """Return the times of earlier calls: as they recorded, at least what their runs took side by side.

    Args:
        folder: that of the search.
        jobs: how many runs this call trains side by side.
        epochs_s: how long the epochs of all runs took.
    """
    try:
        recorded = read_json(folder / SEARCH_FILE)
    except UserError:
        recorded = {}
    side_by_side = max(jobs, int(_number(recorded, "jobs")), 1)
    spent_s = max(_number(recorded, "spent_seconds"), epochs_s / side_by_side)
    return Times(spent_s, _number(recorded, "overhead_seconds"))


def _number(recorded: Mapping[str, object], key: str) -> float:
    """Return a number above 0 that is recorded; 0 in place of anything else."""
    value = recorded.get(key)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _MOST
    return float(value) if usable and isinstance(value, int | float) else 0.0
