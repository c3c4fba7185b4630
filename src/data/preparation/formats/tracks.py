"""Bodies that were found frame by frame: which of them are the same person, and which persons a clip keeps.

Legend: M bodies, T frames of a clip, F frames of one track, V joints, C coordinates.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...store.clip import Clip
from .base import BadClip, DroppedClip, Source
from .clip_builder import ClipMetadata, build_clip, refuse_size
from .timing import Timing

MOST_BODIES = 300  # in one frame, the most that detectors keep
_LOST_FRAMES = 30  # a track that was not found for longer is over
_FARTHEST = 0.5  # from one frame to the next a body moves by at most this share of its size

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Detection:
    """One body in one frame.

    Attributes:
        joints: (V, C), NaN where a joint is missing.
        confidence: (V,) from 0 to 1, NaN where a joint is missing.
        track: the tracker's number for the person; None if there is none.
        position: (V, 2) joints by which persons are matched, if all bodies have their origin in themselves.
    """

    joints: Floats
    confidence: Floats
    track: int | None = None
    position: Floats | None = None

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Return which joints (V,) have coordinates: not NaN, and not zeros with the confidence 0."""
        unknown = np.isnan(self.joints).any(axis=1) | np.isnan(self.confidence)
        return np.asarray(~unknown & ((self.confidence != 0) | (self.joints != 0).any(axis=1)))

    @property
    def is_present(self) -> bool:
        """Tell whether any joint was measured; a body of zeros was not."""
        return bool(self.measured.any() and self.joints[self.measured].any())


@dataclass(frozen=True)
class Tracked:
    """The bodies of a recording.

    Attributes:
        joints: (M, T, V, C), NaN where a body is absent or a joint missing.
        confidence: (M, T, V).
        left_out: number of bodies beyond the limit.
    """

    joints: Floats
    confidence: Floats
    left_out: int


def build_tracked_clip(
    name: str,
    metadata: ClipMetadata,
    frames: Sequence[Sequence[Detection]],
    source: Source,
    convert: Callable[[Floats], Floats] | None = None,
    *,
    timing: Timing = Timing(),  # noqa: B008 - it is frozen
) -> Clip:
    """Return the clip of a recording from the bodies of each frame; see `track_bodies` and `build_clip`.

    Raises:
        BadClip: what either of the two refuses.
        DroppedClip: no body is present in any frame.
    """
    found = track_bodies(name, frames, source.bodies)
    return build_clip(
        name,
        metadata,
        found.joints,
        source,
        convert,
        confidence=found.confidence,
        timing=timing,
        left_out=found.left_out,
    )


def track_bodies(name: str, frames: Sequence[Sequence[Detection]], limit: int) -> Tracked:
    """Return the bodies of a recording that were measured most, at most `limit` of them.

    Bodies are the same person if they have the same track number. If any of them has none, a body is the person of an
    earlier frame to whom its joints are nearest. A person who is lost and found again under another number stays one
    person: tracks whose intervals do not overlap are joined, the longest first.

    Raises:
        BadClip: a frame has too many bodies or two of the same track, or there are more coordinates than a recording
            may have.
        DroppedClip: there is no body.
    """
    found = [[body for body in frame if body.is_present] for frame in frames]
    for number, frame in enumerate(found, start=1):
        if len(frame) > MOST_BODIES:
            raise BadClip(name, 0, f"frame {number} has {len(frame)} bodies; at most {MOST_BODIES} are read")
    first = next((body for frame in found for body in frame), None)
    if first is None:
        raise DroppedClip(name, 0, "no skeleton")
    tracks = _by_position(found) if any(each.track is None for f in found for each in f) else _by_number(name, found)
    persons = _persons(tracks)
    kept = persons[:limit]
    shape = (len(kept), len(found), *first.joints.shape)
    refuse_size(name, float(np.prod(shape, dtype=float)))
    joints, confidence = np.full(shape, np.nan), np.full(shape[:3], np.nan)
    for number, person in enumerate(kept):
        for track in person:
            joints[number, track.frames] = [body.joints for body in track.bodies]
            confidence[number, track.frames] = [body.confidence for body in track.bodies]
    return Tracked(joints, confidence, len(persons) - len(kept))


