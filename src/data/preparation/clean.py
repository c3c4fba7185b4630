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
    """

    id: int
    frames: NDArray[np.int64]
    joints: Floats

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


def clean_bodies(bodies: Sequence[Body], limit: int) -> Floats:
    """Merge the tracked bodies of one recording into at most `limit` actors.

    The result does not depend on the order of `bodies`, which may not be empty: they are sorted by first frame, then
    id, and this order also breaks ties. Frames in which a body is not `present` are ignored.

    Returns:
        joints (M, T, V, C), not yet centred, zeros where an actor is absent. T is the number of frames
        with an actor, and may be 0.
    """
    actors = choose_actors(bodies)[:limit]
    parts = [part.frames for actor in actors for part in actor]
    seen = np.unique(np.concatenate(parts)) if parts else np.empty(0, np.int64)
    joints = np.zeros((len(actors), len(seen), *bodies[0].joints.shape[1:]))
    for number, actor in enumerate(actors):
        for part in actor:
            joints[number, np.searchsorted(seen, part.frames)] = part.joints
    return joints


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


def finish_clip(joints: Floats, frame_mask: Mask, center: int) -> tuple[NDArray[np.float32], Mask]:
    """Remove bodies without a frame and frames without a body, then centre the clip.

    The origin becomes joint `center` of the first body in the first frame in which that body is present.

    Args:
        joints: (M, T, V, C); the values of absent bodies do not matter.
        frame_mask: (M, T), true for at least one element.
        center: the joint to centre on, counted from 0.

    Returns:
        joints (M, T, V, C) with zeros where a body is absent, and the frame mask (M, T).
    """
    bodies, frames = frame_mask.any(axis=1), frame_mask.any(axis=0)
    joints, frame_mask = joints[bodies][:, frames], frame_mask[bodies][:, frames]
    origin = joints[0, frame_mask[0].argmax(), center]
    centred = np.where(frame_mask[..., None, None], joints - origin, 0.0)
    return centred.astype(np.float32), frame_mask


def _where_present(body: Body) -> Body:
    """Return a body without the frames in which it is absent."""
    kept = present(body.joints)
    return body if kept.all() else Body(body.id, body.frames[kept], body.joints[kept])


def _without(bodies: list[Body], refused: Callable[[Body], bool]) -> list[Body]:
    """Return the bodies that are not refused; the last body if all of several are refused."""
    if len(bodies) < 2:
        return bodies
    return [body for body in bodies if not refused(body)] or bodies[-1:]


def _total_variance(joints: Floats) -> float:
    return float(joints.reshape(-1, joints.shape[-1]).var(axis=0).sum())
