"""How far a run has come, and how long it still takes."""

import math
import time
from dataclasses import dataclass, field

from .epoch_metrics import Meter
from .guard import Skips

_FORWARD_SHARE = 1 / 3  # of what a training step costs: its backward pass takes about twice as long


@dataclass
class RunProgress:
    """How far a run has come in epochs."""

    best: float
    epoch: int = 0
    best_epoch: int = 0


@dataclass
class EpochState:
    """How far an epoch has come.

    Attributes:
        clips: how many were drawn.
        meter: what counts loss and metrics.
        skips: what had been skipped before the epoch.
        waited: seconds spent waiting for data.
        seconds: how long the epoch took before it was interrupted.
        began: the `time.perf_counter()` from which to add to it.
    """

    meter: Meter
    clips: int = 0
    skips: Skips = field(default_factory=Skips)
    waited: float = 0.0
    seconds: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    @property
    def elapsed(self) -> float:
        """Return the seconds that the epoch has taken."""
        return self.seconds + time.perf_counter() - self.began


@dataclass
class _Cost:
    """What one unit costs: measured in this epoch and the one before, since the first ones are slower."""

    units: float = 0.0
    seconds: float = 0.0
    before: tuple[float, float] = (0.0, 0.0)

    def add(self, units: float, seconds: float) -> None:
        self.units, self.seconds = self.units + units, self.seconds + seconds

    def end_epoch(self) -> None:
        if self.units:
            self.before = self.units, self.seconds
            self.units = self.seconds = 0.0

    @property
    def each(self) -> float:
        """Return the seconds a unit, NaN where none was measured."""
        units, seconds = self.before
        units += self.units
        return (seconds + self.seconds) / units if units else math.nan


class Pace:
    """Measure how fast this process goes, and tell from it how long the whole run still takes.

    What the run did in earlier processes does not count: they may have had another machine.

    Args:
        epochs: how many the run has.
        test_every: after how many epochs it tests; the last one is tested always.
        clips: how many an epoch trains on.
        test_clips: how many all tests of an epoch go through together.
    """

    def __init__(self, epochs: int, test_every: int, clips: int, test_clips: int) -> None:
        self.epochs, self.test_every, self.clips, self.test_clips = epochs, test_every, clips, test_clips
        self._training, self._testing, self._closing = _Cost(), _Cost(), _Cost()
        self._tested = 0
        self.begin()

    def begin(self) -> None:
        """Measure from now on."""
        self._mark = time.perf_counter()

    def trained(self, clips: int) -> None:
        """Count clips that were trained on since the last count."""
        self._training.add(clips, self._lap())

    def tested(self, clips: int) -> None:
        """Count clips that were tested since the last count."""
        self._tested += clips
        self._testing.add(clips, self._lap())

    def closed_epoch(self) -> None:
        """Count what ended an epoch, which is mostly saving it."""
        self._closing.add(1, self._lap())
        self._tested = 0
        for cost in (self._training, self._testing, self._closing):
            cost.end_epoch()

    def left_s(self, epoch: int, clips: int) -> float:
        """Return the seconds that the run still takes, in `epoch` after `clips` of it; NaN before the first step."""
        training = (self.epochs - epoch) * self.clips - clips
        testing = self._tests(epoch) * self.test_clips - self._tested
        test_each = self._testing.each if math.isfinite(self._testing.each) else _FORWARD_SHARE * self._training.each
        close_each = self._closing.each if math.isfinite(self._closing.each) else 0.0
        return training * self._training.each + testing * test_each + (self.epochs - epoch) * close_each

    def _tests(self, epoch: int) -> int:
        """Return how many epochs are tested from `epoch` on."""
        last = self.epochs % self.test_every > 0
        return self.epochs // self.test_every - epoch // self.test_every + last

    def _lap(self) -> float:
        mark, self._mark = self._mark, time.perf_counter()
        return self._mark - mark
