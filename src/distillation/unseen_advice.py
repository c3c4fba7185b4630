"""Commands that train the teachers that `distillation.unseen_only` lacks: for folds of the student's training clips."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.store.fold_choice import fold_protocols
from ..data.store.protocols import Split, known_values, split
from ..data.store.reader import Store
from ..data.store.recordings import in_recordings_of
from ..runs.folder import RunFolder
from ..settings.data import DataConfig, ProtocolConfig, SelectConfig
from ..settings.splits import FoldChoice
from ..utils.errors import UserError
from ..utils.program import program
from .teachers import Teacher

_FOLDS = 5  # in a command that is suggested
_SELECTED_BY = {"subject": "subjects", "camera": "cameras", "setup": "setups"}  # keys of `data.select`


@dataclass(frozen=True)
class Wanted:
    """What further teachers are needed for.

    Attributes:
        known: the clips that at least one of them must not be trained on.
        parts: the student's training and test clips; none of them may be trained on the latter, or their recordings.
        store: the student's.
    """

    known: NDArray[np.int64]
    parts: Split
    store: Store

    def trains(self, data: Sequence[DataConfig]) -> bool:
        """Return whether teachers that are trained with these data, one for each, are such."""
        clips = self.store.clips
        seen = np.stack([in_recordings_of(clips, split(clips, each).train) for each in data])  # (teachers, clips)
        return not seen[:, self.parts.test].any() and not seen[:, self.known].all(axis=0).any()

    def selections(self, select: SelectConfig) -> Iterator[SelectConfig]:
        """Yield the selections among which one may hold the student's training clips and none of its test clips.

        Args:
            select: what the teachers' recipe selects.
        """
        yield select
        for by, key in _SELECTED_BY.items():
            train, test = (np.unique(self.store.clips[by][part]) for part in (self.parts.train, self.parts.test))
            values = train[train != 0]
            if len(values) and not len(np.intersect1d(values, test)):
                yield replace(select, **{key: values.tolist()})


def missing_teachers(teachers: Sequence[Teacher], wanted: Wanted) -> str:
    """Return the commands that train the other folds of the teachers' division; empty if those would not do."""
    rules = [_rule(each) for each in teachers]
    by, folds = rules[0].by, rules[0].folds
    missing = sorted(set(range(1, folds + 1)) - {rule.fold for rule in rules})
    recipe, data = _recipe(teachers[0])
    if any((rule.by, rule.folds) != (by, folds) for rule in rules) or not missing:
        return ""
    try:
        divided = fold_protocols(data, wanted.store.clips, FoldChoice(by, folds))
        if not wanted.trains([divided[fold - 1] for fold in missing]):
            return ""
    except UserError:
        return ""
    command = f"{program()} train {recipe} --split_by {by} --folds {folds} --fold"
    what = "teacher of this fold" if len(missing) == 1 else "teachers of these folds"
    commands = "\n".join(f"  {command} {fold}" for fold in missing)
    return f"Add the {what} with --teacher; to train it:\n{commands}"


def teachers_on_folds(teacher: Teacher, about: DataConfig, wanted: Wanted) -> str:
    """Return the command that trains teachers on folds of the student's training clips, or that there is none.

    Args:
        teacher: one whose training is repeated.
        about: the student's data.
        wanted: what the teachers are needed for.
    """
    recipe, data = _recipe(teacher)
    own = _rule(teacher)
    divisions = [(own.by, own.folds)] if own.folds else []
    divisions += [("subject", _FOLDS), ("file", _FOLDS)]
    for by, most in divisions:
        for select in wanted.selections(data.select):
            selected = replace(data, select=select)
            folds = min(most, len(known_values(wanted.store.clips, selected, by)))
            try:
                works = wanted.trains(fold_protocols(selected, wanted.store.clips, FoldChoice(by, folds)))
            except UserError:  # too few subjects, for example
                continue
            if works:
                return (
                    f"Train a teacher for each of {folds} folds of the training clips, and name them all with "
                    f"--teacher:\n  {program()} train {recipe} --split_by {by} --folds {folds}"
                    f"{_changed(data.select, select)}"
                )
    return (
        f"No command divides the training clips of {about.split} alone into folds, since no setting selects them. Do "
        f"it in text files: for each of {_FOLDS} folds one with the training clips of the other folds below train: and "
        "those of the fold below test:. Train a teacher with each, with --split FILE.txt, and name them all with "
        f"--teacher. {program()} split with --out DIR writes the student's split in this form."
    )


def _changed(before: SelectConfig, after: SelectConfig) -> str:
    """Return the option that changes a selection; empty if it is the same."""
    values = {key: value for key, value in vars(after).items() if value != getattr(before, key)}
    texts = [f"data.select.{key}=[{','.join(map(str, value))}]" for key, value in values.items()]
    return f" --set {' '.join(texts)}" if texts else ""


def _recipe(teacher: Teacher) -> tuple[str, DataConfig]:
    """Return the options with which a teacher's training is repeated, and the data that it then has.

    It is the configuration of its run, if that is there; otherwise its selection of clips has to be given again.
    """
    recorded, theirs = Path(teacher.path).parent.parent / RunFolder.CONFIG, teacher.config
    if recorded.exists():
        return f"--config {shlex.quote(str(recorded))}", theirs.data
    return f"--model {theirs.model.name} --dataset {theirs.data.name}", replace(theirs.data, select=SelectConfig())


def _rule(teacher: Teacher) -> ProtocolConfig:
    """Return the rule of a teacher's protocol; one without folds if it is a list of the source."""
    return teacher.config.data.protocols.get(teacher.config.data.split, ProtocolConfig())
