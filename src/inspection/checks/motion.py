"""Faults of the movement in a clip: it stands still, repeats frames, jumps, trembles, or lacks frames."""

import numpy as np

from ...utils.numbers import percent
from ..check import Check, Fault, affecting, outliers
from ..findings import Evidence, Finding
from ..measured_set import MeasuredSet
from ..severity import Harm

_STILL = 1e-5  # of a bone: less than any sensor's noise
# NW-UCLA and SBU repeat at most one frame; the synthetic set none.
_FEWEST_REPEATS, _REPEATED_PART, _REPEATED_SHARE = 4, 0.1, 0.2
# Steps in bone lengths (20 cm of a person) per frame. Largest of a joint in the middle clip, and of 99 % of the clips:
# NW-UCLA 1.8 and 4.2, SBU 1.1 and 1.9, synthetic 1.3 and 2.9. Of the whole body: 0.5 and 5.9, 0.2 and 0.7, 0.1 and 0.6.
_JOINT_JUMP, _JOINT_JUMP_FACTOR = 6.0, 4.0
_BODY_JUMP, _BODY_JUMP_FACTOR = 2.5, 5.0
# Bends of a joint's path: NW-UCLA has 0.11 and 0.33 in the clips in the middle and at 99 %, SBU 0.04 and 0.12.
_JITTER, _JITTER_FACTOR, _JITTER_DEVIATIONS = 0.1, 3.0, 5.0
# Share of the fast steps that are twice as long as their neighbours: NW-UCLA 0.02 and 0.14, SBU 0.05 and 0.22.
_DROPPED, _DROPPED_MEDIAN, _DROPPED_FACTOR = 0.16, 0.1, 10.0


def frozen(measured: MeasuredSet) -> Finding | None:
    """Find clips of several frames in which nothing moves."""
    fault = Fault(
        "frozen",
        "Clips that do not move",
        "All frames are the same in {clips}.",
        "Leave them out, or record them again: the tracker probably stopped.",
        Harm.GRAVE,
    )
    return affecting(measured, _frozen(measured), fault)


def frozen_stretches(measured: MeasuredSet) -> Finding | None:
    """Find clips that repeat frames: many one after another, or many of them."""
    rows = measured.rows
    long = (rows["longest_repeat"] >= _FEWEST_REPEATS) & (rows["longest_repeat"] >= _REPEATED_PART * rows["frames"])
    affected = measured.is_usable & (long | (rows["repeated"] >= _REPEATED_SHARE)) & ~_frozen(measured)
    affected &= rows["frames"] > _FEWEST_REPEATS

    def evidence(clip: int) -> Evidence:
        start, length = int(rows["repeat_start"][clip]), int(rows["longest_repeat"][clip])
        return Evidence(clip, f"frames {start} to {start + length} are the same", (start, start + length))

    fault = Fault(
        "frozen_stretches",
        "Frames that are repeated",
        "{clips} repeat frames: the tracker lost the body, or the video has a lower frame rate than the clip.",
        "Remove these frames, mark them as missing (NaN), or record at the sensor's frame rate.",
        Harm.MILD,
    )
    return affecting(measured, affected, fault, evidence, rows["repeated"])


def joint_jumps(measured: MeasuredSet) -> Finding | None:
    """Find clips in which a joint is far away for a moment."""
    rows = measured.rows
    limit = max(_JOINT_JUMP, _JOINT_JUMP_FACTOR * _middle(rows["joint_jump"]))
    affected = measured.is_usable & (rows["joint_jump"] > limit)

    def evidence(clip: int) -> Evidence:
        joint, frame = int(rows["joint_jump_joint"][clip]), int(rows["joint_jump_frame"][clip])
        detail = f"{measured.layout.joints[joint]} moves {rows['joint_jump'][clip]:.0f} bone lengths in one frame"
        return Evidence(clip, detail, (frame - 1, frame), (joint,))

    fault = Fault(
        "joint_jumps",
        "Joints that jump",
        "In {clips} a joint jumps away from the body within one frame.",
        "Mark such joints as missing (NaN, or a confidence below data.min_confidence): short gaps are interpolated.",
        Harm.MILD,
    )
    return affecting(measured, affected, fault, evidence, rows["joint_jump"])


def body_jumps(measured: MeasuredSet) -> Finding | None:
    """Find clips in which a whole body jumps, as where a tracker takes another person."""
    rows = measured.rows
    limit = max(_BODY_JUMP, _BODY_JUMP_FACTOR * _middle(rows["body_jump"]))
    affected = measured.is_usable & (rows["body_jump"] > limit)

    def evidence(clip: int) -> Evidence:
        frame = int(rows["body_jump_frame"][clip])
        detail = f"the body moves {rows['body_jump'][clip]:.0f} bone lengths in one frame"
        return Evidence(clip, detail, (frame - 1, frame))

    fault = Fault(
        "body_jumps",
        "Bodies that jump",
        "In {clips} a whole body jumps within one frame.",
        "Check whether the tracker switched to another person, or frames are missing, and cut the clip there.",
        Harm.MILD,
    )
    return affecting(measured, affected, fault, evidence, rows["body_jump"])


def jitter(measured: MeasuredSet) -> Finding | None:
    """Find clips whose joints tremble far more than those of the others."""
    values = measured.rows["jitter"]
    affected = measured.is_usable & outliers(values, _JITTER_FACTOR, _JITTER_DEVIATIONS, _JITTER)
    fault = Fault(
        "jitter",
        "Jittery clips",
        "The joints of {clips} jitter far more than those of the rest.",
        "Smooth them before preparing them, or record with more light or a closer camera.",
        Harm.MILD,
    )

    def evidence(clip: int) -> Evidence:
        return Evidence(clip, f"{values[clip] / _middle(values):.0f} times as much as the median clip")

    return affecting(measured, affected, fault, evidence, values)


def dropped_frames(measured: MeasuredSet) -> Finding | None:
    """Find clips in which frames are missing: steps as long as their two neighbours together."""
    values, usable = measured.rows["dropped"], measured.is_usable
    known = usable & np.isfinite(values)
    if not known.any():
        return None
    median = float(np.median(values[known]))
    spread = float(np.median(np.abs(values[known] - median)))
    everywhere = median > _DROPPED_MEDIAN
    limit = _DROPPED_MEDIAN if everywhere else max(_DROPPED, median + _DROPPED_FACTOR * spread)
    affected = (known & (np.nan_to_num(values) > limit)) | (usable & measured.rows["was_retimed"])

    def evidence(clip: int) -> Evidence:
        share = values[clip]
        return Evidence(
            clip, "its timestamps have gaps" if not share > limit else f"{percent(share)} of its fast steps"
        )

    fault = Fault(
        "dropped_frames",
        "Clips with dropped frames",
        "In {clips} frames seem to be missing: many steps are as long as two, or the timestamps have gaps.",
        "Provide the frames' timestamps and set data.fps, so that the clips get frames at equal intervals.",
        Harm.MILD,
    )
    return affecting(measured, affected, fault, evidence, np.nan_to_num(values))


def _frozen(measured: MeasuredSet) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    rows = measured.rows
    return np.asarray(measured.is_usable & (rows["frames"] > 1) & (rows["movement"] <= _STILL))


def _middle(values: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else 0.0


CHECKS = (
    Check("frozen", frozen),
    Check("frozen_stretches", frozen_stretches),
    Check("joint_jumps", joint_jumps),
    Check("body_jumps", body_jumps),
    Check("jitter", jitter),
    Check("dropped_frames", dropped_frames),
)
