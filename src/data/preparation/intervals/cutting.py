"""Cut the clip of a long recording into labelled clips, by its intervals or into windows.

A frame is counted at the frame rate of the clips, from the first frame of the recording.

Legend: M bodies, T frames, V joints, C coordinates.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....settings.data import DataConfig
from ...store.clip import Clip, Timeline
from ...store.format import full_confidence
from ...store.recordings import LEFT_OUT, Recording, Recordings, Spans
from ..clean import finish_clip
from ..formats.base import BadClip
from ..formats.clip_builder import MAX_COORDINATES
from .plans import Plan, PlannedInterval, Plans
from .rows import time_text

_MOST_COORDINATES = 4 * MAX_COORDINATES  # of all windows of a recording
_CLIPPED_SECONDS = 0.5  # by which an interval may end after its recording
_SHORTEST_SHARE = 4  # a part of the background is at least the longest one divided by this

CLIPPED = "intervals that end after their recording, by less than half a second"
TOO_SHORT = "intervals shorter than a frame, left out"
NO_BODY = "clips without a body, left out"
SHORT_GAPS = "parts between intervals too short for a clip, left out"
MERGED = "overlapping intervals of the same class, merged"


@dataclass
class CutRecordings:
    """The clips that were cut out of recordings.

    Attributes:
        recordings: what is known of each.
        clips: all clips.
        parts: for each, the number of its recording, its first frame there, and the frame after its last.
        counts: how often something was changed or left out, by what it was.
    """

    recordings: list[Recording] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)
    parts: list[tuple[int, int, int]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def notes(self, kept: Sequence[int]) -> dict[str, Any]:
        """Return what is saved of them beside the clips, as JSON values, if only some of the clips are kept."""
        return {
            "recordings": [[each.name, each.frames, each.fps, each.intervals] for each in self.recordings],
            "parts": [self.parts[number] for number in kept],
            "counts": dict(self.counts),
        }


def cut_of(notes: Mapping[str, Any]) -> CutRecordings:
    """Return what `CutRecordings.notes` saved.

    Raises:
        ValueError, TypeError, LookupError: it is something else.
    """
    recordings = [
        Recording(str(name), int(frames), float(fps), tuple((int(a), int(b), int(c)) for a, b, c in intervals))
        for name, frames, fps, intervals in notes["recordings"]
    ]
    parts = [(int(number), int(start), int(stop)) for number, start, stop in notes["parts"]]
    if any(not 0 <= number < len(recordings) for number, _, _ in parts):
        raise ValueError("a part is of no recording")
    return CutRecordings(recordings, [], parts, Counter({str(k): int(v) for k, v in notes["counts"].items()}))


def cut(clip: Clip, plans: Plans, into: CutRecordings) -> None:
    """Cut the clip of a recording, and add its parts.

    Raises:
        BadClip: an interval lies outside the recording, its frame rate is needed and unknown, or there would be too
            many windows.
    """
    plan, config = plans.of[clip.name], plans.config
    timeline = clip.timeline or Timeline(np.arange(clip.joints.shape[1]), clip.joints.shape[1])
    counts: Counter[str] = Counter()
    spans = _spans(clip, plan, timeline, counts)
    recording = Recording(clip.name, timeline.frames, clip.fps, spans)
    way = _windows if config.intervals.cut == "windows" else _intervals
    subject = plan.subject or clip.subject
    found = []
    for start, stop, label in way(clip, recording, plans, counts):
        part = part_of(clip, timeline, config.skeleton.center, start, stop)
        if part is None:
            counts[NO_BODY] += 1
            continue
        name = f"{clip.name}/{start:06d}-{stop:06d}"
        found.append((replace(part, name=name, label=label, subject=subject), start, stop))
    into.counts.update(counts)
    into.clips += [part for part, _, _ in found]
    into.parts += [(len(into.recordings), start, stop) for _, start, stop in found]
    into.recordings.append(recording)


def _spans(clip: Clip, plan: Plan, timeline: Timeline, counts: Counter[str]) -> Spans:
    """Return first frame, frame after the last, and label of each interval."""
    spans = []
    for each in plan.intervals:
        start, stop = _frames(clip, each, timeline)
        allowed = max(1.0, _CLIPPED_SECONDS * clip.fps)
        if start >= timeline.frames or stop > timeline.frames + allowed:
            unit = "frames" if each.in_frames else "s"
            length = f"{timeline.frames} frames"
            length += f", {time_text(timeline.frames / clip.fps)} s" if clip.fps else ""
            raise BadClip(
                clip.name, 0, f"{each.where}: the interval {each.span} {unit} lies outside the "
                f"recording of {length}: correct the table",
            )  # fmt: skip
        if stop > timeline.frames:
            counts[CLIPPED] += 1
            stop = timeline.frames
        if stop > start:
            spans.append((start, stop, each.label))
        else:
            counts[TOO_SHORT] += 1
    return tuple(spans)


def _frames(clip: Clip, interval: PlannedInterval, timeline: Timeline) -> tuple[int, int]:
    """Return the first frame of an interval, and the one after its last, both rounded to the nearest."""
    if not interval.in_frames:
        fps = _known_rate(clip, interval.where)
        return _nearest(interval.start * fps), _nearest(interval.stop * fps)
    start, stop = int(interval.start), int(interval.stop)
    recorded = timeline.recorded
    if recorded is None:
        return start, stop
    after = timeline.frames - len(recorded)  # the frames after the last one continue at the same distance
    limits = [_nearest(recorded[each]) if each < len(recorded) else each + after for each in (start, stop)]
    return limits[0], limits[1]


def _nearest(value: float) -> int:
    return math.floor(value + 0.5)


def _known_rate(clip: Clip, where: str) -> float:
    if not clip.fps:
        raise BadClip(
            clip.name, 0, f"{where}: its frame rate is unknown, so seconds cannot become frames: give data.source_fps "
            "(start: --source_fps), or columns start_frame and stop_frame and data.intervals.unit: frames",
        )  # fmt: skip
    return clip.fps


def _length(clip: Clip, config: DataConfig, value: float) -> int:
    """Return a length of `data.intervals` in frames."""
    in_frames = config.intervals.unit == "frames"
    return max(1, _nearest(value if in_frames else value * _known_rate(clip, "data.intervals")))


def _intervals(clip: Clip, recording: Recording, plans: Plans, counts: Counter[str]) -> Iterator[tuple[int, int, int]]:
    """Yield the intervals and the parts of the background in the order of time."""
    longest = _length(clip, plans.config, plans.config.intervals.background_length)
    end = 0
    known = [span for span in recording.intervals if span[2] == LEFT_OUT or span[2] != plans.background]
    for start, stop, label in (*known, (recording.frames, recording.frames, LEFT_OUT)):
        if plans.background != LEFT_OUT and start > end:
            if (start - end) * _SHORTEST_SHARE < longest:
                counts[SHORT_GAPS] += 1
            else:
                pieces = math.ceil((start - end) / longest)
                edges = [end + (start - end) * number // pieces for number in range(pieces + 1)]
                yield from ((a, b, plans.background) for a, b in pairwise(edges))
        if label != LEFT_OUT:
            yield start, stop, label
        end = stop


def _windows(clip: Clip, recording: Recording, plans: Plans, counts: Counter[str]) -> Iterator[tuple[int, int, int]]:  # noqa: ARG001
    """Yield windows over the whole recording, each with the label of most of its frames; of equals that of an event."""
    length, stride = (
        _length(clip, plans.config, value)
        for value in (plans.config.intervals.window_length, plans.config.intervals.stride_length)
    )
    length = min(length, recording.frames)
    starts = window_starts(recording.frames, length, stride)
    size = len(starts) * length * clip.joints.shape[0] * clip.joints[0, 0].size
    if size > _MOST_COORDINATES:
        raise BadClip(
            clip.name, 0, f"{len(starts)} windows of {length} frames would have {size} coordinates; at most "
            f"{_MOST_COORDINATES} are possible: raise data.intervals.stride",
        )  # fmt: skip
    labels = recording.labels(plans.background)
    for start in starts:
        values, numbers = np.unique(labels[start : start + length], return_counts=True)
        best = max(zip(numbers, (value not in (plans.background, LEFT_OUT) for value in values), -values, strict=True))
        if (label := int(-best[2])) != LEFT_OUT:
            yield start, start + length, label


def window_starts(frames: int, length: int, stride: int) -> list[int]:
    """Return the first frames of windows over a recording; the last window ends with the recording.

    Args:
        frames: of the recording, at least `length`.
        length: of a window, in frames.
        stride: the distance of two windows, in frames; to the last one it may be shorter.
    """
    last = frames - length
    starts = list(range(0, last + 1, stride))
    return starts if starts[-1] == last else [*starts, last]


def part_of(clip: Clip, timeline: Timeline, center: int, start: int, stop: int) -> Clip | None:
    """Return the frames from `start` to before `stop` as a centred clip; None if there is no body."""
    first, end = np.searchsorted(timeline.numbers, [start, stop])
    mask = clip.joint_mask[:, first:end]
    if not mask.any():
        return None
    points = np.where(mask[..., None], clip.joints[:, first:end].astype(np.float64), np.nan)
    joints, joint_mask, kept = finish_clip(points, center, keep_gaps=clip.fps > 0)
    frame_mask: NDArray[np.bool_] = np.asarray(joint_mask.any(axis=2))
    confidence = None if clip.confidence is None else clip.confidence[:, first:end][kept]
    if confidence is not None and np.array_equal(confidence, full_confidence(frame_mask, joints.shape[2])):
        confidence = None
    return replace(
        clip, joints=joints, frame_mask=frame_mask, confidence=confidence, retimed="", bodies_left_out=0, timeline=None
    )


def recordings_in_store(parts: Sequence[CutRecordings], background: int, *, are_windows: bool) -> Recordings:
    """Return the long recordings of a store from those of its chunks, in order."""
    before = np.cumsum([0, *(len(each.recordings) for each in parts)])
    positions = [
        (number + first, start, stop)
        for each, first in zip(parts, before, strict=False)
        for number, start, stop in each.parts
    ]
    everything = tuple(recording for each in parts for recording in each.recordings)
    return Recordings(everything, background, are_windows, np.array(positions, np.int64).reshape(-1, 3))
