"""The last frames of one person, in the order of their times, in memory of fixed size.

Legend: F frames, V joints, C coordinates.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class History:
    """A buffer of frames with their times.

    Args:
        capacity: the number of frames that are kept at least; twice as many have room.
        joints, coordinates: V and C.
    """

    def __init__(self, capacity: int, joints: int, coordinates: int) -> None:
        self._capacity, self._count = capacity, 0
        self._times = np.zeros(2 * capacity, np.float64)
        self._joints = np.zeros((2 * capacity, joints, coordinates), np.float32)

    def __len__(self) -> int:
        return self._count

    @property
    def newest(self) -> float:
        """Return the time of the newest frame, minus infinity without any."""
        return float(self._times[self._count - 1]) if self._count else -np.inf

    @property
    def nbytes(self) -> int:
        """Return the memory of the buffer in bytes, which does not grow."""
        return self._times.nbytes + self._joints.nbytes

    def add(self, time: float, joints: Floats) -> bool:
        """Add the joints (V, C) of a frame; return False for a second one of the same time, which is dropped.

        Late frames find their place. Frames beyond the capacity leave, the oldest first.
        """
        place = int(np.searchsorted(self._times[: self._count], time))
        if place < self._count and self._times[place] == time:
            return False
        if self._count == len(self._times):
            kept = self._count - self._capacity
            self._times[: self._capacity] = self._times[kept:]
            self._joints[: self._capacity] = self._joints[kept:]
            self._count, place = self._capacity, max(0, place - kept)
        self._times[place + 1 : self._count + 1] = self._times[place : self._count]
        self._joints[place + 1 : self._count + 1] = self._joints[place : self._count]
        self._times[place], self._joints[place] = time, joints
        self._count += 1
        return True

    def nearest(self, time: float) -> tuple[float, Floats]:
        """Return the time and the joints (V, C) of the frame that is nearest in time; there has to be one."""
        after = int(np.searchsorted(self._times[: self._count], time))
        near = [place for place in (after - 1, after) if 0 <= place < self._count]
        best = min(near, key=lambda place: abs(float(self._times[place]) - time))
        return float(self._times[best]), self._joints[best]

    def resampled(self, start: float, stop: float, rate: float, bridge: float) -> Floats:
        """Return the joints (F, V, C) at regular times from `start`, or the first frame after it, to `stop`.

        Between two frames a joint is interpolated if both have it, and is that of the nearer frame otherwise. Where the
        nearest frame is further away than `bridge` seconds the person is absent: all joints are NaN.

        Args:
            start, stop: in seconds.
            rate: frames per second of the result.
            bridge: in seconds.
        """
        times, joints = self._times[: self._count], self._joints[: self._count]
        inside = times >= start
        times, joints = times[inside], joints[inside]
        if not len(times):
            return np.empty((0, *self._joints.shape[1:]), np.float32)
        number = max(0, int(np.floor((stop - times[0]) * rate + 1e-6)) + 1)
        at = stop - np.arange(number)[::-1] / rate
        after = (
            np.clip(np.searchsorted(times, at), 1, max(1, len(times) - 1)) if len(times) > 1 else np.zeros(number, int)
        )
        before = np.maximum(after - 1, 0)
        span = np.where(times[after] > times[before], times[after] - times[before], 1.0)
        share = np.clip((at - times[before]) / span, 0.0, 1.0)[:, None, None]
        first, second = joints[before], joints[after]
        between = (first + share.astype(np.float32) * (second - first)).astype(np.float32)
        nearer = np.where(share < 0.5, first, second)
        result: Floats = np.where(np.isnan(between), nearer, between)
        nearest = np.minimum(np.abs(at - times[before]), np.abs(at - times[after]))
        result[nearest > max(bridge, 1.0 / rate)] = np.nan
        return result
