"""Bring a recording with timestamps, or with a frame rate other than the wanted one, to frames at equal intervals.

Legend: M bodies, F frames of the recording, T frames afterwards, V joints, C coordinates.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....settings.data import FASTEST, SLOWEST
from ....utils.numbers import counted
from .base import MOST_FRAMES, BadClip

Floats = NDArray[np.float64]

_GAP_INTERVALS = 1.5  # an interval longer than this many usual ones is a gap: frames are missing in it
_LONG_GAP_S = 10.0  # a gap that is longer has its length in the report
_SAME_SHARE = 0.01  # frames that are closer than this share of most intervals have the same time
_LATEST_S = 1e20  # above every clock, also one of nanoseconds since 1970
_REGULAR = 0.02  # times that are off by less, as a share of the usual interval, are those of a constant rate
_TIME_UNITS = (0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6)  # seconds; what timestamps are commonly rounded to
_BROADCAST = 1000 / 1001  # 29.97 frames per second are 30,000 in 1,001 seconds


@dataclass(frozen=True)
class Timing:
    """When the frames of a recording were taken.

    Attributes:
        times: (F,) in seconds; None if only the rate is known.
        fps: frames per second; 0 if unknown.
    """

    times: Floats | None = None
    fps: float = 0.0

    @property
    def is_known(self) -> bool:
        """Tell whether anything is known."""
        return self.times is not None or self.fps > 0


@dataclass(frozen=True)
class Frames:
    """The frames that a clip is made of.

    Attributes:
        before, after: (T,) the frames of the recording next to each, equal where it is one of them.
        weight: (T,) the share of the frame after it.
        absent: (T,) bool, frames within a gap, in which nothing was recorded.
        fps: frames per second.
        repeated, backward, ahead: how many frames were left out since their time repeats an earlier one, lies before
            it, or is alone after those of the next frames.
        gaps, longest_gap: how many gaps there are, and the seconds of the longest.
        recorded: (F,) where each frame of the recording lies among these frames; None if they are the recording's.
    """

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    weight: Floats
    absent: NDArray[np.bool_]
    fps: float
    repeated: int = 0
    backward: int = 0
    ahead: int = 0
    gaps: int = 0
    longest_gap: float = 0.0
    recorded: Floats | None = None

    @property
    def repairs(self) -> str:
        """Return what was repaired, such as `2 frames of a repeated time, 1 gap`; empty if nothing was."""
        found = []
        if self.repeated:
            found.append(f"{counted(self.repeated, 'frame')} of a repeated time")
        if self.backward:
            found.append(f"{counted(self.backward, 'frame')} before an earlier one")
        if self.ahead:
            found.append(f"{counted(self.ahead, 'frame')} of a time after the next ones")
        if self.gaps:
            length = f", the longest of {self.longest_gap:,.0f} s" if self.longest_gap > _LONG_GAP_S else ""
            found.append(counted(self.gaps, "gap") + length)
        return ", ".join(found)

    def of(self, values: Floats) -> Floats:
        """Return the values (M, F, ...) of the recording at the clip's frames, (M, T, ...), NaN in a gap.

        Where a value is NaN in one of the two neighbours, that of the nearer one is taken.
        """
        weight = self.weight.reshape(-1, *(1,) * (values.ndim - 2))
        before, after = values[:, self.before], values[:, self.after]
        return self._complete(before + weight * (after - before), before, after)

    def confidence_of(self, certain: Floats) -> Floats:
        """Return the confidences (M, F, V) at the clip's frames: that of a mixed frame is the lower of the two."""
        before, after = certain[:, self.before], certain[:, self.after]
        weight = self.weight[:, None]
        mixed = np.where(weight == 0, before, np.where(weight == 1, after, np.minimum(before, after)))
        return self._complete(mixed, before, after)

    def _complete(self, mixed: Floats, before: Floats, after: Floats) -> Floats:
        nearer = np.where(self.weight.reshape(-1, *(1,) * (mixed.ndim - 2)) <= 0.5, before, after)
        mixed = np.where(np.isnan(mixed), nearer, mixed)
        mixed[:, self.absent] = np.nan
        return mixed


