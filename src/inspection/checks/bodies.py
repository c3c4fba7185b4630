"""Faults of bodies: copies of another one, bodies that are hardly there, exchanged ones, bones that change."""

import numpy as np

from ...utils.numbers import percent
from ..check import Check, Fault, affecting, exchanging, outliers
from ..findings import Evidence, Finding
from ..measured_set import MeasuredSet
from ..severity import Harm

_GHOST_SHARE = 0.5  # of the frames in which both are present
_BRIEF_SHARE = 0.1  # of the clip's frames
# Half of the frames have a bone length within this part of its median: 0.06 in the middle clip of NW-UCLA and 0.16 in
# its worst, 0.01 and 0.04 in SBU, 0.02 and 0.03 in the synthetic set.
_BONE_SPREAD, _BONE_FACTOR, _BONE_DEVIATIONS, _BONE_SPREAD_OF_SET = 0.2, 2.5, 4.0, 0.2


def ghosts(measured: MeasuredSet) -> Finding | None:
    """Find clips whose second body is a copy of the first."""
    shares = measured.rows["ghost"]
    affected = measured.is_usable & (np.nan_to_num(shares) >= _GHOST_SHARE)
    fault = Fault(
        "ghost_bodies",
        "Second bodies that are copies of the first",
        "In {clips} the second body has the posture of the first: the tracker found one person twice.",
        "Prepare with data.bodies: 1, or remove the second body from these recordings.",
        Harm.MILD,
    )
    return affecting(
        measured, affected, fault, lambda clip: Evidence(clip, f"in {percent(shares[clip])} of the frames")
    )


def brief_bodies(measured: MeasuredSet) -> Finding | None:
    """Find clips with a second body in a few frames only."""
    shares = measured.rows["shortest_presence"]
    affected = measured.is_usable & (measured.rows["bodies"] > 1) & (shares < _BRIEF_SHARE)
    fault = Fault(
        "brief_bodies",
        "Bodies that appear only briefly",
        "{clips} have a body that is present in less than a tenth of the frames.",
        "If it is a false detection, remove it from the recording, or prepare with data.bodies: 1.",
        Harm.MILD,
    )
    return affecting(
        measured, affected, fault, lambda clip: Evidence(clip, f"in {percent(shares[clip])} of the frames")
    )


def empty_bodies(measured: MeasuredSet) -> Finding | None:
    """Find clips with a body that is never present, beside one that is."""
    affected = measured.is_usable & (measured.rows["empty_bodies"] > 0)
    fault = Fault(
        "empty_bodies",
        "Bodies that are never present",
        "{clips} have a body without a joint in any frame.",
        "Prepare them again: an empty body only costs memory and time.",
        Harm.NONE,
    )
    return affecting(measured, affected, fault)


def exchanged_bodies(measured: MeasuredSet) -> Finding | None:
    """Find clips in which two bodies exchange their places from one frame to the next."""
    fault = Fault(
        "exchanged_bodies",
        "Bodies that swap identities",
        "In {clips} the first body continues as the second, and the second as the first.",
        "Give each person the same number in all frames of a recording.",
        Harm.MILD,
    )
    return exchanging(measured, fault)


def changing_bones(measured: MeasuredSet) -> Finding | None:
    """Find clips in which bones change their lengths, much more than those of the other clips."""
    values, usable = measured.rows["bone_spread"], measured.is_usable
    known = usable & np.isfinite(values)
    if not known.any():
        return None
    if np.median(values[known]) > _BONE_SPREAD_OF_SET:
        affected = known & (values > _BONE_SPREAD_OF_SET)
    else:
        affected = known & outliers(values, _BONE_FACTOR, _BONE_DEVIATIONS, _BONE_SPREAD)
    fault = Fault(
        "changing_bones",
        "Bones that change length",
        "In {clips} bones change length from frame to frame, which real bones do not.",
        "Check the order of the joints and the sensor's depth values.",
        Harm.MILD,
    )
    return affecting(
        measured,
        affected,
        fault,
        lambda clip: Evidence(clip, f"by {percent(values[clip])} in half of the frames"),
        values,
    )


def _one_body(measured: MeasuredSet) -> str:
    return "" if (measured.rows["bodies"] > 1).any() else "no clip has two bodies"


def _flat(measured: MeasuredSet) -> str:
    return "in two dimensions, bones look shorter than they are" if measured.anatomy.flat else ""


CHECKS = (
    Check("ghost_bodies", ghosts, _one_body),
    Check("brief_bodies", brief_bodies, _one_body),
    Check("empty_bodies", empty_bodies),
    Check("exchanged_bodies", exchanged_bodies, _one_body),
    Check("changing_bones", lambda measured: None if measured.anatomy.flat else changing_bones(measured), _flat),
)
