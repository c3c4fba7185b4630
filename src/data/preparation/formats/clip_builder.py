"""The last steps of every reader: find the bodies, refuse impossible coordinates, centre, and build the clip.

Legend: M bodies, T frames, V joints, C coordinates.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....skeleton import list_layouts, load_layout
from ...store.clip import FARTHEST, Clip, ClipMetadata, Timeline, confidence_bytes
from ...store.format import LARGEST_NUMBER, full_confidence
from ..clean import finish_clip, present
from .base import BadClip, DroppedClip, Source
from .other_layouts import layout_of
from .timing import Timing, clip_frames
from .visibility import refuse_flags, refuse_flags_as_coordinates

# Coordinates of one recording over all bodies: two hours of one person at 30 frames per second. A number of a few bytes
# in the file takes about a hundred bytes of memory until the clip is built.
MAX_COORDINATES = 1 << 24

Floats = NDArray[np.float64]
__all__ = ["MAX_COORDINATES", "ClipMetadata", "build_clip", "refuse_size"]


def build_clip(
    name: str,
    metadata: ClipMetadata,
    joints: NDArray[Any],
    source: Source,
    convert: Callable[[Floats], Floats] | None = None,
    *,
    confidence: NDArray[Any] | None = None,
    timing: Timing = Timing(),  # noqa: B008 - it is frozen
    left_out: int = 0,
) -> Clip:
    """Clean and centre the raw joints (M, T, V, C) of a recording and return its clip.

    A body whose coordinates are all zero or NaN in a frame is absent from it; a joint with a NaN is missing, and so is
    one at zero with the confidence 0. This is decided here, from the recorded numbers, in the same way for every
    format. If there are too many bodies, the first ones with any frame are kept, and the clip says how many are not.
    Joints of another layout are mapped before the clip is centred.

    Args:
        name: the clip's name.
        metadata: its label and what is known about the recording.
        joints: (M, T, V, C) as recorded, in their own unit and with their own origin.
        source: the layout that they have to fit, how many bodies to keep, and the frame rate of the clip.
        convert: converts the numbers of the format to coordinates, joint by joint; None if they are coordinates.
        confidence: (M, T, V) from 0 to 1 of each joint, NaN where it is missing; None if the format has none.
        timing: when the frames were taken, if the recording says so.
        left_out: number of bodies of the recording that are not in `joints`.

    Raises:
        BadClip: an array does not fit the layout, a coordinate is impossibly large, a confidence is not from 0 to 1,
            the timestamps are impossible, or a number in `metadata` is too large for a store.
        DroppedClip: no body is present in any frame.
    """
    _check_numbers(name, metadata)
    _check_array(name, joints, source)
    certain = _measured_confidence(name, joints, confidence)
    joint_mask = ~np.isnan(certain)
    found = np.flatnonzero(joint_mask.any(axis=(1, 2)))
    kept = found[: source.bodies]
    if not len(kept):
        raise DroppedClip(name, 0, "no skeleton")
    points = _measured(name, joints[kept], joint_mask[kept], kept, convert)
    points, certain = _mapped(name, points, certain[kept], source)
    timing = timing if timing.is_known else Timing(fps=source.source_fps)
    frames = clip_frames(name, joints.shape[1], timing, source.fps)
    if frames is not None:
        points, certain = frames.of(points), frames.confidence_of(certain)
    centred, joint_mask, kept_values = finish_clip(points, source.center, keep_gaps=timing.is_known)
    return Clip(
        name=name,
        joints=centred,
        frame_mask=np.asarray(joint_mask.any(axis=2)),
        fps=timing.fps if frames is None else frames.fps,
        confidence=_stored_confidence(joint_mask, certain[kept_values]),
        retimed="" if frames is None else frames.repairs,
        bodies_left_out=len(found) - len(kept) + left_out,
        timeline=Timeline(kept_values[1].ravel(), points.shape[1], None if frames is None else frames.recorded),
        **asdict(metadata),
    )


def _mapped(name: str, points: Floats, certain: Floats, source: Source) -> tuple[Floats, Floats]:
    """Return points and confidences in the layout of the clip.

    Raises:
        DroppedClip: none of its joints was measured.
    """
    if source.joint_map is None:
        return points, certain
    points, certain = source.joint_map(points), source.joint_map.confidence(certain)
    if np.isnan(points).all():
        raise DroppedClip(name, 0, f"no joint of {source.joint_map.target.name}")
    return points, certain


def _measured(
    name: str,
    joints: NDArray[Any],
    joint_mask: NDArray[np.bool_],
    bodies: NDArray[np.int64],
    convert: Callable[[Floats], Floats] | None,
) -> Floats:
    """Return coordinates (M, T, V, C), NaN where a joint is missing; `bodies` (M,) are their numbers in the recording.

    Raises:
        BadClip: a coordinate is impossibly large.
    """
    points = joints.astype(np.float64)
    if convert is not None:
        points = convert(points)
    wrong = ~(np.abs(points) <= FARTHEST) & joint_mask[..., None]
    if wrong.any():
        body, frame, joint, axis = np.argwhere(wrong)[0].tolist()
        where = f"joint {joint + 1} of body {bodies[body] + 1} in frame {frame + 1}"
        value, remedy = points[body, frame, joint, axis], f"up to {FARTHEST:g}, and NaN where a joint is missing"
        raise BadClip(name, 0, f"{where} is at {value}; coordinates are {remedy}")
    return np.where(joint_mask[..., None], points, np.nan)


def _measured_confidence(name: str, joints: NDArray[Any], confidence: NDArray[Any] | None) -> Floats:
    """Return confidences (M, T, V), 1 where a format has none, NaN where a joint is missing or a body absent."""
    certain = _checked_confidence(name, joints, confidence)
    missing = np.isnan(joints).any(axis=3) | ((certain == 0) & (joints == 0).all(axis=3))
    return np.where(missing | ~present(joints)[..., None], np.nan, certain)


def _checked_confidence(name: str, joints: NDArray[Any], confidence: NDArray[Any] | None) -> Floats:
    """Return confidences (M, T, V), 1 where a format has none."""
    if confidence is None:
        refuse_flags_as_coordinates(name, joints)
        return np.ones(joints.shape[:3])
    if confidence.dtype.kind not in "fiub" or confidence.shape != joints.shape[:3]:
        found = f"{confidence.dtype} {confidence.shape}"
        raise BadClip(name, 0, f"has the confidences {found}; expected one number per joint, {joints.shape[:3]}")
    certain = confidence.astype(np.float64)
    refuse_flags(name, certain)
    wrong = ~((certain >= 0) & (certain <= 1)) & ~np.isnan(certain)
    if wrong.any():
        body, frame, joint = np.argwhere(wrong)[0].tolist()
        where = f"joint {joint + 1} of body {body + 1} in frame {frame + 1}"
        found = f"{certain[body, frame, joint]:g}"
        raise BadClip(name, 0, f"{where} has the confidence {found}; it should be from 0 to 1 (a percentage / 100)")
    there = present(joints)[..., None] & ~np.isnan(certain)
    if there.any() and not certain[there].any():
        raise BadClip(name, 0, "every confidence is 0, so no joint would be left: leave them out if they are unknown")
    return certain


def _stored_confidence(joint_mask: NDArray[np.bool_], certain: Floats) -> NDArray[np.uint8] | None:
    """Return the confidences of a clip as they are stored; None if nothing is missing or uncertain."""
    stored = confidence_bytes(np.where(joint_mask, certain, np.nan))
    full = full_confidence(np.asarray(joint_mask.any(axis=2)), joint_mask.shape[2])
    return None if np.array_equal(stored, full) else stored


def _check_numbers(name: str, metadata: ClipMetadata) -> None:
    for what, number in asdict(metadata).items():
        if not 0 <= number <= LARGEST_NUMBER:
            raise BadClip(name, 0, f"its {what} is not a whole number from 0 to {LARGEST_NUMBER}")


def _check_array(name: str, joints: NDArray[Any], source: Source) -> None:
    layout = source.layout
    if joints.dtype.kind not in "fiu":
        raise BadClip(name, 0, f"holds {joints.dtype} instead of numbers")
    if joints.ndim != 4 or joints.shape[2:] != (layout.num_joints, layout.coordinates):
        wanted = f"{layout.num_joints} joints of {layout.coordinates} coordinates"
        remedy = ""
        if joints.ndim == 4 and joints.shape[2:] == (layout.num_joints, layout.coordinates + 1):
            remedy = ". If the last number of each joint is a confidence, give it apart, as `confidence`"
        elif joints.ndim == 4 and joints.shape[2] != layout.num_joints:
            remedy = _other_layout(joints.shape[2], joints.shape[3], source)
        elif joints.ndim == 4 and joints.shape[3] == 2:
            remedy = f": use {layout_of(2, layout)}"
        raise BadClip(name, 0, f"has the shape {joints.shape}; {layout.name} has {wanted}{remedy}")
    if not joints.size:
        raise DroppedClip(name, 0, "no skeleton")
    refuse_size(name, joints.size)


def _other_layout(num_joints: int, coordinates: int, source: Source) -> str:
    """Return what to do about recordings of another number of joints, with the layouts that have it."""
    known = [each for each in map(load_layout, list_layouts()) if each.num_joints == num_joints]
    names = ", ".join(each.name for each in known if each.coordinates == coordinates)
    if source.unlabelled:
        return f". If they have the layout {names}, name it with --layout" if names else ""
    one_layout = "All recordings of a folder need the same layout: prepare others by themselves"
    return f". {one_layout}, with data.layout" + (f", here {names}" if names else "")


def refuse_size(name: str, coordinates: float) -> None:
    """Refuse a recording with more coordinates, over all bodies, than one may have."""
    if coordinates > MAX_COORDINATES:
        raise BadClip(name, 0, f"has more than {MAX_COORDINATES} coordinates, too many for one recording")
