"""What is measured in each clip: one row of numbers, so that a set of any size is compared without its joints.

Lengths are relative to the mean length of the body's bones, so that the unit does not matter, and steps are per frame.

Legend: M bodies, T frames, V joints, B bones, C coordinates.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from ..data.store.clip import FARTHEST, Clip
from ..data.store.copies import descriptor
from ..skeleton import Layout
from .anatomy import Anatomy
from .directions import measure_directions

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

MOST_BODIES = 2
_EQUAL = 1e-6  # two frames whose joints differ by less than this part of a bone are the same frame
_EXCHANGED = 0.5  # an exchange explains a step if the joints then move less than this part of it
_SAME_POSE = 0.05  # of a bone, 1 cm of a person: two people never have their joints that near to the same posture
_MOVING = 0.02  # of a bone per frame, half a centimetre: slower steps are noise and have no direction


def row_type(layout: Layout, descriptor_length: int) -> np.dtype[np.void]:
    """Return the type of a row of measures of clips of a layout."""
    joints, bones, space = layout.num_joints, len(layout.bones), layout.coordinates
    numbers = ("label", "subject", "camera", "setup", "frames", "bodies", "empty_bodies", "absent_frames")
    counts = ("not_finite", "longest_repeat", "repeat_start", "body_jump_frame", "joint_jump_frame", "joint_jump_joint",
              "exchanged_bodies", "exchanged_bodies_frame", "exchanged_sides", "exchanged_sides_frame")  # fmt: skip
    shares = ("fps", "missing", "height", "scale", "movement", "repeated", "body_jump", "joint_jump", "jitter", "ghost",
              "dropped", "shortest_presence", "bone_spread", "front", "confidence_low", "confidence_high")  # fmt: skip
    return np.dtype(
        [(name, "?") for name in ("is_read", "has_confidence", "was_retimed")]
        + [(name, "<i4") for name in (*numbers, *counts)]
        + [(name, "<f4") for name in shares]
        + [
            ("joint_missing", "<f4", (joints,)),
            ("joint_range", "<f4", (joints,)),
            ("bones", "<f4", (MOST_BODIES, bones)),
            ("up", "<f4", (space,)),
            ("facing", "<f4", (space,)),
            ("descriptor", "<f4", (descriptor_length,)),
            ("digest", "S16"),
        ]
    )


def measure(clip: Clip, anatomy: Anatomy, row: np.void) -> None:
    """Write the measures of a clip into its row; a measure that the clip does not have is NaN or 0."""
    joints = clip.joints[:MOST_BODIES].astype(np.float32)
    usable = (np.abs(joints) <= 2 * FARTHEST).all(axis=3)  # also false for NaN
    claimed = np.asarray(clip.joint_mask[:MOST_BODIES])
    seen = claimed & usable  # (M, T, V)
    points = np.where(seen[..., None], joints, np.float32(0))
    present = np.asarray(seen.any(axis=2))  # (M, T)
    row["is_read"] = True
    for name in ("label", "subject", "camera", "setup", "fps"):
        row[name] = getattr(clip, name)
    row["frames"], row["not_finite"] = seen.shape[1], np.count_nonzero(claimed & ~usable)
    row["was_retimed"] = bool(clip.retimed)
    row["bodies"] = np.count_nonzero(present.any(axis=1))
    row["empty_bodies"] = len(present) - row["bodies"]
    row["absent_frames"] = np.count_nonzero(~present.any(axis=0))
    row["digest"] = hashlib.blake2b(joints.tobytes() + seen.tobytes(), digest_size=16).digest()
    names = row.dtype.names or ()
    for name in names[names.index("missing") : -1]:
        row[name] = 0.0 if name == "descriptor" else np.nan
    _measure_confidence(clip, seen, row)
    row["exchanged_bodies_frame"] = row["exchanged_sides_frame"] = -1
    if not present.any():
        return
    row["missing"] = 1 - seen[present].mean()
    row["joint_missing"] = 1 - seen[present].mean(axis=0)
    row["shortest_presence"] = min(each.mean() for each in present if each.any())
    scales = _measure_bones(points, seen, anatomy, row)
    heights = _spans(points[..., 1], seen)
    row["height"] = np.median(heights[present])
    row["descriptor"] = descriptor(points[int(present.any(axis=1).argmax())])
    _measure_motion(points, seen, scales, row)
    _measure_exchanges(points, seen, scales, anatomy, row)
    first = int(present.sum(axis=1).argmax())
    measure_directions(points[first], seen[first], scales[first], anatomy, row)


def _measure_confidence(clip: Clip, seen: Bools, row: np.void) -> None:
    row["confidence_low"] = row["confidence_high"] = 255
    row["has_confidence"] = clip.confidence is not None
    if clip.confidence is not None and seen.any():
        measured = clip.confidence[:MOST_BODIES][seen]
        row["confidence_low"], row["confidence_high"] = measured.min(), measured.max()


def middle(values: Floats, mask: Bools, axis: int) -> Floats:
    """Return the lower median of the values in a mask along an axis; NaN where it has none."""
    ordered = np.sort(np.where(mask, values, np.float32(np.inf)), axis=axis)
    counts = np.expand_dims(mask.sum(axis=axis), axis)
    chosen = np.take_along_axis(ordered, np.maximum(counts - 1, 0) // 2, axis=axis)
    return np.asarray(np.where(counts > 0, chosen, np.float32(np.nan)).squeeze(axis))


def _measure_bones(points: Floats, seen: Bools, anatomy: Anatomy, row: np.void) -> Floats:
    """Measure the bones and return the scale of each body, (M,): the mean length of its bones."""
    child, parent = anatomy.bones.T
    both = seen[..., child] & seen[..., parent]  # (M, T, B)
    lengths = np.linalg.norm(points[..., child, :] - points[..., parent, :], axis=-1)
    medians = middle(lengths, both, axis=1)  # (M, B)
    row["bones"][: len(medians)] = medians
    with np.errstate(invalid="ignore", divide="ignore"):
        known = np.isfinite(medians)
        scales = np.where(known, medians, 0).sum(axis=1) / known.sum(axis=1)
        row["scale"] = scales[np.isfinite(scales)].mean() if np.isfinite(scales).any() else np.nan
        long = known & (medians > 0.5 * scales[:, None])
        deviations = middle(np.abs(lengths - medians[:, None]), both, axis=1) / medians
        row["bone_spread"] = np.mean(deviations[long]) if long.any() and seen.shape[1] > 1 else np.nan
    return np.where(np.isfinite(scales) & (scales > 0), scales, np.float32(1))


def _spans(values: Floats, seen: Bools) -> Floats:
    """Return the largest difference of the values (M, T, V) of joints in each frame, (M, T)."""
    high = np.where(seen, values, -np.inf).max(axis=2)
    low = np.where(seen, values, np.inf).min(axis=2)
    return np.where(np.isfinite(high), high - low, 0)


def _measure_motion(points: Floats, seen: Bools, scales: Floats, row: np.void) -> None:
    high = np.where(seen[..., None], points, -np.inf).max(axis=1)
    low = np.where(seen[..., None], points, np.inf).min(axis=1)
    ranges = np.linalg.norm(np.where(np.isfinite(high), high - low, 0), axis=-1) / scales[:, None]  # (M, V)
    row["joint_range"], row["movement"] = ranges.max(axis=0), ranges.max()
    if points.shape[1] < 2:
        return
    steps = (points[:, 1:] - points[:, :-1]) / scales[:, None, None, None]  # (M, T-1, V, C)
    both = seen[:, 1:] & seen[:, :-1]
    sizes = np.where(both, np.linalg.norm(steps, axis=-1), np.float32(0))
    _measure_repeats(sizes, seen, row)
    count = np.maximum(both.sum(axis=2), 1)[..., None]
    common = np.where(both[..., None], steps, 0).sum(axis=2) / count  # (M, T-1, C)
    whole = middle(sizes, both, axis=2)
    whole = np.where(np.isfinite(whole), whole, 0)
    row["body_jump"], row["body_jump_frame"] = whole.max(), whole.max(axis=0).argmax() + 1
    own = np.where(both, np.linalg.norm(steps - common[:, :, None], axis=-1), np.float32(0))
    own = np.where(count > 1, own, 0)
    _, frame, joint = np.unravel_index(int(own.argmax()), own.shape)
    row["joint_jump"], row["joint_jump_frame"], row["joint_jump_joint"] = own.max(), frame + 1, joint
    if points.shape[1] > 2:
        triple = both[:, 1:] & both[:, :-1]
        bends = np.linalg.norm(steps[:, 1:] - steps[:, :-1], axis=-1)
        row["jitter"] = np.median(bends[triple]) if triple.any() else np.nan
    _measure_dropped_frames(steps, both, row)


def _measure_repeats(sizes: Floats, seen: Bools, row: np.void) -> None:
    """Find frames that repeat the one before; `sizes` (M, T-1, V) are the steps of joints."""
    same_mask = (seen[:, 1:] == seen[:, :-1]).all(axis=(0, 2)) & seen[:, 1:].any(axis=(0, 2))
    repeated = same_mask & (sizes.max(axis=(0, 2)) <= _EQUAL)
    row["repeated"] = repeated.mean()
    edges = np.diff(np.concatenate([[0], repeated.view(np.int8), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if len(starts):
        longest = int((ends - starts).argmax())
        row["longest_repeat"], row["repeat_start"] = (ends - starts)[longest], starts[longest]


def _measure_dropped_frames(steps: Floats, both: Bools, row: np.void) -> None:
    """Measure the share of steps that are as long as their two neighbours together, in the same direction.

    Such a step is where a frame is missing. A slow step has no direction, so only fast ones count.
    """
    moved = np.where(both[..., None], steps, 0)[0].reshape(steps.shape[1], -1)  # of the first body
    sizes = np.linalg.norm(moved, axis=1) / np.sqrt(np.maximum(both[0].sum(axis=1), 1))
    if len(sizes) < 3:
        return
    around = moved[2:] + moved[:-2]
    length = np.linalg.norm(around, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (moved[1:-1] * around).sum(axis=1) / (length * np.linalg.norm(moved[1:-1], axis=1))
        ratio = 2 * np.linalg.norm(moved[1:-1], axis=1) / length
    moving = (sizes[1:-1] > _MOVING) & (sizes[2:] > _MOVING / 2) & (sizes[:-2] > _MOVING / 2)
    if np.count_nonzero(moving) >= 3:
        row["dropped"] = np.mean(((ratio > 1.6) & (ratio < 2.6) & (cosine > 0.7))[moving])


def _measure_exchanges(points: Floats, seen: Bools, scales: Floats, anatomy: Anatomy, row: np.void) -> None:
    """Count the frames in which two bodies, or the left and the right joints of a body, change places.

    Both explanations of a step, that each stays and that they change places, are compared by the same joints.
    """
    if len(anatomy.sided) and points.shape[1] > 1:
        sided, mirrored = anatomy.sided, anatomy.mirrored[anatomy.sided]
        comparable = seen[:, 1:, sided] & seen[:, 1:, mirrored] & seen[:, :-1, sided]
        kept = _distance(points[:, 1:, sided], points[:, :-1, sided], comparable)
        turned = _distance(points[:, 1:, mirrored], points[:, :-1, sided], comparable)
        found = ((turned < _EXCHANGED * kept) & (kept > 0.25 * scales[:, None])).any(axis=0)
        row["exchanged_sides"] = np.count_nonzero(found)
        row["exchanged_sides_frame"] = found.argmax() + 1 if found.any() else -1
    if len(points) < 2:
        return
    shared = np.asarray(seen.any(axis=2).all(axis=0))
    centred = points - np.where(seen[..., None], points, 0).sum(axis=2, keepdims=True) / np.maximum(
        seen.sum(axis=2), 1
    )[..., None, None]  # fmt: skip
    if shared.any():
        apart = _distance(centred[0], centred[1], seen[0] & seen[1])[shared]
        row["ghost"] = np.mean(apart < _SAME_POSE * scales.mean())
    if points.shape[1] > 1:
        now, before = points[:, 1:], points[:, :-1]
        comparable = seen[:, 1:].all(axis=0) & seen[:, :-1]
        kept = _distance(now, before, comparable).sum(axis=0)
        crossed = _distance(now[::-1], before, comparable).sum(axis=0)
        found = (crossed < _EXCHANGED * kept) & (kept > scales.mean())
        row["exchanged_bodies"] = np.count_nonzero(found)
        row["exchanged_bodies_frame"] = found.argmax() + 1 if found.any() else -1


def _distance(first: Floats, second: Floats, both: Bools) -> Floats:
    """Return the mean distance of the joints (..., V, C) that both have, (...); NaN if there are none."""
    apart = np.where(both, np.linalg.norm(first - second, axis=-1), 0)
    counts = both.sum(axis=-1)
    return np.where(counts > 0, apart.sum(axis=-1) / np.maximum(counts, 1), np.float32(np.nan))
