"""Clips whose size or direction differs from that of the rest, and left and right that change places."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..check import Bools, Check, Fault, affecting, exchanging
from ..findings import Evidence, Finding
from ..measured_set import MeasuredSet
from ..severity import Harm
from .whole_set import front_problem

Array = NDArray[np.floating[Any]]

# The skeletons of NW-UCLA are 0.79 to 1.18 times as large as the middle one, those of SBU 0.91 to 1.11, of the
# synthetic set 0.88 to 1.07. In a picture the size depends on the distance.
_SIZE_FACTOR, _SIZE_FACTOR_FLAT, _SIZE_DEVIATIONS = 1.6, 4.0, 6.0
_TILT_DEGREES = 60.0
_TURN_DEGREES, _ALIGNED, _FEWEST_ALIGNED = 75.0, 0.9, 10
_FRONT_PART = 0.5  # of the middle clip's front
_FEWEST_OF_A_CLASS = 5
_FEWEST_CLIPS = 4


def rescaled(measured: MeasuredSet) -> Finding | None:
    """Find clips whose skeletons are much larger or smaller than the others."""
    ratios = size_ratios(measured)
    known = measured.is_usable & np.isfinite(ratios)
    if np.count_nonzero(known) < _FEWEST_CLIPS:
        return None
    logarithms = np.abs(np.log(np.where(known, ratios, 1)))
    spread = float(np.median(logarithms[known])) / 0.6745
    factor = _SIZE_FACTOR_FLAT if measured.anatomy.flat else _SIZE_FACTOR
    affected = known & (logarithms > max(np.log(factor), _SIZE_DEVIATIONS * spread))
    fault = Fault(
        "rescaled",
        "Clips of another size",
        "The skeletons of {clips} are much larger or smaller than the rest.",
        "Convert all recordings to the same unit before preparing them.",
        Harm.GRAVE,
    )
    return affecting(
        measured, affected, fault, lambda clip: Evidence(clip, f"{ratios[clip]:.3g} times as large"), logarithms
    )


def size_ratios(measured: MeasuredSet) -> Array:
    """Return how many times larger the bones of each clip are than those of the set, (N,); NaN if unknown."""
    bones = measured.rows["bones"].astype(np.float64)  # (N, M, B)
    known = np.isfinite(bones) & (bones > 0)
    first = np.where(known, bones, np.nan)[:, 0]
    with np.errstate(all="ignore"):
        template = np.array([np.median(each[np.isfinite(each)]) if np.isfinite(each).any() else np.nan
                             for each in first.T])  # fmt: skip
        logarithms = np.log(np.where(known, bones, np.nan) / template)
    ratios = np.full(bones.shape[:2], np.nan)
    for body in range(bones.shape[1]):
        there = np.isfinite(logarithms[:, body])
        rows = there.any(axis=1)
        ordered = np.sort(np.where(there, logarithms[:, body], np.inf), axis=1)
        middles = (np.maximum(there.sum(axis=1), 1) - 1) // 2
        ratios[rows, body] = ordered[rows, middles[rows]]
    ratios = np.where(np.isfinite(ratios), ratios, 0)
    chosen = np.take_along_axis(ratios, np.abs(ratios).argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.where(np.isfinite(measured.rows["scale"]), np.exp(chosen), np.nan)


def rotated(measured: MeasuredSet) -> Finding | None:
    """Find clips of lying or upside-down bodies, where the other clips of the class stand."""
    ups, known = measured.rows["up"], measured.is_usable & np.isfinite(measured.rows["up"]).all(axis=1)
    if np.count_nonzero(known) < _FEWEST_CLIPS:
        return None
    labels = measured.labels
    expected = np.tile(_mean_direction(ups[known]), (len(ups), 1))
    for label in np.unique(labels[known]):
        same = known & (labels == label)
        if label >= 0 and np.count_nonzero(same) >= _FEWEST_OF_A_CLASS:
            expected[same] = _mean_direction(ups[same])
    angles = _angles(ups, expected)
    affected = known & (angles > _TILT_DEGREES)
    fault = Fault(
        "rotated",
        "Clips of lying or upside-down bodies",
        "The bodies of {clips} are tilted compared with the others of their class.",
        "Check the axes of these recordings: y should point up (down in a picture).",
        Harm.GRAVE,
    )
    return affecting(measured, affected, fault, lambda clip: Evidence(clip, f"by {angles[clip]:.0f} degrees"), angles)


def turned(measured: MeasuredSet) -> Finding | None:
    """Find clips that face elsewhere, if nearly all others of their camera face the same way."""
    facing, known = _flat_facing(measured)
    angles = np.zeros(len(measured))
    cameras = measured.rows["camera"]
    for camera in np.unique(cameras[known]):
        same = known & (cameras == camera)
        direction = _mean_direction(facing[same])
        of_camera = _angles(facing, np.tile(direction, (len(facing), 1)))
        aligned = np.mean(of_camera[same] < _TURN_DEGREES / 2)
        if np.count_nonzero(same) >= _FEWEST_ALIGNED and aligned >= _ALIGNED:
            angles[same] = of_camera[same]
    affected = known & (angles > _TURN_DEGREES)
    fault = Fault(
        "turned",
        "Clips that face another way",
        "The bodies of {clips} do not face the way that nearly all others seen by their camera do.",
        "Check which camera recorded them. Training turns bodies to the camera with data.normalize.face_camera.",
        Harm.MILD,
    )
    return affecting(measured, affected, fault, lambda clip: Evidence(clip, f"by {angles[clip]:.0f} degrees"), angles)


def mirrored(measured: MeasuredSet) -> Finding | None:
    """Find clips that are mirrored, or whose left and right are exchanged, while those of the others are not."""
    fronts = measured.rows["front"]
    known = measured.is_usable & np.isfinite(fronts)
    sign = np.sign(np.median(fronts[known]))
    middle = float(np.median(np.abs(fronts[known])))
    affected = known & (np.sign(fronts) == -sign) & (np.abs(fronts) > _FRONT_PART * middle)
    fault = Fault(
        "mirrored",
        "Mirrored clips",
        "In {clips} noses, feet and knees point backwards, unlike in the others: they are mirrored, or left and right "
        "are exchanged in them.",
        "Exchange the left and the right joints of these recordings, or negate one axis.",
        Harm.GRAVE,
    )
    return affecting(measured, affected, fault, worst=np.abs(fronts))


def exchanged_sides(measured: MeasuredSet) -> Finding | None:
    """Find clips in which the left and the right joints of a body exchange their places in some frames."""
    fault = Fault(
        "exchanged_sides",
        "Left and right exchanged in some frames",
        "In {clips} the left and right joints swap from one frame to the next.",
        "Swap them back, or mark the joints of these frames as missing (NaN).",
        Harm.MILD,
    )
    return exchanging(measured, fault)


def _flat_facing(measured: MeasuredSet) -> tuple[Array, Bools]:
    """Return the horizontal direction that each clip faces, (N, 2), and where it is known."""
    facing = measured.rows["facing"][:, [0, -1]].astype(np.float64)
    lengths = np.linalg.norm(facing, axis=1)
    known = measured.is_usable & np.isfinite(lengths) & (lengths > 0.3)  # not lying
    return np.where(known[:, None], facing / np.maximum(lengths, 1e-12)[:, None], 0), known


def _mean_direction(vectors: Array) -> Array:
    """Return the direction in the middle of vectors (N, C): their median, of length 1."""
    middle = np.median(vectors, axis=0)
    return np.asarray(middle / max(float(np.linalg.norm(middle)), 1e-12))


def _angles(vectors: Array, others: Array) -> Array:
    cosines = (vectors * others).sum(axis=1) / np.maximum(
        np.linalg.norm(vectors, axis=1) * np.linalg.norm(others, axis=1), 1e-12
    )
    return np.asarray(np.degrees(np.arccos(np.clip(np.nan_to_num(cosines, nan=1.0), -1, 1))))


def _no_trunk(measured: MeasuredSet) -> str:
    return "" if measured.anatomy.is_upright else f"the layout {measured.layout.name} names no hips and shoulders"


def _no_facing(measured: MeasuredSet) -> str:
    if reason := _no_trunk(measured):
        return reason
    if measured.anatomy.flat:
        return "the clips have no depth"
    facing, known = _flat_facing(measured)
    cameras = measured.rows["camera"]
    for camera in np.unique(cameras[known]):
        same = known & (cameras == camera)
        angles = _angles(facing, np.tile(_mean_direction(facing[same]), (len(facing), 1)))[same]
        if len(angles) >= _FEWEST_ALIGNED and np.mean(angles < _TURN_DEGREES / 2) >= _ALIGNED:
            return ""
    return "the bodies face in all directions, or are too few"


def _no_sides(measured: MeasuredSet) -> str:
    return "" if measured.layout.mirror else f"the layout {measured.layout.name} has no left and right joints"


CHECKS = (
    Check("rescaled", rescaled),
    Check("rotated", rotated, _no_trunk),
    Check("turned", turned, _no_facing),
    Check("mirrored", mirrored, front_problem),
    Check("exchanged_sides", exchanged_sides, _no_sides),
)
