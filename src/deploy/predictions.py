"""What a model says about a clip: about the whole of it, about each body alone, or in windows over a long recording.

Frames are counted from the first one of the recording.

Legend: M bodies, V joints, C coordinates, K classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import numpy as np

from ..data.preparation.formats import BadClip
from ..data.preparation.intervals.cutting import part_of, window_starts
from ..data.store.clip import Clip, Timeline
from .contract import Floats
from .recognizer import NoBody, Recognizer

MOST_WINDOWS = 100_000  # of a recording
NOBODY = -1


@dataclass(frozen=True)
class Length:
    """A length of time above 0, in seconds or in frames."""

    value: float
    in_frames: bool

    def frames(self, name: str, fps: float) -> int:
        """Return the length in frames of a recording, at least 1.

        Raises:
            BadClip: it is in seconds and the frame rate of the recording is unknown, which is 0.
        """
        if not self.in_frames and not fps:
            raise BadClip(
                name, 0, "its frame rate is unknown, so a window in seconds cannot become frames: give the window in "
                "frames, such as 60f, or the frame rate with --source_fps",
            )  # fmt: skip
        return max(1, round(self.value if self.in_frames else self.value * fps))


@dataclass(frozen=True)
class Choices:
    """What is to be said about a clip.

    Attributes:
        per_body: classify each body alone.
        window: the length of the windows; None for the clip as a whole.
        stride: the distance of two windows; None for half a window.
    """

    per_body: bool = False
    window: Length | None = None
    stride: Length | None = None


@dataclass(frozen=True, eq=False)
class Span:
    """Frames from `start` to before `stop`, with the probabilities (K,) of the classes; None if there is no body."""

    start: int
    stop: int
    probabilities: Floats | None

    @property
    def best(self) -> int:
        """Return the most probable class, or `NOBODY`."""
        return NOBODY if self.probabilities is None else int(np.argmax(self.probabilities))


@dataclass(frozen=True, eq=False)
class Track:
    """What is said about all bodies, or about one.

    Attributes:
        body: counted from 1; 0 for all bodies together.
        whole: the whole recording; None if there are windows.
        windows: windows in the order of time; they may overlap.
    """

    body: int
    whole: Span | None
    windows: Sequence[Span] = ()

    def running(self) -> list[Span]:
        """Return which prediction holds when: spans without an overlap or a gap, each frame in the nearest window.

        A frame between two windows, which a stride longer than a window leaves out, is in the nearest one too.
        """
        if self.whole is not None:
            return [self.whole]
        middles = [(a.start + a.stop + b.start + b.stop) // 4 for a, b in pairwise(self.windows)]
        edges = [self.windows[0].start, *middles, self.windows[-1].stop]
        return [
            replace(window, start=start, stop=stop)
            for window, (start, stop) in zip(self.windows, pairwise(edges), strict=True)
        ]

    def intervals(self) -> list[Span]:
        """Return `running`, with successive spans of the same class merged; of these the mean of the probabilities."""
        merged = []
        for _, group in groupby(self.running(), key=lambda span: span.best):
            spans = list(group)
            probabilities = [span.probabilities for span in spans if span.probabilities is not None]
            mean = np.mean(probabilities, axis=0).astype(np.float32) if probabilities else None
            merged.append(Span(spans[0].start, spans[-1].stop, mean))
        return merged


@dataclass(frozen=True)
class ClipPredictions:
    """What is said about a clip.

    Attributes:
        clip: the clip; its timeline says which frames of the recording it has.
        frames: of the recording.
        tracks: one of all bodies, or one of each body.
    """

    clip: Clip
    frames: int
    tracks: Sequence[Track]


def classify(recognizer: Recognizer, clip: Clip, choices: Choices) -> ClipPredictions:
    """Return what a model says about a clip.

    Args:
        recognizer: the model.
        clip: of the model's layout, with any number of bodies; without `per_body` the first ones are used.
        choices: what to say.

    Raises:
        BadClip: the frame rate is needed and unknown, or there would be too many windows.
        NoBody: no joint is certain enough for the model.
    """
    timeline = clip.timeline or Timeline(np.arange(clip.joints.shape[1]), clip.joints.shape[1])
    frames = timeline.frames
    numbers: Sequence[int | None] = range(len(clip.joints)) if choices.per_body else [None]
    tracks = []
    for number in numbers:
        one = clip if number is None else _only(clip, number)
        body = 0 if number is None else number + 1
        if choices.window is None:
            part = clip if number is None else _part(recognizer, one, timeline, 0, frames)
            tracks.append(Track(body, Span(0, frames, _probabilities(recognizer, part))))
        else:
            tracks.append(Track(body, None, list(_windows(recognizer, one, timeline, choices))))
    found = [span for track in tracks for span in (track.whole, *track.windows) if span is not None]
    if all(span.probabilities is None for span in found):
        raise NoBody(recognizer.facts.min_confidence)
    return ClipPredictions(clip, frames, tracks)


def _windows(recognizer: Recognizer, clip: Clip, timeline: Timeline, choices: Choices) -> Iterator[Span]:
    assert choices.window is not None
    length = choices.window.frames(clip.name, clip.fps)
    stride = max(1, length // 2) if choices.stride is None else choices.stride.frames(clip.name, clip.fps)
    length = min(length, timeline.frames)
    starts = window_starts(timeline.frames, length, stride)
    if len(starts) > MOST_WINDOWS:
        raise BadClip(clip.name, 0, f"would have {len(starts)} windows; at most {MOST_WINDOWS} are possible")
    for start in starts:
        part = _part(recognizer, clip, timeline, start, start + length)
        yield Span(start, start + length, _probabilities(recognizer, part))


def _part(recognizer: Recognizer, clip: Clip, timeline: Timeline, start: int, stop: int) -> Clip | None:
    return part_of(clip, timeline, recognizer.facts.layout.center, start, stop)


def _only(clip: Clip, body: int) -> Clip:
    """Return a clip with one of its bodies, as yet with the frames and the origin of all of them."""
    only = slice(body, body + 1)
    confidence = None if clip.confidence is None else clip.confidence[only]
    return replace(clip, joints=clip.joints[only], frame_mask=clip.frame_mask[only], confidence=confidence)


def _probabilities(recognizer: Recognizer, clip: Clip | None) -> Floats | None:
    """Return the probabilities (K,) for a clip; None if there is no body."""
    try:
        return None if clip is None else recognizer.probabilities(clip)
    except NoBody:
        return None
