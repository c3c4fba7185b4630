"""Faults of single numbers: recordings that cannot be read, values that are not finite, joints that are not there."""

import numpy as np
from numpy.typing import NDArray

from ...utils.numbers import percent
from ..check import Check, Fault, affecting, listed
from ..findings import Evidence, Finding
from ..measured_set import MeasuredSet
from ..severity import Harm

_ALWAYS = 0.999  # of the frames
_MOSTLY = 0.5
_SAME_PLACE = 1e-5  # of a bone
_FEWEST_CLIPS = 3  # what is the same in fewer may be chance


def unreadable(measured: MeasuredSet) -> Finding | None:
    """Find recordings that cannot be read."""
    affected = np.zeros(len(measured), np.bool_)
    affected[list(measured.problems)] = True
    fault = Fault(
        "unreadable",
        "Recordings that cannot be read",
        "{clips} cannot be read. preprocess leaves them out.",
        "Record or copy them again; the report of `preprocess` has the reason for each.",
        Harm.GRAVE,
    )
    return affecting(measured, affected, fault, lambda clip: Evidence(clip, measured.problems[clip]))


def not_finite(measured: MeasuredSet) -> Finding | None:
    """Find clips with NaN, infinite or impossibly large coordinates."""
    counts = measured.rows["not_finite"]
    fault = Fault(
        "not_finite",
        "Coordinates that are not numbers",
        "{clips} have NaN, infinite or impossibly large coordinates, which a model rejects.",
        "Prepare the data set again with `preprocess --overwrite`, which marks such joints as missing.",
        Harm.GRAVE,
    )
    return affecting(
        measured, counts > 0, fault, lambda clip: Evidence(clip, f"{counts[clip]:,} joints"), counts.astype(float)
    )


def empty_clips(measured: MeasuredSet) -> Finding | None:
    """Find clips without a body."""
    affected = measured.rows["is_read"] & (measured.rows["bodies"] == 0)
    fault = Fault(
        "empty",
        "Clips without a body",
        "{clips} have no body in any frame.",
        "Leave them out, or check the pose estimator on their videos.",
        Harm.GRAVE,
    )
    return affecting(measured, affected, fault)


def joints_always_missing(measured: MeasuredSet) -> Finding | None:
    """Find joints that no clip has."""
    usable = measured.is_usable
    if np.count_nonzero(usable) < _FEWEST_CLIPS:
        return None
    missing = np.asarray((measured.rows["joint_missing"][usable] >= _ALWAYS).all(axis=0))
    return _about_joints(
        measured,
        missing,
        "joints_always_missing",
        "Joints that are always missing",
        "{joints} missing in every frame of every clip.",
        "Name a layout without them with data.layout, so that the model does not compute them.",
    )


def joints_often_missing(measured: MeasuredSet) -> Finding | None:
    """Find joints that are missing in most frames of most clips."""
    usable = measured.is_usable
    if np.count_nonzero(usable) < _FEWEST_CLIPS:
        return None
    shares = measured.rows["joint_missing"][usable]
    often = (np.median(shares, axis=0) > _MOSTLY) & ~(shares >= _ALWAYS).all(axis=0)
    return _about_joints(
        measured,
        often,
        "joints_often_missing",
        "Joints that are mostly missing",
        "{joints} missing in more than half of the frames of most clips.",
        "Check the threshold data.min_confidence, or use a layout without them.",
    )


def clips_mostly_missing(measured: MeasuredSet) -> Finding | None:
    """Find clips in which most joints are missing."""
    shares = measured.rows["missing"]
    affected = measured.is_usable & (shares > _MOSTLY)
    fault = Fault(
        "clips_mostly_missing",
        "Clips without most of their joints",
        "{clips} lack more than half of their joints.",
        "Leave them out, or record them again with the whole body in the picture.",
        Harm.GRAVE,
    )
    return affecting(measured, affected, fault, lambda clip: Evidence(clip, f"{percent(shares[clip])} missing"), shares)


