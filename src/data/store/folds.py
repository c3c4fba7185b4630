"""Random divisions of clips: shares of every class, and folds, in which clips of one recording stay together."""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ...settings.splits import PROPERTIES
from .recordings import recordings_of

Integers = NDArray[np.int64]


def fold_numbers(
    clips: NDArray[np.void], by: str, folds: int, seed: int, selected: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the fold of each clip, (N,), from 1; 0 for clips that are not selected or whose property is unknown.

    All clips of one value of the property, or of one recording, are in the same fold. Folds have about equally many
    clips, of every class if possible. Folds of a property are in the order of their smallest values, so with
    one value in each they are in the order of the values. Some folds are empty if there are too few values.

    Args:
        clips: the index of a store.
        by: one of `PROPERTIES`, or `file` or `recording`.
        folds: how many.
        seed: another seed divides otherwise.
        selected: (N,) bool, the clips that are divided.
    """
    keys = fold_keys(clips, by)
    used = np.flatnonzero(selected & (keys >= 0))
    found = np.zeros(len(clips), np.int64)
    if not len(used):
        return found
    labels, hashes = clips["label"][used].astype(np.int64), name_hashes(clips["name"][used], seed)
    groups = np.unique(keys[used], return_inverse=True)[1]
    if groups.max() + 1 == len(used) and by not in PROPERTIES:  # single clips: every class is dealt out in turn
        order = np.lexsort((hashes, labels))
        found[used[order]] = np.arange(len(used)) % folds + 1
        return found
    fold_of_group = _balanced(_class_counts(labels, groups), _first_of_groups(hashes, groups), folds)
    if by in PROPERTIES:
        _, smallest, positions = np.unique(fold_of_group, return_index=True, return_inverse=True)
        fold_of_group = np.argsort(np.argsort(smallest))[positions]
    found[used] = fold_of_group[groups] + 1
    return found


def fold_keys(clips: NDArray[np.void], by: str) -> Integers:
    """Return what must not be divided, (N,): each clip's value of a property or its recording; -1 if unknown."""
    if by not in PROPERTIES:
        return recordings_of(clips)
    values = clips[by].astype(np.int64)
    return np.where(values == 0, -1, values)


def name_hashes(names: Iterable[str], seed: int) -> NDArray[np.uint64]:
    """Return a hash of (seed, name) for each name, so that a clip's part does not depend on its neighbours' order."""
    digests = [hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest() for name in names]
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)


def share_of_recordings(
    labels: Integers, recordings: Integers, order: NDArray[np.generic], share: float
) -> NDArray[np.bool_]:
    """Return which clips are in the smaller part, (N,) bool: whole recordings, about this share of every class.

    A recording that has the last other clips of a class is taken only if there is no other choice. With two recordings
    or more, both parts have one.

    Args:
        labels: (N,) the class of each clip.
        recordings: (N,) the recording of each clip.
        order: (N,) recordings are tried in the order of these numbers.
        share: the share, above 0 and below 1.
    """
    groups = np.unique(recordings, return_inverse=True)[1]
    counts = _class_counts(labels, groups)
    totals = counts.sum(axis=0)
    wanted, taken = share * totals, np.zeros(counts.shape[1])
    chosen = np.zeros(len(counts), np.bool_)
    costs = np.full(len(counts), np.inf)
    for group in np.argsort(_first_of_groups(order, groups), kind="stable"):
        after = taken + counts[group]
        costs[group] = (((after - wanted) ** 2 - (taken - wanted) ** 2) / totals).sum()
        if costs[group] < 0 and (after < totals)[counts[group] > 0].all():
            chosen[group], taken = True, after
    if not chosen.any() and len(counts) > 1:
        chosen[costs.argmin()] = True
    return np.asarray(chosen[groups])


def _balanced(counts: NDArray[np.float64], order: NDArray[np.generic], folds: int) -> Integers:
    """Return the fold of each group, from 0: the largest first, each into the fold in which it is needed most.

    An empty fold always costs least, so no fold stays empty while there are groups.

    Args:
        counts: (groups, classes) number of clips.
        order: (groups,) the order of groups of equal size.
        folds: how many.
    """
    sizes, totals = counts.sum(axis=1), counts.sum(axis=0)
    filled = np.zeros((folds, counts.shape[1]))
    found = np.zeros(len(counts), np.int64)
    for group in np.lexsort((order, -sizes)):
        own = counts[group]
        of_classes = (filled * own / totals).sum(axis=1)  # the growth of the sum of squares, without equal terms
        of_all = filled.sum(axis=1) * sizes[group] / sizes.sum()
        found[group] = np.argmin(of_classes + of_all)
        filled[found[group]] += own
    return found


def _class_counts(labels: Integers, groups: Integers) -> NDArray[np.float64]:
    """Return the number of clips of each class that occurs in each group, (groups, classes)."""
    classes = np.unique(labels, return_inverse=True)[1]
    shape = int(groups.max()) + 1, int(classes.max()) + 1
    flat = np.bincount(groups * shape[1] + classes, minlength=shape[0] * shape[1])
    return flat.reshape(shape).astype(np.float64)


def _first_of_groups(values: NDArray[np.generic], groups: Integers) -> NDArray[np.generic]:
    """Return the value of the first clip of each group."""
    return values[np.unique(groups, return_index=True)[1]]
