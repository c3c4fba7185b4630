"""Which clips of a store are parts of the same recording, where in it, and what is known of the recordings.

A store of long recordings has them in its header, under `recordings`; in memory the index then has the columns
`recording`, `start` and `stop`. A frame of a recording is counted at the frame rate of its clips, from its first one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...utils.foreign_text import is_readable

RECORDING = "recording"  # a column of the index in memory, if the source has recordings longer than a clip
START, STOP = "start", "stop"  # its first frame in the recording, and the one after its last
LEFT_OUT = -1  # the label of time that belongs to no class
MOST_FRAMES = 1 << 31
_FASTEST = 1e6  # frames per second
_COLUMNS = (RECORDING, START, STOP)

Spans = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Recording:
    """One long recording.

    Attributes:
        name: its name.
        frames, fps: number of frames, and frames per second (0 if unknown).
        intervals: first frame, frame after the last, and label of each, in the order of time and without overlap; the
            label is `LEFT_OUT` where its class is not one of the data set.
    """

    name: str
    frames: int
    fps: float
    intervals: Spans = ()

    def labels(self, background: int) -> NDArray[np.int64]:
        """Return the true label of each frame, (frames,); `background` where there is no interval."""
        labels = np.full(self.frames, background, np.int64)
        for start, stop, label in self.intervals:
            labels[start:stop] = label
        return labels


@dataclass(frozen=True, eq=False)
class Recordings:
    """The long recordings of a store, and the place of each clip in one of them.

    Attributes:
        all: the recordings.
        background: the label of time in no interval, or `LEFT_OUT`.
        are_windows: whether the clips are windows over the whole recordings; otherwise they follow the intervals.
        parts: (N, 3) int64, for each clip the number of its recording, its first frame, and the one after its last.
    """

    all: tuple[Recording, ...]
    background: int
    are_windows: bool
    parts: NDArray[np.int64]

    def header(self) -> dict[str, Any]:
        """Return them as JSON values; long lists of numbers are texts, since a header has one value per line."""
        return {
            "background": self.background,
            "are_windows": self.are_windows,
            "parts": _text_of(self.parts),
            "all": [
                {"name": each.name, "frames": each.frames, "fps": each.fps, "intervals": _text_of(each.intervals)}
                for each in self.all
            ],
        }


def recordings_of(clips: NDArray[np.void]) -> NDArray[np.int64]:
    """Return the number of each clip's recording, (N,): clips with the same number must be in the same part of a split.

    Without long recordings every clip is one of its own.

    Args:
        clips: the index of a store.
    """
    if RECORDING in (clips.dtype.names or ()):
        return np.asarray(clips[RECORDING], np.int64)
    return np.arange(len(clips))


def in_recordings_of(clips: NDArray[np.void], some: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which clips are of the same recording as one of `some`, themselves included, (N,).

    Args:
        clips: the index of a store.
        some: the indices of the clips that are looked for.
    """
    recordings = recordings_of(clips)
    return np.isin(recordings, recordings[some])


def as_type(clips: NDArray[np.void], wanted: np.dtype[np.void]) -> NDArray[np.void]:
    """Return an index with the columns of another type: zero those that it lacks, and without others of its own."""
    index = np.zeros(len(clips), wanted)
    for column in set(wanted.names or ()) & set(clips.dtype.names or ()):
        index[column] = clips[column]
    return index


def with_recordings(clips: NDArray[np.void], recordings: Recordings | None) -> NDArray[np.void]:
    """Return an index with the columns `recording`, `start` and `stop`, if there are long recordings."""
    if recordings is None:
        return clips
    extended = as_type(clips, np.dtype([*clips.dtype.descr, *((name, "<i8") for name in _COLUMNS)]))
    for number, name in enumerate(_COLUMNS):
        extended[name] = recordings.parts[:, number]
    return extended


def read_recordings(values: object, clips: int, classes: int) -> Recordings | None:
    """Return what `Recordings.header` wrote; None if there is nothing.

    Args:
        values: the content of the header.
        clips, classes: their number in the store.

    Raises:
        ValueError: it is not what is written there.
    """
    if values is None:
        return None
    if not isinstance(values, Mapping) or not isinstance(values.get("all"), list):
        raise ValueError("its recordings are not a list")
    background, are_windows = values.get("background"), values.get("are_windows")
    if type(background) is not int or not LEFT_OUT <= background < classes or not isinstance(are_windows, bool):
        raise ValueError("its recordings have an impossible background, or way of cutting")
    recordings = tuple(_recording(each, classes) for each in values["all"])
    parts = _numbers_of(values.get("parts"))
    if parts.shape != (clips, 3):
        raise ValueError(f"its recordings have {len(parts)} parts for {clips} clips")
    number, start, stop = parts.T
    frames = np.array([each.frames for each in recordings], np.int64)
    if clips and ((number < 0) | (number >= len(recordings))).any():
        raise ValueError("a clip is of a recording that is not listed")
    if ((start < 0) | (stop <= start)).any() or (clips and (stop > frames[number]).any()):
        raise ValueError("a clip lies outside its recording")
    return Recordings(recordings, background, are_windows, parts)


def _recording(values: object, classes: int) -> Recording:
    if not isinstance(values, Mapping):
        raise ValueError("a recording is not described")
    name, frames, fps = values.get("name"), values.get("frames"), values.get("fps")
    if not isinstance(name, str) or not is_readable(name):
        raise ValueError("the name of a recording is no text")
    if not isinstance(frames, int) or not isinstance(fps, int | float) or isinstance(frames, bool):
        raise ValueError(f"the recording {name[:80]!r} has no length or frame rate")
    if not (0 < frames < MOST_FRAMES and 0 <= fps <= _FASTEST):
        raise ValueError(f"the recording {name[:80]!r} has an impossible length or frame rate")
    spans = _numbers_of(values.get("intervals"))
    starts, stops, labels = spans.T
    edges = np.stack([starts, stops], axis=1).ravel()
    if (stops <= starts).any() or (np.diff(edges) < 0).any() or (edges < 0).any() or (edges > frames).any():
        raise ValueError(f"the intervals of the recording {name[:80]!r} overlap or lie outside it")
    if ((labels < LEFT_OUT) | (labels >= classes)).any():
        raise ValueError(f"an interval of the recording {name[:80]!r} has a label outside the {classes} classes")
    return Recording(name, frames, float(fps), tuple((int(a), int(b), int(c)) for a, b, c in spans))


def _text_of(rows: Sequence[Sequence[int]] | NDArray[np.int64]) -> str:
    return ",".join(" ".join(str(int(number)) for number in row) for row in rows)


def _numbers_of(text: object) -> NDArray[np.int64]:
    """Return rows of three whole numbers, (N, 3), from their text."""
    if not isinstance(text, str) or not text.isascii():
        raise ValueError("its recordings have no list of numbers")
    rows = [row.split(" ") for row in text.split(",")] if text else []
    if any(
        len(row) != 3 or not all(len(each) <= 12 and each.removeprefix("-").isdecimal() for each in row) for row in rows
    ):
        raise ValueError("its recordings have a list of other than three numbers")
    return np.array([[int(each) for each in row] for row in rows], np.int64).reshape(-1, 3)
