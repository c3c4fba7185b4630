"""From probabilities over time to the starts and ends of actions.

Legend: K classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .settings import LiveSettings

Floats = NDArray[np.float32]
NONE = -1  # no action


@dataclass(frozen=True)
class Change:
    """The start or the end of an action.

    Attributes:
        starts: whether it starts.
        action: its number.
        began: when it began, in seconds.
        time: when that was decided, in seconds.
        probability: smoothed, of the action, at that time.
    """

    starts: bool
    action: int
    began: float
    time: float
    probability: float


class ActionState:
    """What one person does, decided with hysteresis from smoothed probabilities.

    Args:
        thresholds: (K,) probabilities at which an action starts.
        settings: smoothing, onset, offset and release.
    """

    def __init__(self, thresholds: Floats, settings: LiveSettings) -> None:
        self._thresholds, self._settings = thresholds, settings
        self._smoothed: Floats | None = None
        self._updated = -np.inf
        self._candidate, self._above_since = NONE, 0.0
        self._below_since: float | None = None
        self.action, self.began = NONE, 0.0

    @property
    def smoothed(self) -> Floats | None:
        """Return the smoothed probabilities (K,); None before the first ones."""
        return self._smoothed

    def update(self, time: float, probabilities: Floats) -> Iterator[Change]:
        """Take the probabilities (K,) at a time, not before the last one, and yield what changes by them."""
        settings = self._settings
        if self._smoothed is None or settings.smoothing == 0:
            self._smoothed = probabilities.copy()
        else:
            weight = np.float32(1 - np.exp(-(time - self._updated) / settings.smoothing))
            self._smoothed = self._smoothed + weight * (probabilities - self._smoothed)
        self._updated = time
        above = self._smoothed >= self._thresholds
        best = int(np.argmax(np.where(above, self._smoothed, -1.0))) if above.any() else NONE
        if best != self._candidate:
            self._candidate, self._above_since = best, time
        if self.action != NONE:
            yield from self._end(time)
        if self.action == NONE and best != NONE and time - self._above_since >= settings.onset:
            self.action, self.began, self._below_since = best, self._above_since, None
            yield Change(True, best, self.began, time, float(self._smoothed[best]))

    def _end(self, time: float) -> Iterator[Change]:
        """Yield the end of the present action, if another one is sure, or if its own probability has been low."""
        assert self._smoothed is not None
        settings, own = self._settings, float(self._smoothed[self.action])
        if own < settings.release * self._thresholds[self.action]:
            self._below_since = time if self._below_since is None else self._below_since
        else:
            self._below_since = None
        low = self._below_since is not None and time - self._below_since >= settings.offset
        other = self._candidate not in (NONE, self.action) and time - self._above_since >= settings.onset
        if low or other:
            yield self.stop(time)

    def stop(self, time: float) -> Change:
        """End the present action and return that change."""
        probability = 0.0 if self._smoothed is None else float(self._smoothed[self.action])
        change = Change(False, self.action, self.began, time, probability)
        self.action, self._below_since = NONE, None
        return change
