"""Warnings of teachers that were never trained on classes that they teach."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.loading.run_data import TrainingData, training_part
from ..data.store.fingerprints import data_fingerprints
from ..data.store.protocols import divide
from ..data.store.reader import Store
from ..utils.names import first_few
from ..utils.numbers import counted
from .teachers import Teacher
from .unseen import UnseenClips

_log = logging.getLogger(__name__)

_SHOWN = 3


def warn_of_untrained_classes(teachers: Sequence[Teacher], data: TrainingData, unseen: UnseenClips | None) -> None:
    """Log a warning of each teacher of clips whose classes had no clip in its training.

    Nothing is said of a teacher whose training clips are not known.

    Args:
        teachers: the teachers.
        data: the student's data.
        unseen: the clips that each teacher answers for; None if each answers for all of the student's training clips.
    """
    labels, used = data.source.store.clips["label"], data.sampler.indices
    for number, teacher in enumerate(teachers):
        learned = _training_part(teacher, data.source.store)
        if not len(learned):
            continue
        taught = labels[(used if unseen is None else used[unseen.mask[used, number]]).numpy()]
        missing = np.setdiff1d(taught, labels[learned])
        if not len(missing):
            continue
        them = "it" if len(missing) == 1 else "them"
        _log.warning(
            "The teacher %s was trained on no clip of %s (%s): it gives %s almost no probability, and %s of %s %s "
            "are of %s.",
            teacher.path,
            counted(len(missing), "class"),
            first_few([data.classes[label] for label in missing], _SHOWN),
            them,
            f"{np.isin(taught, missing).sum():,}",
            counted(len(taught), "training clip"),
            "of the student" if unseen is None else "that it answers for",
            them,
        )


def _training_part(teacher: Teacher, store: Store) -> NDArray[np.int64]:
    """Return the training part of a teacher's protocol in the student's store; empty if it is not known."""
    theirs = teacher.config.data
    learned = training_part(theirs, teacher.data.get("store", ""), store)
    if not len(learned):
        return learned
    found = data_fingerprints(store, divide(store.clips, theirs), theirs.skeleton)["protocol"]
    return learned if found == teacher.data.get("protocol") else learned[:0]