@dataclass
class _Track:
    """One body from frame to frame."""

    frames: list[int] = field(default_factory=list)
    bodies: list[Detection] = field(default_factory=list)

    def add(self, frame: int, body: Detection) -> None:
        self.frames.append(frame)
        self.bodies.append(body)

    @property
    def amount(self) -> float:
        """Return how much was measured: the sum of the confidences of all measured joints."""
        return float(sum(body.confidence[body.measured].sum() for body in self.bodies))

    def overlaps(self, others: Iterable["_Track"]) -> bool:
        """Tell whether its interval overlaps that from the first frame of `others` to the last."""
        parts = list(others)
        first, last = min(part.frames[0] for part in parts), max(part.frames[-1] for part in parts)
        return self.frames[0] <= last and first <= self.frames[-1]


def _by_number(name: str, frames: Sequence[Sequence[Detection]]) -> list[_Track]:
    tracks: dict[int | None, _Track] = {}
    for number, frame in enumerate(frames):
        for body in frame:
            track = tracks.setdefault(body.track, _Track())
            if track.frames and track.frames[-1] == number:
                raise BadClip(name, 0, f"frame {number + 1} has two bodies of the track {body.track}")
            track.add(number, body)
    return list(tracks.values())


def _by_position(frames: Sequence[Sequence[Detection]]) -> list[_Track]:
    tracks: list[_Track] = []
    recent: list[_Track] = []
    for number, frame in enumerate(frames):
        recent = [track for track in recent if number - track.frames[-1] <= _LOST_FRAMES]
        matched = _matches([track.bodies[-1] for track in recent], frame)
        for index, body in enumerate(frame):
            track = recent[matched[index]] if index in matched else _Track()
            if index not in matched:
                tracks.append(track)
                recent.append(track)
            track.add(number, body)
    return tracks


def _matches(earlier: Sequence[Detection], bodies: Sequence[Detection]) -> dict[int, int]:
    """Return the index of the earlier body of each one that has any, the nearest pairs first."""
    if not earlier or not bodies:
        return {}
    with np.errstate(over="ignore", invalid="ignore"):  # absurd coordinates are refused when the clip is built
        distances = _distances(earlier, bodies)
    found: dict[int, int] = {}
    taken: set[int] = set()
    for flat in np.argsort(distances, axis=None, kind="stable").tolist():
        old, new = divmod(flat, len(bodies))
        if not distances[old, new] <= _FARTHEST or len(found) == min(distances.shape):
            break
        if old not in taken and new not in found:
            found[new] = old
            taken.add(old)
    return found


def _distances(earlier: Sequence[Detection], bodies: Sequence[Detection]) -> Floats:
    """Return the distances of all pairs: the mean over common joints, else that of the centres, by the larger size."""
    placed = all(body.position is not None for body in (*earlier, *bodies))
    old, new = (np.stack([_matched_by(body, placed) for body in each]) for each in (earlier, bodies))
    sizes = [np.linalg.norm(np.nanmax(each, axis=1) - np.nanmin(each, axis=1), axis=1) for each in (old, new)]
    distances = np.empty((len(old), len(new)))
    for index, body in enumerate(old):
        apart = np.linalg.norm(new - body, axis=2)  # (N, V)
        common = ~np.isnan(apart)
        counts = common.sum(axis=1)
        centres = np.linalg.norm(np.nanmean(new, axis=1) - np.nanmean(body, axis=0), axis=1)
        means = np.where(common, apart, 0.0).sum(axis=1) / np.maximum(counts, 1)
        distances[index] = np.where(counts > 0, means, centres) / np.maximum(
            np.maximum(sizes[0][index], sizes[1]), 1e-9
        )
    return distances


def _matched_by(body: Detection, placed: bool) -> Floats:
    joints = body.position if placed and body.position is not None else body.joints
    return np.where(body.measured[:, None], joints, np.nan)


def _persons(tracks: Sequence[_Track]) -> list[list[_Track]]:
    """Return the tracks of each person, those who were measured most first."""
    persons: list[list[_Track]] = []
    amounts = [track.amount for track in tracks]
    for index in sorted(range(len(tracks)), key=lambda each: (-amounts[each], tracks[each].frames[0], each)):
        track = tracks[index]
        free = next((person for person in persons if not track.overlaps(person)), None)
        if free is None:
            persons.append([track])
        else:
            free.append(track)
    return persons
