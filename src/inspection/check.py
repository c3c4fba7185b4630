"""What a check is, and what all checks share: outliers of a set, and the finding about the clips that have a fault."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..utils.numbers import percent
from .findings import Evidence, Finding
from .measured_set import MeasuredSet
from .severity import Harm, severity_of

MOST_EVIDENCE, MOST_UNUSABLE = 1000, 100_000
Bools = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]
_MAD_OF_A_NORMAL = 0.6745  # the median absolute deviation of a normal distribution in standard deviations


def _is_possible(_: MeasuredSet) -> str:
    return ""


@dataclass(frozen=True)
class Check:
    """One kind of fault.

    Attributes:
        kind: its name, the same in every inspection.
        look: returns what was found, None if nothing.
        impossible: returns why it cannot be looked for in a set, empty if it can.
    """

    kind: str
    look: Callable[[MeasuredSet], Finding | None]
    impossible: Callable[[MeasuredSet], str] = _is_possible


@dataclass(frozen=True)
class Fault:
    """What a finding says, whatever the clips.

    Attributes:
        kind, title, remedy: as in a finding.
        harm: what it does to a clip.
        sentence: says what is wrong; `{clips}` in it is replaced by the number of clips and their share.
        of_clips: whether it is a fault of each clip alone, not of a class or of the whole set.
    """

    kind: str
    title: str
    sentence: str
    remedy: str
    harm: Harm
    of_clips: bool = True


def affecting(
    measured: MeasuredSet,
    affected: Bools,
    fault: Fault,
    evidence: Callable[[int], Evidence] = Evidence,
    worst: Floats | None = None,
) -> Finding | None:
    """Return the finding about the clips `affected` (N,), None if there are none.

    Args:
        measured: the set.
        affected: the clips with the fault.
        fault: what is wrong.
        evidence: describes a clip of a number.
        worst: (N,) how bad each clip is; the worst come first. In their order if None.
    """
    numbers = np.flatnonzero(affected)
    if not len(numbers):
        return None
    if worst is not None:
        numbers = numbers[np.argsort(-worst[numbers], kind="stable")]
    count, total = len(numbers), len(measured)
    clips = f"{count:,} of {total:,} clips ({percent(count / total)})"
    unusable = fault.of_clips and fault.harm is Harm.GRAVE
    shown = numbers[: MOST_UNUSABLE if unusable else MOST_EVIDENCE]
    return Finding(
        kind=fault.kind,
        severity=severity_of(affected, measured.labels, fault.harm),
        title=fault.title,
        message=fault.sentence.replace("{clips}", clips),
        remedy=fault.remedy,
        evidence=[evidence(int(number)) for number in shown],
        clips=count,
        unusable=unusable,
    )


def exchanging(measured: MeasuredSet, fault: Fault) -> Finding | None:
    """Return the finding about clips in which two things change places; the measures have the name of the fault."""
    counts, frames = measured.rows[fault.kind], measured.rows[f"{fault.kind}_frame"]

    def evidence(clip: int) -> Evidence:
        count, frame = int(counts[clip]), int(frames[clip])
        detail = f"in frame {frame}" + (f" and {count - 1} more" if count > 1 else "")
        return Evidence(clip, detail, (frame - 1, frame))

    return affecting(measured, measured.is_usable & (counts > 0), fault, evidence, counts.astype(float))


def outliers(values: Floats, factor: float, deviations: float, least: float = 0.0) -> Bools:
    """Return which values (N,) are far above the others, by their logarithms.

    Args:
        values: from 0; NaN for none, which is no outlier.
        factor: how many times the median they have to be.
        deviations: how many standard deviations above it, estimated by the median absolute deviation.
        least: how large they have to be in any case.
    """
    known = np.isfinite(values) & (values > 0)
    if not known.any():
        return np.zeros(len(values), np.bool_)
    logarithms = np.log(np.where(known, values, 1))
    median = np.median(logarithms[known])
    spread = np.median(np.abs(logarithms[known] - median)) / _MAD_OF_A_NORMAL
    limit = max(float(np.log(factor)), deviations * float(spread))
    return np.asarray(known & (values >= least) & (logarithms - median > limit))


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return names separated by commas, with the number of those that are left out."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