def still_joints(measured: MeasuredSet) -> Finding | None:
    """Find joints that never move although the body does, such as those that are always zero."""
    usable = measured.is_usable & (measured.rows["movement"] > _SAME_PLACE) & (measured.rows["frames"] > 1)
    if np.count_nonzero(usable) < _FEWEST_CLIPS:
        return None
    rows = measured.rows[usable]
    seen = (1 - rows["joint_missing"]) * rows["frames"][:, None] > 1.5  # (N, V): in two frames or more
    still = np.asarray(((rows["joint_range"] <= _SAME_PLACE) | ~seen).all(axis=0))
    still &= np.count_nonzero(seen, axis=0) >= _FEWEST_CLIPS
    only_centre = np.flatnonzero(still).tolist() == [measured.layout.center]
    if only_centre:
        return _about_joints(
            measured,
            still,
            "body_never_travels",
            "Bodies that stay in one place",
            "{joints} in the same place in every frame: the recordings were centred frame by frame, which loses "
            "how a person moves through the room.",
            "If the classes differ in this, prepare recordings that were not centred.",
            Harm.NONE,
        )
    return _about_joints(
        measured,
        still,
        "still_joints",
        "Joints that never move",
        "{joints} in the same place in every frame of each clip, although the body moves.",
        "Check the order of the joints and the layout; mark joints that were not measured as missing (NaN).",
    )


def joints_at_the_same_place(measured: MeasuredSet) -> Finding | None:
    """Find joints that are always at the place of another joint."""
    distances = measured.distances
    known = np.triu(distances.clips >= _FEWEST_CLIPS, 1)
    if not known.any():
        return None
    scale = float(np.nanmedian(measured.rows["scale"][measured.is_usable]))
    same = known & (distances.apart <= _SAME_PLACE * scale)
    pairs = [(first, second) for first, second in np.argwhere(same).tolist()]
    if not pairs:
        return None
    names = measured.layout.joints
    fault = Fault(
        "same_place",
        "Joints in the same place as another joint",
        f"Always in the same place, in {{clips}}: {listed([f'{names[a]} and {names[b]}' for a, b in pairs])}.",
        "Check how the joints were converted; a layout without the copies is smaller and learns the same.",
        Harm.MILD,
    )
    joints = tuple(second for _, second in pairs)
    return affecting(measured, measured.is_usable, fault, lambda clip: Evidence(clip, joints=joints))


def zero_confidences(measured: MeasuredSet) -> Finding | None:
    """Find clips whose joints were all measured with no confidence."""
    affected = measured.is_usable & measured.rows["has_confidence"] & (measured.rows["confidence_high"] <= 1)
    fault = Fault(
        "zero_confidences",
        "Confidences that are all zero",
        "{clips} have the confidence 0 for every joint.",
        "Check the confidence column: with data.min_confidence all of these joints would be missing.",
        Harm.GRAVE,
    )
    return affecting(measured, affected, fault)


def constant_confidences(measured: MeasuredSet) -> Finding | None:
    """Find sets in which all joints have the same confidence, neither zero nor full."""
    rows = measured.rows[measured.is_usable & measured.rows["has_confidence"]]
    if len(rows) < _FEWEST_CLIPS:
        return None
    low, high = rows["confidence_low"].min(), rows["confidence_high"].max()
    if low != high or not 1 < low < 255:
        return None
    fault = Fault(
        "constant_confidences",
        "Confidences that are all the same",
        f"Every joint of {{clips}} has the confidence {(low - 1) / 254:.2f}, which says nothing.",
        "Check the confidence column, or leave the confidences out.",
        Harm.NONE,
    )
    return affecting(measured, measured.is_usable & measured.rows["has_confidence"], fault)


def _about_joints(
    measured: MeasuredSet,
    joints: NDArray[np.bool_],
    kind: str,
    title: str,
    sentence: str,
    remedy: str,
    harm: Harm = Harm.MILD,
) -> Finding | None:
    """Return a finding about joints of all clips, None if there are no such joints."""
    numbers = np.flatnonzero(joints).tolist()
    if not numbers:
        return None
    names = listed([measured.layout.joints[joint] for joint in numbers])
    text = sentence.replace("{joints}", f"{names} {'is' if len(numbers) == 1 else 'are'}")
    fault = Fault(kind, title, text, remedy, harm)
    return affecting(measured, measured.is_usable, fault, lambda clip: Evidence(clip, joints=tuple(numbers)))


def _no_confidence(measured: MeasuredSet) -> str:
    return "" if measured.rows["has_confidence"].any() else "the clips have no confidences"


CHECKS = (
    Check("unreadable", unreadable),
    Check("not_finite", not_finite),
    Check("empty", empty_clips),
    Check("joints_always_missing", joints_always_missing),
    Check("joints_often_missing", joints_often_missing),
    Check("clips_mostly_missing", clips_mostly_missing),
    Check("still_joints", still_joints),
    Check("same_place", joints_at_the_same_place),
    Check("zero_confidences", zero_confidences, _no_confidence),
    Check("constant_confidences", constant_confidences, _no_confidence),
)
