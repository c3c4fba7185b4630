"""Progress of a run and of its present epoch, and the estimated time left."""

import math
import time
from dataclasses import dataclass, field

from .epoch_metrics import EpochMetrics
from .guard import SkipCounts

_FORWARD_SHARE = 1 / 3  # of what a training step costs: its backward pass takes about twice as long


@dataclass
class RunProgress:
    """Finished epochs of a run, and the best one."""

    best: float
    epoch: int = 0
    best_epoch: int = 0


@dataclass
class EpochState:
    """Progress within an epoch.

    Attributes:
        metrics: the sums of loss and metrics.
        clips: the number of clips drawn.
        skips: the skip counts before the epoch.
        waited: seconds spent waiting for data.
        seconds: seconds of the epoch before an interruption.
        began: the `time.perf_counter()` at the start, or at the resume.
    """

    metrics: EpochMetrics
    clips: int = 0
    skips: SkipCounts = field(default_factory=SkipCounts)
    waited: float = 0.0
    seconds: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    @property
    def elapsed(self) -> float:
        """Return the seconds that the epoch has taken."""
        return self.seconds + time.perf_counter() - self.began


@dataclass
class _Cost:
    """Seconds per unit, measured over this epoch and the previous one, since the first units are slower."""

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
        """Return the seconds per unit, NaN before the first one."""
        units, seconds = self.before
        units += self.units
        return (seconds + self.seconds) / units if units else math.nan


class Pace:
    """Measure the speed of this process and estimate the time left of the whole run.

    Earlier processes of the run do not count, since they may have used another machine.

    Args:
        epochs: the number of epochs of the run.
        test_every: the number of epochs between tests; the last epoch is always tested.
        clips: the training clips of an epoch.
        test_clips: the clips of all tests of an epoch together.
    """

    def __init__(self, epochs: int, test_every: int, clips: int, test_clips: int) -> None:
        self.epochs, self.test_every, self.clips, self.test_clips = epochs, test_every, clips, test_clips
        self._training, self._testing, self._closing = _Cost(), _Cost(), _Cost()
        self._tested = 0
        self.begin()

    def begin(self) -> None:
        """Start measuring."""
        self._mark = time.perf_counter()

    def trained(self, clips: int) -> None:
        """Add clips that were trained on since the last call."""
        self._training.add(clips, self._lap())

    def tested(self, clips: int) -> None:
        """Add clips that were tested since the last call."""
        self._tested += clips
        self._testing.add(clips, self._lap())

    def closed_epoch(self) -> None:
        """Add the end of an epoch, which is mostly saving."""
        self._closing.add(1, self._lap())
        self._tested = 0
        for cost in (self._training, self._testing, self._closing):
            cost.end_epoch()

    def left_s(self, epoch: int, clips: int) -> float:
        """Return the estimated seconds left after `clips` of `epoch`; NaN before the first step."""
        training = (self.epochs - epoch) * self.clips - clips
        testing = self._tests(epoch) * self.test_clips - self._tested
        test_each = self._testing.each if math.isfinite(self._testing.each) else _FORWARD_SHARE * self._training.each
        close_each = self._closing.each if math.isfinite(self._closing.each) else 0.0
        return training * self._training.each + testing * test_each + (self.epochs - epoch) * close_each

    def _tests(self, epoch: int) -> int:
        """Return the number of tested epochs from `epoch` on."""
        last = self.epochs % self.test_every > 0
        return self.epochs // self.test_every - epoch // self.test_every + last

    def _lap(self) -> float:
        mark, self._mark = self._mark, time.perf_counter()
        return self._mark - mark
