"""Clean tracked bodies: keep at most two actors and the frames with at least one of them, around a common origin.

A depth camera's tracker loses people, finds them again under a new id, and mistakes furniture for people. The
rules are those of SGN and CTR-GCN (Chen et al., ICCV 2021), which later work uses too, with one difference:
intervals that share a single frame overlap here, so that no frame is written twice.

Legend: M bodies, T frames of a clip, F frames of one body, V joints, C coordinates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST_NOISE_FRAMES = 11
NOISY_WIDTH_TO_HEIGHT = 0.8
NOISY_FRAME_SHARE = 0.69754

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Body:
    """One tracked body before cleaning.

    Attributes:
        id: the tracker's exact number for it.
        frames: (F,) the frames in which it was tracked, ascending.
        joints: (F, V, C) its joints in those frames.
        confidence: (F, V) from 0 to 1, of each joint; None if the tracker gives none.
    """

    id: int
    frames: NDArray[np.int64]
    joints: Floats
    confidence: Floats | None = None

    @property
    def first(self) -> int:
        """Return the first frame in which the body was tracked."""
        return int(self.frames[0])

    @property
    def last(self) -> int:
        """Return the last frame in which the body was tracked."""
        return int(self.frames[-1])


def present(joints: NDArray[Any]) -> Mask:
    """Return where a body (...) is present, given joints (..., V, C) as recorded.

    A body whose coordinates are all zero or NaN in a frame is absent from it: trackers and array files use these
    values for people who were not seen.
    """
    return np.asarray(~((joints == 0) | np.isnan(joints)).all(axis=(-2, -1)))


def clean_bodies(bodies: Sequence[Body], limit: int, *, keep_empty: bool = False) -> tuple[Floats, Floats]:
    """Merge the tracked bodies of one recording into at most `limit` actors.

    The result does not depend on the order of `bodies`, which may not be empty: they are sorted by first frame, then
    id, and this order also breaks ties. Frames in which a body is not `present` are ignored, and with `keep_empty`
    they stay as frames without a body, so that the others keep their numbers.

    Returns:
        joints (M, T, V, C), not yet centred, zeros where an actor is absent, and their confidences (M, T, V). T is the
        number of frames with an actor, and may be 0.
    """
    actors = choose_actors(bodies)[:limit]
    parts = [part.frames for actor in actors for part in actor]
    seen = np.unique(np.concatenate(parts)) if parts else np.empty(0, np.int64)
    if keep_empty and len(seen):
        seen = np.arange(seen[-1] + 1)
    joints = np.zeros((len(actors), len(seen), *bodies[0].joints.shape[1:]))
    confidence = np.ones(joints.shape[:3])
    for number, actor in enumerate(actors):
        for part in actor:
            indices = np.searchsorted(seen, part.frames)
            joints[number, indices] = part.joints
            if part.confidence is not None:
                confidence[number, indices] = part.confidence
    return joints, confidence


def choose_actors(bodies: Sequence[Body]) -> list[list[Body]]:
    """Return the tracked bodies that make up actor 1 and, if there is one, actor 2."""
    nonempty = [part for part in map(_where_present, bodies) if len(part.frames)]
    ordered = sorted(nonempty, key=lambda body: (body.first, body.id))
    ordered = _without(ordered, lambda body: len(body.frames) <= LONGEST_NOISE_FRAMES)
    ordered = _without(ordered, lambda body: noisy_frames(body.joints).mean() >= NOISY_FRAME_SHARE)
    if len(ordered) > 1:
        ordered.sort(key=body_motion, reverse=True)

    actors: list[_Actor] = []
    for body in ordered:
        free = next((actor for actor in actors if not actor.overlaps(body)), None)
        if free is not None:
            free.add(body)
        elif len(actors) < 2:
            actors.append(_Actor([body], body.first, body.last))
    return [actor.parts for actor in actors]


@dataclass
class _Actor:
    """The tracked bodies of one person, and their first and last frames."""

    parts: list[Body]
    first: int
    last: int

    def overlaps(self, body: Body) -> bool:
        """Tell whether a body's interval overlaps that of the actor."""
        return body.first <= self.last and self.first <= body.last

    def add(self, body: Body) -> None:
        """Add a body to the actor and extend the actor's interval."""
        self.parts.append(body)
        self.first, self.last = min(self.first, body.first), max(self.last, body.last)


def noisy_frames(joints: Floats) -> Mask:
    """Return the frames (F,) of joints (F, V, C) in which a body is too wide for its height, as a mask."""
    width, height = np.ptp(joints[..., 0], axis=1), np.ptp(joints[..., 1], axis=1)
    return np.asarray(width > NOISY_WIDTH_TO_HEIGHT * height)


def body_motion(body: Body) -> float:
    """Return how much a body moves: the variance of all its joint positions, summed over the coordinates.

    If the clean frames alone give a smaller value, that value counts.
    """
    clean = ~noisy_frames(body.joints)
    motion = _total_variance(body.joints)
    return min(motion, _total_variance(body.joints[clean])) if clean.any() else motion


def finish_clip(
    joints: Floats, center: int, *, keep_gaps: bool = False
) -> tuple[NDArray[np.float32], Mask, tuple[NDArray[Any], ...]]:
    """Remove bodies without a frame and frames without a body, then centre the clip.

    The origin becomes joint `center` of the first body in the first frame in which it was measured; if it never was,
    the mean of that body's joints in its first frame.

    Args:
        joints: (M, T, V, C), NaN where a joint is missing or a body is absent; one joint at least was measured.
        center: the joint to centre on, counted from 0.
        keep_gaps: keep frames without a body between others, since the frames are at equal intervals.

    Returns:
        joints (M, T, V, C) with zeros where they are missing, which of them were measured (M, T, V), and the index of
        the bodies and frames that are kept.
    """
    joint_mask: Mask = ~np.asarray(np.isnan(joints).any(axis=3))
    bodies, frames = np.any(joint_mask, axis=(1, 2)), np.any(joint_mask, axis=(0, 2))
    if keep_gaps:
        first, last = np.flatnonzero(frames)[[0, -1]]
        frames[first : last + 1] = True
    kept = np.ix_(bodies, frames)
    joints, joint_mask = joints[kept], joint_mask[kept]
    actor = joint_mask[0]  # (T, V)
    if actor[:, center].any():
        origin = joints[0, actor[:, center].argmax(), center]
    else:
        frame = actor.any(axis=1).argmax()
        origin = joints[0, frame, actor[frame]].mean(axis=0)
    centred = np.where(joint_mask[..., None], joints - origin, 0.0)
    return centred.astype(np.float32), joint_mask, kept


def _where_present(body: Body) -> Body:
    """Return a body without the frames in which it is absent."""
    kept = present(body.joints)
    if kept.all():
        return body
    confidence = None if body.confidence is None else body.confidence[kept]
    return Body(body.id, body.frames[kept], body.joints[kept], confidence)


def _without(bodies: list[Body], refused: Callable[[Body], bool]) -> list[Body]:
    """Return the bodies that are not refused; the last body if all of several are refused."""
    if len(bodies) < 2:
        return bodies
    return [body for body in bodies if not refused(body)] or bodies[-1:]


def _total_variance(joints: Floats) -> float:
    return float(joints.reshape(-1, joints.shape[-1]).var(axis=0).sum())
