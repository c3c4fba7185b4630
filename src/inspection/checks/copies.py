"""Clips that are copies of others: of the same class, of another class, and in both parts of a protocol."""

import numpy as np
from numpy.typing import NDArray

from ...data.store.protocols import Split, divide, divided_recording, known_protocols
from ...settings.data import DataConfig
from ...settings.splits import PROPERTIES
from ...utils.errors import UserError
from ..check import MOST_UNUSABLE, Check, Fault, affecting
from ..findings import Evidence, Finding, Severity
from ..measured_set import MeasuredSet
from ..severity import Harm, severity_of

Integers = NDArray[np.int64]


def duplicates(measured: MeasuredSet) -> Finding | None:
    """Find clips that are copies of an earlier clip of the same class."""
    groups, labels = measured.copies, measured.labels
    affected = (groups != np.arange(len(groups))) & (labels == labels[groups])
    fault = Fault(
        "duplicates",
        "Copies of other clips",
        "{clips} are copies, or nearly so, of another clip of the same class.",
        "Leave the copies out, or keep them in the same part of every split.",
        Harm.MILD,
    )
    return affecting(measured, affected, fault, lambda clip: _copy_of(measured, clip, int(groups[clip])))


def contradictions(measured: MeasuredSet) -> Finding | None:
    """Find clips that are copies of a clip of another class."""
    groups, labels = measured.copies, measured.labels
    differs = labels != labels[groups]
    contradicted = np.zeros(len(groups), np.bool_)
    contradicted[groups[differs]] = True
    affected = differs | contradicted
    partner = groups.copy()
    partner[groups[differs]] = np.flatnonzero(differs)
    fault = Fault(
        "contradictions",
        "The same clip in two classes",
        "{clips} are copies of a clip of another class: at least one of the two labels is wrong.",
        "Look at them and keep the right label.",
        Harm.GRAVE,
    )

    def evidence(clip: int) -> Evidence:
        return _copy_of(measured, clip, int(partner[clip]), f", which is {measured.class_name(labels[partner[clip]])}")

    return affecting(measured, affected, fault, evidence)


def leaks(measured: MeasuredSet) -> Finding | None:
    """Find test clips that are copies of training clips, in the protocol with the largest share of them."""
    found: dict[str, tuple[Integers, Split]] = {}
    for name, parts in protocols_of(measured).items():
        trained = np.unique(measured.copies[parts.train])
        copied = parts.test[np.isin(measured.copies[parts.test], trained)]
        if len(copied):
            found[name] = (copied, parts)
    if not found:
        return None
    config = _config(measured)
    worst = max(found, key=lambda name: (name == config.split, len(found[name][0]) / len(found[name][1].test)))
    copied, parts = found[worst]
    affected = np.isin(parts.test, copied)
    harm = Harm.MILD if config.copies != "refuse" else Harm.GRAVE
    shares = "; ".join(f"{name}: {len(clips):,} of {len(split.test):,}" for name, (clips, split) in found.items())
    known = " The description of the data set allows them (copies: warn)." if harm is Harm.MILD else ""
    return Finding(
        kind="leaks",
        severity=severity_of(affected, measured.labels[parts.test], harm),
        title="Test clips that are copies of training clips",
        message=f"Test clips that are copies, or nearly so, of training clips: {shares}.{known}",
        remedy="Leave them out, or put the copies into the same part.",
        evidence=[
            _copy_of(measured, clip, _partner(measured, clip, parts.train)) for clip in copied[:MOST_UNUSABLE].tolist()
        ],
        clips=len(copied),
        unusable=harm is Harm.GRAVE,
    )


def divided_recordings(measured: MeasuredSet) -> Finding | None:
    """Find protocols that put parts of one recording into both parts."""
    assert measured.index is not None
    config = _config(measured)
    problems = {name: divided_recording(measured.index, config, name, parts)
                for name, parts in protocols_of(measured).items()}  # fmt: skip
    problems = {name: problem for name, problem in problems.items() if problem}
    if not problems:
        return None
    return Finding(
        kind="divided_recordings",
        severity=Severity.SPOILS,
        title="Parts of one recording in both parts of a split",
        message=" ".join(problems.values()),
        remedy="Divide by recording, with --split_by recording --folds 5.",
    )


def subjects_in_both_parts(measured: MeasuredSet) -> Finding | None:
    """Find protocols that divide single clips, and so have the same person in both parts."""
    config, subjects = _config(measured), measured.rows["subject"]
    found: dict[str, Integers] = {}
    for name, parts in protocols_of(measured).items():
        rule = config.protocols.get(name)
        both = np.intersect1d(subjects[parts.train], subjects[parts.test])
        both = both[both != 0]
        if len(both) and (rule is None or rule.by not in PROPERTIES):
            found[name] = parts.test[np.isin(subjects[parts.test], both)]
    if not found:
        return None
    affected = np.zeros(len(measured), np.bool_)
    affected[np.concatenate(list(found.values()))] = True
    fault = Fault(
        "subjects_in_both_parts",
        "People who both train and test",
        f"{', '.join(found)}: {{clips}} test people who also train, so the test does not measure how well a new person "
        "is recognised.",
        "To divide by subject: --split_by subject --folds 5",
        Harm.MILD,
    )
    return affecting(measured, affected, fault)


def protocols_of(measured: MeasuredSet) -> dict[str, Split]:
    """Return the parts of every protocol that divides the clips into two parts."""
    if measured.index is None:
        return {}
    config, found = _config(measured), {}
    for name in known_protocols(measured.index, config):
        try:
            parts = divide(measured.index, config, name)
        except UserError:
            continue
        if len(parts.train) and len(parts.test):
            found[name] = parts
    return found


def _config(measured: MeasuredSet) -> DataConfig:
    return measured.config or DataConfig(name="set", classes=list(measured.classes))


def _partner(measured: MeasuredSet, clip: int, among: Integers) -> int:
    """Return the first clip among others that a clip is a copy of."""
    return int(among[(measured.copies[among] == measured.copies[clip]).argmax()])


def _copy_of(measured: MeasuredSet, clip: int, other: int, more: str = "") -> Evidence:
    return Evidence(clip, f"a copy of {measured.names[other]}{more}", other=other)


def _no_labels(measured: MeasuredSet) -> str:
    return "" if (measured.labels >= 0).any() else "the clips have no labels"


def _no_protocols(measured: MeasuredSet) -> str:
    if measured.index is None:
        return "raw recordings are not divided yet"
    return "" if protocols_of(measured) else "no protocol divides the clips"


CHECKS = (
    Check("duplicates", duplicates),
    Check("contradictions", contradictions, _no_labels),
    Check("leaks", leaks, _no_protocols),
    Check("divided_recordings", divided_recordings, _no_protocols),
    Check("subjects_in_both_parts", subjects_in_both_parts, _no_protocols),
)
