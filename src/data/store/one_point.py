"""Clips from which nothing can be learned: in every frame all joints of a body are at one point, such as zeros.

`preprocess` makes no such clip, since it takes bodies of zeros for absent ones; a store that another program wrote may
have them. A frame of each clip is looked at, and only clips that are at one point there are read as a whole: a row of
joints for each clip of a sound store, of which all checksums were computed before.
"""

import numpy as np
from numpy.typing import NDArray

from ...utils.names import first_few
from ...utils.numbers import counted
from .format import JOINTS_FILE
from .reader import Store
from .row_file import RowFile

_BLOCK = 4096  # clips looked at together
_SHOWN = 3


def clips_at_one_point(store: Store, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return those of the clips `indices` whose joints are at one point in every frame.

    A single joint is taken for one if it is zero.

    Raises:
        UserError: the store's file is shorter now, or cannot be read.
    """
    joints = RowFile(store.path / JOINTS_FILE)
    found = []
    for start in range(0, len(indices), _BLOCK):
        block = indices[start : start + _BLOCK]
        clips = store.clips[block]
        middles = clips["offset"].astype(np.int64) + clips["frames"] // 2  # of the first body
        for index in block[_at_one_point(joints.rows(middles))].tolist():
            begin = int(store.clips[index]["offset"])
            end = begin + int(store.clips[index]["frames"]) * int(store.clips[index]["bodies"])
            if _at_one_point(joints.span(begin, end)).all():
                found.append(index)
    return np.array(found, np.int64)


def one_point_message(store: Store, found: NDArray[np.int64], looked_at: int, what: str) -> str:
    """Return a sentence with the number, the share and the first of the clips `found`; `what` is their part."""
    names = first_few([str(name) for name in store.clips["name"][found]], _SHOWN)
    return (
        f"{len(found):,} of {counted(looked_at, f'{what} clip')} ({len(found) / looked_at:.1%}) have all joints at one "
        f"point in every frame, such as zeros: {names}."
    )


def _at_one_point(rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return in which rows of joints (R, V, C) all joints are at one point, (R,)."""
    first = rows[:, :1] if rows.shape[1] > 1 else 0.0
    return np.asarray((rows == first).all(axis=(1, 2)))