def clip_frames(name: str, count: int, timing: Timing, wanted_fps: float) -> Frames | None:
    """Return the frames of a clip; None if it is made of the recording's frames as they are.

    Args:
        name: the recording, for errors.
        count: F.
        timing: when they were taken.
        wanted_fps: frames per second of the clip; 0 keeps the recording's own.

    Raises:
        BadClip: the times are no numbers, not one per frame, in another unit than seconds, or mostly run backwards.
    """
    if timing.times is None:
        if not timing.fps or not wanted_fps or timing.fps == wanted_fps:
            return None
        taken = np.arange(count) / timing.fps
        found = _at_equal_intervals(name, taken, np.arange(count), wanted_fps, timing.fps)
        return replace(found, recorded=taken * found.fps)
    times = _checked(name, count, timing.times)
    ahead = _ahead(times)
    reached = np.maximum.accumulate(np.where(ahead, -np.inf, times))
    highest = np.r_[-np.inf, reached[:-1]]
    later = ~ahead & (times > highest + _same_within(reached))
    backward, left_out = int((~ahead & (times < highest)).sum()), int(ahead.sum())
    omitted: dict[str, Any] = {
        "repeated": int((~later).sum()) - backward - left_out,
        "backward": backward,
        "ahead": left_out,
    }
    if later.sum() < max(1, count / 2):
        remedy = "sort its frames by time, or look for wrong timestamps"
        raise BadClip(name, 0, f"most of its timestamps repeat or run backwards: {remedy}")
    kept = np.flatnonzero(later)
    usual = _usual_interval(name, times[kept])
    if not usual:
        return replace(_as_recorded(kept, 0.0), **omitted)
    intervals = np.diff(times[kept])
    gaps = intervals[intervals > _GAP_INTERVALS * usual]
    own_fps, even_times = _constant_rate(times[kept], usual, wanted_fps)
    index = (np.cumsum(later) - 1).clip(0)  # of each frame among those that are kept
    if own_fps and not len(gaps) and wanted_fps in (0, own_fps):
        recorded = None if len(kept) == count else index.astype(np.float64)
        return replace(_as_recorded(kept, own_fps), recorded=recorded, **omitted)
    own_fps = own_fps or 1 / usual
    _refuse_rate(name, own_fps)
    found = _at_equal_intervals(name, even_times, kept, wanted_fps or own_fps, own_fps)
    _refuse_empty(name, kept, intervals, usual)
    found = replace(found, gaps=len(gaps), longest_gap=float(gaps.max(initial=0)), **omitted)
    return replace(found, recorded=even_times[index] * found.fps)


def _ahead(times: Floats) -> NDArray[np.bool_]:
    """Return which frames alone have a time after those of the next two, which increase from the one before: (F,)."""
    ahead = np.zeros(len(times), bool)
    if len(times) < 4:
        return ahead
    before = np.r_[-np.inf, times[:-3]]
    each, following, second = times[:-2], times[1:-1], times[2:]
    ahead[:-2] = (each > second) & (second > following) & (following > before)
    return ahead


def _same_within(reached: Floats) -> float:
    """Return the seconds within which two frames count as of one time, given the highest time up to each, (F,).

    No camera takes frames that are closer; with such an interval among them the frame rate would be absurd.
    """
    intervals = np.diff(reached[np.isfinite(reached)])
    intervals = intervals[intervals > 0]
    return min(_SAME_SHARE * float(np.quantile(intervals, 0.75)), 0.5 / FASTEST) if len(intervals) else 0.0


def _refuse_empty(name: str, kept: NDArray[np.int64], intervals: Floats, usual: float) -> None:
    """Refuse a recording of which one long gap is the larger part, as a wrong first or last timestamp makes it."""
    longest = int(intervals.argmax())
    recorded = float(intervals[intervals <= _GAP_INTERVALS * usual].sum())
    if intervals[longest] > max(_LONG_GAP_S, recorded):
        where = f"for {intervals[longest]:,.0f} s between frames {kept[longest] + 1} and {kept[longest + 1] + 1}"
        remedy = "look for a wrong timestamp, or make two recordings of it"
        raise BadClip(name, 0, f"nothing was recorded {where}, longer than all the rest: {remedy}")


def _as_recorded(frames: NDArray[np.int64], fps: float) -> Frames:
    """Return frames of the recording, none of them mixed or absent."""
    return Frames(frames, frames, np.zeros(len(frames)), np.zeros(len(frames), bool), fps)


def _checked(name: str, count: int, times: Floats) -> Floats:
    if times.shape != (count,):
        raise BadClip(name, 0, f"has timestamps of the shape {times.shape} for {count} frames: every frame needs one")
    if not np.isfinite(times).all():
        frame = int(np.flatnonzero(~np.isfinite(times))[0]) + 1
        raise BadClip(name, 0, f"frame {frame} has no finite timestamp: every frame needs its time in seconds")
    if (np.abs(times) > _LATEST_S).any():
        frame = int(np.flatnonzero(np.abs(times) > _LATEST_S)[0])
        raise BadClip(name, 0, f"frame {frame + 1} has the time {times[frame]:g} s: look for a wrong timestamp")
    return times


