"""Which teachers were not trained on a clip, so that each clip is taught by those only: cross-fitting.

A teacher knows its training clips by heart, and its outputs on them tell little more than the labels. With folds each
clip has teachers that never saw it (Dao, Kamath, Syrgkanis, Mackey, Knowledge Distillation as Semiparametric Inference,
ICLR 2021).

Legend: S clips of the store, W teachers.
"""

import logging
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.loading.confidences import is_same_store
from ..data.loading.run_data import TrainingData, training_clips
from ..data.store.fingerprints import data_fingerprints
from ..data.store.fold_choice import fold_protocols
from ..data.store.protocols import Split, known_values, labelled, split
from ..data.store.reader import Store
from ..data.store.recordings import recordings_of
from ..runs.folder import RunFolder
from ..runs.shipped_weights import is_shipped
from ..settings.data import DataConfig, ProtocolConfig, SelectConfig
from ..settings.run import RunConfig
from ..settings.splits import FoldChoice
from ..utils.errors import UserError
from ..utils.names import first_few
from ..utils.numbers import counted
from ..utils.program import program
from .teachers import Teacher

_log = logging.getLogger(__name__)

_SHOWN = 3
_FOLDS = 5  # in a command that is suggested
_SELECTED_BY = {"subject": "subjects", "camera": "cameras", "setup": "setups"}  # keys of `data.select`


@dataclass(frozen=True)
class UnseenClips:
    """The clips that each teacher was not trained on.

    Attributes:
        mask: (S, W) bool.
        training_clips: the indices of the student's training clips, each of which a teacher has not seen.
    """

    mask: Tensor
    training_clips: Tensor

    @property
    def counts(self) -> list[int]:
        """Return how many of the student's training clips each teacher answers for."""
        found: list[int] = self.mask[self.training_clips].sum(dim=0).tolist()
        return found

    def weights(self, given: Tensor) -> Tensor:
        """Return the weights (S, W) of the teachers for each clip, whose sum is one; `given` (W,) are those of all.

        A clip that every teacher has seen, which the student is not trained on, has zeros.
        """
        own = given * self.mask
        return own / own.sum(dim=1, keepdim=True).clamp(min=torch.finfo(own.dtype).tiny)


def unseen_clips(config: RunConfig, teachers: Sequence[Teacher], data: TrainingData) -> UnseenClips:
    """Return which clips of the student's store each teacher was not trained on.

    Args:
        config: the configuration of the student's run.
        teachers: the teachers, whose training clips follow from their own configurations.
        data: the student's data.

    Raises:
        UserError: the training clips of a teacher cannot be known, a teacher was trained on clips that test the
            student, or every teacher was trained on some clip of the student's.
    """
    store, recordings = data.source.store, recordings_of(data.source.store.clips)
    parts = split(store.clips, config.data)
    trained = []
    for teacher in teachers:
        learned = _training_clips(teacher, store, config.data.min_confidence)
        _refuse_tested(teacher, learned, parts, config.data, store)
        _warn(teacher, learned, config, parts, data)
        trained.append(np.isin(recordings, recordings[learned]))  # neighbouring clips of a recording are alike
    seen = np.stack(trained, axis=1)  # (S, W)
    used = data.sampler.indices
    _refuse_known(used.numpy()[seen[used.numpy()].all(axis=1)], teachers, config.data, parts, data)
    return UnseenClips(torch.from_numpy(~seen), used)


def _training_clips(teacher: Teacher, store: Store, min_confidence: float) -> NDArray[np.int64]:
    """Return the indices in the student's store of the clips whose labels a teacher was trained with.

    Raises:
        UserError: they cannot be known.
    """
    theirs, unknown = teacher.config, ""
    if theirs.distillation.teachers:
        unknown = "it was distilled, and what its own teachers were trained on is not recorded"
    elif not {"store", "protocol"} <= teacher.data.keys():
        unknown = "an older version wrote its checkpoint, without fingerprints of its data"
    elif not is_same_store(teacher.data["store"], store, min_confidence):
        unknown = f"it was trained on another store than {store.path}"
    else:
        parts = split(store.clips, theirs.data)
        found = data_fingerprints(store, parts, theirs.data.skeleton)["protocol"]
        if found == teacher.data["protocol"]:
            train, _ = training_clips(theirs, store, parts, warns=False)
            return labelled(store.clips, train, theirs.label_fraction)
        unknown = f"its protocol {theirs.data.split} divides the clips differently now"
    raise UserError(
        f"distillation.unseen_only needs to know the training clips of the teacher {teacher.path}, and {unknown}. Use "
        "teachers that were trained on labels alone, on the student's store, or set distillation.unseen_only=false."
    )


