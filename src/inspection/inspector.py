"""Inspect a data set: measure every clip once, look for every kind of fault, and let students judge the labels."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..data.store.played_clips import played_clip
from ..plots.player import PlayedClip
from ..utils.files import write_json
from ..utils.progress import SILENT, Progress
from .checks import ALL
from .clip_source import ClipSource
from .contents import contents_of
from .findings import Finding, Inspection, Severity
from .measured_set import MeasuredSet, measure_set
from .student_folds import FEWEST_OF_CLASS
from .students import KIND as WRONG_LABELS
from .students import Studied, study

UNTRAINED = "students were not trained"
_ORDER = list(Severity)
# Students learn nothing from clips with these faults.
_NOTHING_TO_LEARN = {"unreadable", "not_finite", "empty", "one_frame", "frozen"}


def inspect_clips(
    source: ClipSource,
    *,
    minutes: float = 0.0,
    seed: int = 0,
    progress: Progress = SILENT,
    untrained: str = UNTRAINED,
) -> Inspection:
    """Return what is in a set, what is wrong with it, and what more clips would bring.

    Bad clips are findings; nothing in a clip makes this fail.

    Args:
        source: the clips.
        minutes: how long students may be trained, to find wrong labels and the learning curve; 0 for not at all.
        seed: of the students.
        progress: the progress display.
        untrained: why no students are trained, if they are not.
    """
    measured = measure_set(source, progress)
    findings, checked = look(measured)
    if minutes <= 0:
        studied = Studied(refused=untrained)
    elif few := _too_few_left(measured, findings):
        studied = Studied(refused=few)
    else:
        studied = _studied(source, minutes, seed, progress)
    if studied.wrong_labels is not None:
        findings.append(studied.wrong_labels)
    checked[WRONG_LABELS] = studied.refused
    findings.sort(key=lambda finding: _ORDER.index(finding.severity))
    no_curve = (studied.refused or studied.no_curve).rstrip(".")
    return Inspection(source.name, source.where, contents_of(measured), findings, checked, studied.curve, no_curve)


def look(measured: MeasuredSet) -> tuple[list[Finding], dict[str, str]]:
    """Return all findings about a measured set, and for each kind why it could not be looked for, empty if it was."""
    findings, checked = [], {}
    for check in ALL:
        checked[check.kind] = check.impossible(measured)
        if not checked[check.kind] and (finding := check.look(measured)) is not None:
            findings.append(finding)
    return findings, checked


def _too_few_left(measured: MeasuredSet, findings: Sequence[Finding]) -> str:
    """Return why students would learn nothing, since too few clips are without grave faults; empty if they would."""
    useless = {finding.kind: finding for finding in findings if finding.kind in _NOTHING_TO_LEARN}
    left = measured.labels >= 0
    left[[each.clip for finding in useless.values() for each in finding.evidence]] = False
    enough = np.bincount(measured.labels[left]) >= FEWEST_OF_CLASS
    if not useless or np.count_nonzero(enough) >= 2:
        return ""
    kinds = " and ".join(kind.replace("_", " ") for kind in useless)
    return f"{UNTRAINED}, for without the clips of {kinds} fewer than two classes have {FEWEST_OF_CLASS} clips"


def _studied(source: ClipSource, minutes: float, seed: int, progress: Progress) -> Studied:
    """Return what students found out, or why they could not be trained."""
    if source.store is None:
        return Studied(refused="students need a prepared data set")
    return study(source.store, source.config, minutes=minutes, seed=seed, progress=progress)


def played(source: ClipSource, number: int) -> PlayedClip:
    """Return a clip of a source for the player.

    Raises:
        BadClip: it cannot be read.
    """
    clip = source.read(number)
    return played_clip(clip, source.layout, source.class_of(clip), ())


def write_inspection_json(path: Path, inspection: Inspection, names: list[str]) -> None:
    """Write an inspection as JSON, with the names of the clips beside their numbers.

    Raises:
        UserError: the file cannot be written.
    """
    write_json(path, as_json(inspection, names))


def as_json(inspection: Inspection, names: list[str]) -> Mapping[str, Any]:
    """Return an inspection as JSON values; what is unknown of clips, such as their camera, is counted as `null`."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(inspection)))
    for counts in ("subjects", "cameras", "setups", "frame_rates"):
        contents = values["contents"]
        contents[counts] = {key if float(key) else "null": count for key, count in contents[counts].items()}
    for finding in values["findings"]:
        for each in finding["evidence"]:
            each["name"] = names[each["clip"]]
            if each["other"] is not None:
                each["other_name"] = names[each["other"]]
    return {"spoils": inspection.spoils, **values}