def timing_of_rate(name: str, fps: float, line: int = 0) -> Timing:
    """Return the timing of a recording that states its frame rate.

    Args:
        name, line: the recording and the line of the statement, for errors.
        fps: frames per second.

    Raises:
        BadClip: the rate is not plausible.
    """
    if not SLOWEST <= fps <= FASTEST:
        raise BadClip(name, line, f"`fps` should be a number from {SLOWEST:g} to {FASTEST:g}, not {fps:g}")
    return Timing(fps=fps)


def refuse_other_rate(name: str, times: Floats, fps: float) -> None:
    """Refuse a recording whose timestamps (F,) are not about those of the frame rate that it states as well.

    Raises:
        BadClip: they differ by more than a tenth.
    """
    later = np.diff(times)
    later = later[later > 0]  # not NaN either
    found = 1 / float(np.median(later)) if len(later) else fps
    if not abs(found - fps) <= 0.1 * abs(found):
        raise BadClip(name, 0, f"its fps is {fps:g}, but its times are those of {found:.4g}: keep the right ones alone")


def _usual_interval(name: str, times: Floats) -> float:
    """Return the usual interval of increasing times in seconds; 0 for a single frame."""
    if len(times) < 2:
        return 0.0
    usual = float(np.median(np.diff(times)))
    _refuse_rate(name, 1 / usual)
    return usual


def _refuse_rate(name: str, fps: float) -> None:
    if not SLOWEST <= fps <= FASTEST:
        raise BadClip(
            name,
            0,
            f"its timestamps give {fps:.4g} frames per second: they should be in seconds, not in another unit",
        )


def _constant_rate(times: Floats, usual: float, wanted_fps: float) -> tuple[float, Floats]:
    """Return the constant rate that increasing times may have been recorded with, and the times at that rate.

    Timestamps are rounded, often to milliseconds: 33, 33 and 34 ms are those of 30 frames per second. A rate is
    possible if every time differs from that of its frame by at most half a unit, or by little. Of the possible rates
    the wanted one is taken, else a whole number or that of a broadcast, else the mean one. Frames that were dropped
    leave gaps of whole intervals.

    Returns:
        The rate in frames per second, 0 if it is not constant; and the times from 0 in seconds, (F,).
    """
    since = times - times[0]
    intervals = np.diff(times)
    interval = intervals[intervals <= _GAP_INTERVALS * usual].mean()
    numbers = np.r_[0.0, np.cumsum(np.maximum(1, np.round(intervals / interval)))]
    mean = float(numbers[-1] / since[-1])
    whole = round(mean), round(mean / _BROADCAST) * _BROADCAST
    for tolerance in (_time_unit(times, usual), 2 * _REGULAR * usual):
        for fps in (wanted_fps, *whole, mean):
            if fps > 0 and np.ptp(since - numbers / fps) <= tolerance:
                return float(fps), numbers / fps
    return 0.0, since


def _time_unit(times: Floats, usual: float) -> float:
    """Return the unit in seconds that times are rounded to: the largest that is below their usual interval."""
    precision = 4 * float(np.spacing(np.abs(times).max()))
    for unit in _TIME_UNITS:
        off = np.abs(times - np.round(times / unit) * unit)
        if unit < usual and (off <= max(precision, 1e-3 * unit)).all():
            return unit + precision
    return precision


def _at_equal_intervals(name: str, times: Floats, frames: NDArray[np.int64], fps: float, own_fps: float) -> Frames:
    """Return frames at equal intervals from the first of `times`, which increase from 0, to the last."""
    last = float(np.floor(times[-1] * fps + 1e-6))  # infinite where a time is absurd
    if last >= MOST_FRAMES:
        raise BadClip(
            name,
            0,
            f"would have {last + 1:.6g} frames at {fps:g} frames per second, at most {MOST_FRAMES} are possible: "
            "look for a wrong timestamp, or choose a lower data.fps",
        )
    count = int(last) + 1
    wanted = np.arange(count) / fps
    after = np.searchsorted(times, wanted - 1e-9).clip(0, len(times) - 1)
    before = np.where(times[after] <= wanted + 1e-9, after, after - 1).clip(0)
    span = times[after] - times[before]
    weight = np.divide(wanted - times[before], span, out=np.zeros(count), where=span > 0).clip(0, 1)
    nearest = np.minimum(wanted - times[before], times[after] - wanted)
    absent = (span * own_fps > _GAP_INTERVALS) & (nearest * own_fps > 0.5)
    # Within a gap only the frame nearest to a recorded one is that one; nothing is interpolated across.
    weight = np.where(span * own_fps > _GAP_INTERVALS, np.round(weight), weight)
    return Frames(frames[before], frames[after], weight, absent, fps)