def _refuse_tested(teacher: Teacher, learned: NDArray[np.int64], parts: Split, about: DataConfig, store: Store) -> None:
    """Refuse a teacher that was trained on clips that test the student.

    Raises:
        UserError: it was.
    """
    both = np.intersect1d(learned, parts.test)
    if not len(both):
        return
    raise UserError(
        f"The teacher {teacher.path} was trained on {len(both):,} of the {counted(len(parts.test), 'clip')} that test "
        f"the student ({about.name} {about.split}), so the student's accuracy would be too high. "
        f"{_folds(teacher, about, _Wanted(parts.train, parts, store))}"
    )


def _warn(teacher: Teacher, learned: NDArray[np.int64], config: RunConfig, parts: Split, data: TrainingData) -> None:
    """Log a warning of a teacher that knows labels that the student may not use."""
    _, held_out = training_clips(config, data.source.store, parts, warns=False)
    if number := len(np.intersect1d(learned, held_out)):
        _log.warning(
            "The teacher %s was trained on %s of %d that this run holds out: its validation accuracy is too high.",
            *(teacher.path, counted(number, "clip"), len(held_out)),
        )
    more = np.setdiff1d(np.intersect1d(learned, parts.train), np.union1d(data.labelled, held_out))
    if config.label_fraction < 1 and len(more):
        _log.warning(
            "The teacher %s was trained with the labels of %s whose labels the student may not use "
            "(label_fraction: %g): its outputs contain information from more labels than that.",
            *(teacher.path, counted(len(more), "clip"), config.label_fraction),
        )
    origin = teacher.config.init_from
    if origin and not is_shipped(Path(origin)):
        _log.warning(
            "The teacher %s began with the weights of %s. If those were trained on clips of the student, it has seen "
            "them, and distillation.unseen_only does not know it.",
            *(teacher.path, origin),
        )


def _refuse_known(
    known: NDArray[np.int64], teachers: Sequence[Teacher], about: DataConfig, parts: Split, data: TrainingData
) -> None:
    """Refuse training clips that every teacher was trained on; `known` are their indices.

    Raises:
        UserError: there are some.
    """
    if not len(known):
        return
    store = data.source.store
    wanted = _Wanted(known, parts, store)
    shown = first_few([str(name) for name in store.clips["name"][known]], _SHOWN)
    raise UserError(
        f"distillation.unseen_only: of {counted(len(data.sampler.indices), 'training clip')}, {len(known):,} "
        f"({shown}) have no teacher that was not trained on them. "
        f"{_missing_folds(teachers, wanted) or _folds(teachers[0], about, wanted)}"
    )


# --- what to do instead


@dataclass(frozen=True)
class _Wanted:
    """What further teachers are needed for.

    Attributes:
        known: the clips that at least one of them must not be trained on.
        parts: the student's training and test clips, the latter of which none of them may be trained on.
        store: the student's.
    """

    known: NDArray[np.int64]
    parts: Split
    store: Store

    def trains(self, data: Sequence[DataConfig]) -> bool:
        """Return whether teachers that are trained with these data, one for each, are such."""
        recordings = recordings_of(self.store.clips)
        trained = [split(self.store.clips, each).train for each in data]
        seen = [np.isin(recordings[self.known], recordings[learned]) for learned in trained]
        tested = any(len(np.intersect1d(learned, self.parts.test)) for learned in trained)
        return not tested and not np.all(seen, axis=0).any()

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


def _missing_folds(teachers: Sequence[Teacher], wanted: _Wanted) -> str:
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


def _folds(teacher: Teacher, about: DataConfig, wanted: _Wanted) -> str:
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
