"""Faults of the labels: too few classes or clips, and classes that something other than the movement gives away."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...data.preparation.discover import PARTS
from ...utils.numbers import percent
from ..check import Bools, Check, Fault, affecting, listed
from ..findings import Evidence, Finding, Severity
from ..measured_set import MeasuredSet
from ..severity import Harm

_IMBALANCE = 10  # times the clips of a small class, in the largest one
_FEWEST_FOR_A_SHORTCUT = 20  # clips, and at least three per class
_FEWEST_OF_A_CLASS = 3
# How much of what the most frequent class leaves wrong a property gets right: the length 0.16 in NW-UCLA and in the
# synthetic set and 0.20 in SBU, the number of bodies 0.09 in the synthetic set, all others at most 0.02.
_GIVEN_AWAY = 0.7
_LENGTH_BINS = 12
_RECORDED = {"camera": "the camera", "subject": "the subject", "setup": "the set-up", "fps": "the frame rate"}


def one_class(measured: MeasuredSet) -> Finding | None:
    """Find sets of a single class."""
    known = measured.labels[measured.labels >= 0]
    if len(np.unique(known)) != 1:
        return None
    fault = Fault(
        "one_class",
        "One class",
        f"{{clips}} are of the same class, {measured.class_name(int(known[0]))}: there is nothing to tell apart.",
        "Add clips of other movements, also of a class for everything else.",
        Harm.GRAVE,
        of_clips=False,
    )
    return affecting(measured, measured.labels >= 0, fault)


def parts_as_classes(measured: MeasuredSet) -> Finding | None:
    """Find sets whose classes are `train` and `test`, or other parts: the classes are folders below them."""
    names = [measured.class_name(int(label)) for label in np.unique(measured.labels[measured.labels >= 0])]
    if not names or not {name.casefold() for name in names} <= PARTS:
        return None
    fault = Fault(
        "parts_as_classes",
        "Parts instead of classes",
        f"{{clips}} are of {listed(names)}, which are parts, not classes.",
        "Put the clips of each class into one folder, such as class_name/train_clip.npy, and give the parts as a "
        "protocol in a data YAML.",
        Harm.GRAVE,
        of_clips=False,
    )
    return affecting(measured, measured.labels >= 0, fault)


def empty_classes(measured: MeasuredSet) -> Finding | None:
    """Find classes without a clip."""
    counts = _counts(measured)
    empty = [measured.class_name(label) for label in np.flatnonzero(counts == 0).tolist()]
    if not empty:
        return None
    return Finding(
        kind="empty_classes",
        severity=Severity.WARNING,
        title="Classes without a clip",
        message=f"{len(empty):,} of {len(counts):,} classes have no clip: {listed(empty)}.",
        remedy="Remove them from data.classes, or record clips of them.",
    )


def single_clips(measured: MeasuredSet) -> Finding | None:
    """Find classes with one clip."""
    counts = _counts(measured)
    return _about_classes(
        measured,
        counts == 1,
        Fault(
            "single_clips",
            "Classes with one clip",
            "{classes} a single clip ({clips}): it either trains or tests, so the class is not measured.",
            "Record more clips of them, merge them with others (data.class_map), or leave them out.",
            Harm.GRAVE,
            of_clips=False,
        ),
    )


def imbalance(measured: MeasuredSet) -> Finding | None:
    """Find classes with far fewer clips than the largest one."""
    counts = _counts(measured)
    small = (counts > 1) & (counts * _IMBALANCE <= counts.max())
    return _about_classes(
        measured,
        small,
        Fault(
            "imbalance",
            "Classes with few clips",
            f"{{classes}} at most a tenth of the clips of the largest class, which has {counts.max():,} ({{clips}}).",
            "Record more of them, or draw them more often with class_sampling: balanced.",
            Harm.MILD,
        ),
    )


def single_subjects(measured: MeasuredSet) -> Finding | None:
    """Find classes that a single person performs, in a set of several people."""
    return _of_a_single(measured, "subject", "single_subjects", "a single person")


def single_cameras(measured: MeasuredSet) -> Finding | None:
    """Find classes that a single camera recorded, in a set of several cameras."""
    return _of_a_single(measured, "camera", "single_cameras", "a single camera")


def one_subject(measured: MeasuredSet) -> Finding | None:
    """Find sets of one person, if at least half of the clips that were read state their subject."""
    known = measured.rows["is_read"] & (measured.rows["subject"] != 0)
    few = 2 * np.count_nonzero(known) < np.count_nonzero(measured.rows["is_read"])
    if few or len(np.unique(measured.rows["subject"][known])) != 1:
        return None
    fault = Fault(
        "one_subject",
        "One person",
        "{clips} are of the same person, so nothing shows how well other people are recognised.",
        "Record other people, at least for the test.",
        Harm.MILD,
    )
    return affecting(measured, known, fault)


def recorded_shortcuts(measured: MeasuredSet) -> Finding | None:
    """Find labels that the person, the camera, the set-up or the frame rate gives away."""
    rows = measured.rows
    values: dict[str, NDArray[np.float64]] = {name: np.asarray(rows[name], np.float64).round(1) for name in _RECORDED}
    found = {name: _given_away(measured, values[name]) for name in _RECORDED}
    return _shortcut(
        measured,
        {_RECORDED[name]: share for name, share in found.items()},
        "recorded_shortcuts",
        "Classes that the recording gives away",
        "Record every class with several people, cameras and set-ups.",
        Harm.GRAVE,
    )


def trivial_shortcuts(measured: MeasuredSet) -> Finding | None:
    """Find labels that the length or the number of bodies gives away."""
    rows = measured.rows
    edges = np.unique(np.quantile(rows["frames"][_compared(measured)], np.linspace(0, 1, _LENGTH_BINS + 1)[1:-1]))
    values = {"the length": np.digitize(rows["frames"], edges), "the number of bodies": rows["bodies"]}
    return _shortcut(
        measured,
        {name: _given_away(measured, each.astype(np.float64)) for name, each in values.items()},
        "trivial_shortcuts",
        "Classes that the length or the number of bodies gives away",
        "If the movement should decide, record clips of every class that vary in this, too.",
        Harm.MILD,
    )


def _shortcut(
    measured: MeasuredSet, shares: dict[str, float], kind: str, title: str, remedy: str, harm: Harm
) -> Finding | None:
    found = {name: share for name, share in shares.items() if share >= _GIVEN_AWAY}
    if not found:
        return None
    worst = max(found, key=lambda name: found[name])
    sentence = (
        f"{worst.capitalize()} alone tells the class of {percent(found[worst])} of those that always guessing the most "
        "frequent class gets wrong, of {clips}."
    )
    return affecting(measured, _compared(measured), Fault(kind, title, sentence, remedy, harm, of_clips=False))


def _compared(measured: MeasuredSet) -> Bools:
    """Return which clips were read and have a label, (N,): of others no property or no class is known."""
    return np.asarray(measured.rows["is_read"] & (measured.labels >= 0))


def _given_away(measured: MeasuredSet, values: NDArray[np.float64]) -> float:
    """Return the share of errors of guessing the most frequent class that are avoided if a property is known.

    Each clip's class is guessed as the most frequent one among the clips of the same value, itself included. The guess
    counts as wrong where no class has two clips of the value, so that a value of its own gives no clip away.
    """
    labels, known = measured.labels, _compared(measured)
    if len(np.unique(values[known])) < 2:
        return 0.0
    _, place = np.unique(values[known], return_inverse=True)
    classes, label = np.unique(labels[known], return_inverse=True)
    pairs, counts = np.unique(place * len(classes) + label, return_counts=True)
    best = np.zeros(place.max() + 1, np.int64)
    np.maximum.at(best, pairs // len(classes), np.where(counts > 1, counts, 0))
    right = best.sum() / len(label)
    base = np.bincount(label).max() / len(label)
    return float((right - base) / (1 - base)) if base < 1 else 0.0


def _of_a_single(measured: MeasuredSet, name: str, kind: str, what: str) -> Finding | None:
    values, labels = measured.rows[name], measured.labels
    known = (labels >= 0) & (values != 0)
    pairs = np.unique(np.stack([labels[known], values[known]]), axis=1)[0]
    counts = _counts(measured)
    different = np.bincount(pairs, minlength=len(counts))
    affected = (different == 1) & (counts >= _FEWEST_OF_A_CLASS)
    fault = Fault(
        kind,
        f"Classes of {what}",
        f"{{classes}} clips of {what} only ({{clips}}): a model may learn to recognise that instead of the movement.",
        f"Record them with another {name} too.",
        Harm.MILD,
    )
    return _about_classes(measured, affected, fault)


def _about_classes(measured: MeasuredSet, affected: Bools, fault: Fault) -> Finding | None:
    numbers = np.flatnonzero(affected)
    if not len(numbers):
        return None
    names = listed([measured.class_name(label) for label in numbers.tolist()])
    sentence = fault.sentence.replace("{classes}", f"{names} {'has' if len(numbers) == 1 else 'have'}")
    labels = measured.labels
    return affecting(
        measured,
        np.isin(labels, numbers),
        replace(fault, sentence=sentence),
        lambda clip: Evidence(clip, measured.class_name(labels[clip])),
    )


def _counts(measured: MeasuredSet) -> NDArray[np.int64]:
    known = measured.labels[measured.labels >= 0]
    return np.bincount(known, minlength=len(measured.classes))


def _no_labels(measured: MeasuredSet) -> str:
    return "" if (measured.labels >= 0).any() else "the clips have no labels"


def _no_subjects(measured: MeasuredSet) -> str:
    return "" if (measured.rows["subject"] != 0).any() else "no clip states its subject"


def _one_value(name: str, what: str) -> Callable[[MeasuredSet], str]:
    """Return a function that says why classes cannot be compared by a number of the recordings, see `Check`."""

    def impossible(measured: MeasuredSet) -> str:
        values = measured.rows[name]
        if not (values != 0).any():
            return f"no clip states its {what}"
        return "" if len(np.unique(values[values != 0])) > 1 else f"all clips are of one {what}"

    return impossible


def _too_few(measured: MeasuredSet) -> str:
    if reason := _no_labels(measured):
        return reason
    known = measured.labels[_compared(measured)]
    fewest = max(_FEWEST_FOR_A_SHORTCUT, 3 * len(np.unique(known)))
    return "" if len(known) >= fewest and len(np.unique(known)) > 1 else "there are too few clips or classes"


CHECKS = (
    Check("one_class", one_class, _no_labels),
    Check("parts_as_classes", parts_as_classes, _no_labels),
    Check("empty_classes", empty_classes, _no_labels),
    Check("single_clips", single_clips, _no_labels),
    Check("imbalance", imbalance, _no_labels),
    Check("single_subjects", single_subjects, _one_value("subject", "subject")),
    Check("single_cameras", single_cameras, _one_value("camera", "camera")),
    Check("one_subject", one_subject, _no_subjects),
    Check("recorded_shortcuts", recorded_shortcuts, _too_few),
    Check("trivial_shortcuts", trivial_shortcuts, _too_few),
)
