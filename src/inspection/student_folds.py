"""Which clips students are trained and tested on: folds in which what belongs together stays together.

Legend: N clips of the store, n of them used.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.store.copies import find_copies
from ..data.store.folds import fold_keys, fold_numbers, name_hashes
from ..data.store.reader import Store
from ..data.store.recordings import RECORDING
from ..utils.errors import UserError
from ..utils.numbers import counted

Integers = NDArray[np.int64]

FOLDS = 4
MOST_CLIPS = 4000
FEWEST_OF_CLASS = 2 * FOLDS


@dataclass(frozen=True)
class Division:
    """Clips in folds.

    Attributes:
        clips: (n,) the numbers of the used clips in the store, ascending.
        folds: (n,) the fold of each, from 1 to `FOLDS`.
        labels: (n,) the given class of each.
        by: what is not divided: `subject`, `recording` or `clip`.
        remarks: sentences about clips that are not used.
    """

    clips: Integers
    folds: Integers
    labels: Integers
    by: str
    remarks: tuple[str, ...] = ()

    def of_fold(self, fold: int) -> Integers:
        """Return the positions of a fold's clips."""
        return np.flatnonzero(self.folds == fold)


def divide(store: Store, seed: int, most: int = MOST_CLIPS) -> Division:
    """Return the clips of a store in folds by subject, else by recording, else by clip; copies are in one fold.

    Args:
        store: the clips.
        seed: another seed divides and samples otherwise.
        most: about how many clips are sampled if there are more, as many of each class as its share.

    Raises:
        UserError: there are too few clips, classes or recordings; the message says which.
    """
    labels = store.clips["label"].astype(np.int64)
    clips, remarks = _sampled(store, labels, seed, most)
    clips = _enough(store, labels, clips, remarks)
    by, folds = _folds(store.clips[clips], seed)
    folds = _copies_together(store, clips, folds)
    used = _trained_elsewhere(labels[clips], folds)
    if not used.all():
        left = [store.classes[label] for label in np.unique(labels[clips][~used])]
        remarks.append(f"{counted(len(left), 'class')} of one {by} only could not be judged.")
        clips, folds = clips[used], folds[used]
    if len(np.unique(folds)) < FOLDS or len(np.unique(labels[clips])) < 2:
        raise UserError(
            f"Without copies and classes of one {by} only, too few clips are left to train students on: they need two "
            f"classes in {FOLDS} folds."
        )
    return Division(clips, folds, labels[clips], by, tuple(remarks))


def _sampled(store: Store, labels: Integers, seed: int, most: int) -> tuple[Integers, list[str]]:
    """Return at most about `most` clips, of every class its share, and a remark if there are more."""
    total = len(labels)
    if total <= most:
        return np.arange(total), []
    hashes = name_hashes(store.clips["name"], seed)
    order = np.lexsort((hashes, labels))
    _, starts, group, counts = np.unique(labels[order], return_index=True, return_inverse=True, return_counts=True)
    rank = np.arange(total) - starts[group]
    wanted = np.maximum(np.ceil(counts * most / total), np.minimum(counts, FEWEST_OF_CLASS))
    chosen = np.sort(order[rank < wanted[group]])
    return chosen, [f"{len(chosen):,} of {total:,} clips, a share of every class, were used."]


def _enough(store: Store, labels: Integers, clips: Integers, remarks: list[str]) -> Integers:
    """Return the clips of classes that have enough of them, and remark on the others.

    Raises:
        UserError: fewer than two classes are left.
    """
    counts = np.bincount(labels[clips], minlength=len(store.classes))
    few, enough = np.flatnonzero((counts > 0) & (counts < FEWEST_OF_CLASS)), np.flatnonzero(counts >= FEWEST_OF_CLASS)
    if len(enough) < 2:
        raise UserError(
            f"Students need two classes with {FEWEST_OF_CLASS} clips or more, and the data set has "
            f"{counted(len(enough), 'class')} of that size."
        )
    if len(few):
        remarks.append(f"{counted(len(few), 'class')} with fewer than {FEWEST_OF_CLASS} clips could not be judged.")
    return clips[np.isin(labels[clips], enough)]


def _folds(clips: NDArray[np.void], seed: int) -> tuple[str, Integers]:
    """Return what is not divided, and the fold of each clip.

    Raises:
        UserError: the clips are of too few long recordings.
    """
    everything, labels = np.ones(len(clips), np.bool_), clips["label"].astype(np.int64)
    subjects = fold_keys(clips, "subject")
    if (subjects >= 0).all() and len(np.unique(subjects)) >= FOLDS:
        folds = fold_numbers(clips, "subject", FOLDS, seed, everything)
        if _trained_elsewhere(labels, folds).all():
            return "subject", folds
    if RECORDING not in (clips.dtype.names or ()):
        return "clip", fold_numbers(clips, "file", FOLDS, seed, everything)
    recordings = len(np.unique(fold_keys(clips, RECORDING)))
    if recordings < FOLDS:
        raise UserError(
            f"The clips are parts of {counted(recordings, 'recording')}, and students need {FOLDS} or more: clips of "
            "one recording are too similar to test a student that was trained on some of them."
        )
    return RECORDING, fold_numbers(clips, RECORDING, FOLDS, seed, everything)


def _trained_elsewhere(labels: Integers, folds: Integers) -> NDArray[np.bool_]:
    """Return whether the class of each clip also has clips in another fold, (n,)."""
    present = np.zeros((int(labels.max()) + 1, FOLDS + 1), np.bool_)
    present[labels, folds] = True
    return np.asarray(present[labels].sum(axis=1) > 1)


def _copies_together(store: Store, clips: Integers, folds: Integers) -> Integers:
    """Return the folds with every copy of a clip in the fold of that clip.

    A copy moves to a later fold that has another one, so that after all folds each group is in its last one.
    """
    folds = folds.copy()
    for fold in range(1, FOLDS):
        here, later = np.flatnonzero(folds == fold), np.flatnonzero(folds > fold)
        if len(here) and len(later):
            copies = find_copies(store, clips[later], clips[here])
            folds[np.searchsorted(clips, copies.test)] = folds[np.searchsorted(clips, copies.train)]
    return folds


def parts_of(labels: Integers, train: Integers, share: float, seed: int) -> Integers:
    """Return a share of training clips, of every class its share but at least one; a smaller share is part of a larger.

    Args:
        labels: (n,) the class of each clip.
        train: positions of the training clips.
        share: above 0 and at most 1.
        seed: another seed chooses others.
    """
    random = np.random.default_rng(seed).random(len(labels))[train]
    order = np.lexsort((random, labels[train]))
    _, starts, group, counts = np.unique(
        labels[train][order], return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.arange(len(train)) - starts[group]
    wanted = np.maximum(np.rint(share * counts), 1)
    return np.sort(train[order[rank < wanted[group]]])
