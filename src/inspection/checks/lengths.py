"""Faults of the number of frames and of their rate."""

import numpy as np

from ..check import Check, Fault, affecting, outliers
from ..findings import Evidence, Finding
from ..measured_set import MeasuredSet
from ..severity import Harm

_FEWEST_FRAMES = 5
# The longest clip of NW-UCLA is 6.5 times as long as the one in the middle, of SBU 2, of the synthetic set 1.5.
_LONG_FACTOR, _LONG_DEVIATIONS = 6.0, 5.0
_SAME_RATE = 1.02


def one_frame(measured: MeasuredSet) -> Finding | None:
    """Find clips of a single frame."""
    fault = Fault(
        "one_frame",
        "Clips of one frame",
        "{clips} have one frame, and so no movement.",
        "Leave them out: a posture alone is another task.",
        Harm.GRAVE,
    )
    return affecting(measured, measured.is_usable & (measured.rows["frames"] == 1), fault)


def short_clips(measured: MeasuredSet) -> Finding | None:
    """Find clips of very few frames."""
    frames = measured.rows["frames"]
    fault = Fault(
        "short",
        "Very short clips",
        f"{{clips}} have fewer than {_FEWEST_FRAMES} frames.",
        "Leave them out, or find out why the recordings ended so early.",
        Harm.MILD,
    )
    affected = measured.is_usable & (frames > 1) & (frames < _FEWEST_FRAMES)
    return affecting(measured, affected, fault, lambda clip: Evidence(clip, f"{frames[clip]} frames"), -frames * 1.0)


def long_clips(measured: MeasuredSet) -> Finding | None:
    """Find clips that are far longer than the others, which may be recordings that were not cut."""
    frames = measured.rows["frames"]
    affected = measured.is_usable & outliers(frames.astype(float), _LONG_FACTOR, _LONG_DEVIATIONS)
    fault = Fault(
        "long",
        "Very long clips",
        "{clips} are far longer than the rest: they may be recordings that were not cut.",
        "Cut them with a table of intervals (data.intervals).",
        Harm.MILD,
    )
    return affecting(measured, affected, fault, lambda clip: Evidence(clip, f"{frames[clip]:,} frames"), frames * 1.0)


def frame_rates(measured: MeasuredSet) -> Finding | None:
    """Find sets whose clips have several frame rates, or some of them none."""
    rates, usable = measured.rows["fps"].astype(np.float64), measured.is_usable
    values, counts = np.unique(np.round(rates[usable], 2), return_counts=True)
    usual = values[counts.argmax()]
    if values.max() <= _SAME_RATE * values.min():
        return None
    same = (rates <= _SAME_RATE * usual) & (rates >= usual / _SAME_RATE)
    fault = Fault(
        "frame_rates",
        "Different frame rates",
        f"The frame rate of {{clips}} differs from the most frequent one, {_rate(usual)}: the same movement is faster "
        "or slower in them.",
        "Set data.fps, which brings all clips to one rate, and data.source_fps where recordings state none.",
        Harm.MILD,
    )
    return affecting(measured, usable & ~same, fault, lambda clip: Evidence(clip, _rate(rates[clip])))


def _rate(rate: float) -> str:
    return f"{rate:g} frames per second" if rate else "an unknown rate"


def _no_rate(measured: MeasuredSet) -> str:
    return "" if (measured.rows["fps"] > 0).any() else "no frame rate is known"


CHECKS = (
    Check("one_frame", one_frame),
    Check("short", short_clips),
    Check("long", long_clips),
    Check("frame_rates", frame_rates, _no_rate),
)
