"""Groups of clips that are copies, or near copies, of each other.

Legend: N clips.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..data.preparation.formats import BadClip
from ..data.store.clip import Clip
from ..data.store.copies import MOST_VERIFIED, are_copies, near_pairs

_MOST_READ = 20_000  # pairs of clips that are compared on all their frames; equal clips need no comparison


def groups_of_copies(
    rows: NDArray[np.void], is_usable: NDArray[np.bool_], read: Callable[[int], Clip]
) -> NDArray[np.int64]:
    """Return, for each clip, the number of the first clip that it is a copy of, its own if it is none, (N,).

    Clips of several frames that do not move are never copies: two of them may be of the same person who stands still.

    Args:
        rows: (N,) the measures of the clips.
        is_usable: (N,) which of them were read and have a body.
        read: returns a clip by its number; `BadClip` where that is impossible.
    """
    groups = np.arange(len(rows))
    moving = np.flatnonzero(is_usable & ((rows["movement"] > 0) | (rows["frames"] == 1)))
    _, first, same = np.unique(rows["digest"][moving], return_index=True, return_inverse=True)
    groups[moving] = moving[first][same]
    single = np.unique(groups[moving])
    descriptors = rows["descriptor"][single]
    tried = np.zeros(len(single), np.int64)
    compared = 0
    for one, other in near_pairs(descriptors, descriptors):
        if one >= other or tried[one] == MOST_VERIFIED or compared == _MOST_READ:
            continue
        ours, theirs = (_root(groups, int(single[each])) for each in (one, other))
        if ours == theirs:
            continue
        tried[one] += 1
        compared += 1
        if _are_same(read, int(single[one]), int(single[other])):
            groups[max(ours, theirs)] = min(ours, theirs)
    return np.array([_root(groups, number) for number in range(len(groups))], np.int64)


def _root(groups: NDArray[np.int64], number: int) -> int:
    while groups[number] != number:
        number = int(groups[number])
    return number


def _are_same(read: Callable[[int], Clip], first: int, second: int) -> bool:
    try:
        clips = [read(number) for number in (first, second)]
    except BadClip:
        return False
    joints = [np.nan_to_num(clip.joints, posinf=0.0, neginf=0.0) for clip in clips]
    return are_copies(joints[0], joints[1])
