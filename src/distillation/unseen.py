"""Which teachers were not trained on a clip, so that each clip is taught by those only: cross-fitting.

A teacher knows its training clips by heart, and its outputs on them tell little more than the labels. With folds each
clip has teachers that never saw it (Dao, Kamath, Syrgkanis, Mackey, Knowledge Distillation as Semiparametric Inference,
ICLR 2021).

Legend: S clips of the store, W teachers.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.loading.confidences import is_same_store
from ..data.loading.run_data import TrainingData, training_clips
from ..data.store.fingerprints import data_fingerprints
from ..data.store.protocols import Split, labelled, split
from ..data.store.reader import Store
from ..data.store.recordings import RECORDING, in_recordings_of
from ..runs.shipped_weights import is_shipped
from ..settings.data import DataConfig
from ..settings.run import RunConfig
from ..utils.errors import UserError
from ..utils.names import first_few
from ..utils.numbers import counted
from .teachers import Teacher
from .unseen_advice import Wanted, missing_teachers, teachers_on_folds

_log = logging.getLogger(__name__)

_SHOWN = 3


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
    store = data.source.store
    parts = split(store.clips, config.data)
    trained = []
    for teacher in teachers:
        learned = _training_clips(teacher, store, config.data.min_confidence)
        known = in_recordings_of(store.clips, learned)  # neighbouring clips of a recording are alike
        _refuse_tested(teacher, known, parts, config.data, store)
        _warn(teacher, learned, known, config, parts, data)
        trained.append(known)
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


def _refuse_tested(teacher: Teacher, known: NDArray[np.bool_], parts: Split, about: DataConfig, store: Store) -> None:
    """Refuse a teacher that was trained on clips that test the student, or on others of their recordings.

    Raises:
        UserError: it was.
    """
    number = int(known[parts.test].sum())
    if not number:
        return
    raise UserError(
        f"The teacher {teacher.path} was trained on {number:,} of the {counted(len(parts.test), 'clip')} that test "
        f"the student ({about.name} {about.split}){_or_neighbours(store)}, "
        "so the student's accuracy would be too high. "
        f"{teachers_on_folds(teacher, about, Wanted(parts.train, parts, store))}"
    )


def _or_neighbours(store: Store) -> str:
    """Return what else than a clip itself a teacher may have been trained on, if the store has long recordings."""
    return ", or on other clips of their recordings" if RECORDING in (store.clips.dtype.names or ()) else ""


def _warn(
    teacher: Teacher,
    learned: NDArray[np.int64],
    known: NDArray[np.bool_],
    config: RunConfig,
    parts: Split,
    data: TrainingData,
) -> None:
    """Log warnings of a teacher that knows more than the student may, from its training clips and their recordings."""
    store = data.source.store
    _, held_out = training_clips(config, store, parts, warns=False)
    if number := int(known[held_out].sum()):
        _log.warning(
            "The teacher %s was trained on %s of %d that this run holds out%s: its validation accuracy is too high.",
            *(teacher.path, counted(number, "clip"), len(held_out), _or_neighbours(store)),
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
    wanted = Wanted(known, parts, store)
    shown = first_few([str(name) for name in store.clips["name"][known]], _SHOWN)
    raise UserError(
        f"distillation.unseen_only: of {counted(len(data.sampler.indices), 'training clip')}, {len(known):,} "
        f"({shown}) have no teacher that was not trained on them. "
        f"{missing_teachers(teachers, wanted) or teachers_on_folds(teachers[0], about, wanted)}"
    )
