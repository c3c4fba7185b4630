"""Faults of clips: those of one frame, and those that only a store of another program has.

In a clip at one point, all joints of a body are at one point in every frame, such as zeros, and nothing can be learned
from it. A clip off centre does not begin with the centre joint at the origin. A frame of each clip is looked at, of
which all checksums were computed before; only clips that are at one point there are read as a whole.
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
_SHARE_OF_STILLS = 0.1  # of the clips, from which clips of one frame are no accident


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


def clips_off_center(store: Store, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return those of the clips `indices` whose first body has its centre joint elsewhere than at the origin at first.

    A joint that is missing in the first frame has zeros there, and its clip counts as centred.

    Raises:
        UserError: the store's file is shorter now, or cannot be read.
    """
    joints = RowFile(store.path / JOINTS_FILE)
    found = [np.zeros(0, np.int64)]
    for start in range(0, len(indices), _BLOCK):
        block = indices[start : start + _BLOCK]
        first = joints.rows(store.clips["offset"][block].astype(np.int64))
        found.append(block[first[:, store.skeleton.center].any(axis=1)])
    return np.concatenate(found)


def still_clips(clips: NDArray[np.void], what: str = "clip") -> str:
    """Return a sentence about the clips of an index that have one frame; empty if they are none, or few.

    Args:
        clips: rows of the index.
        what: what they are called, such as "training clip".
    """
    stills = int((clips["frames"] == 1).sum())
    if not stills or stills < _SHARE_OF_STILLS * len(clips):
        return ""
    return (
        f"{stills:,} of {counted(len(clips), what)} ({stills / len(clips):.1%}) have one frame, and so no movement "
        "that could be learned or recognised. If the recordings are longer, a file may hold one frame of them: put all "
        "frames of a clip into one."
    )


def fault_message(store: Store, found: NDArray[np.int64], looked_at: int, what: str, fault: str) -> str:
    """Return a sentence with the number, the share and the first of the clips `found` that have a `fault`.

    Args:
        store: the store.
        found: the clips.
        looked_at: how many were looked at.
        what: their part, such as "training".
        fault: the end of a sentence, such as "are not centred".
    """
    names = first_few([str(name) for name in store.clips["name"][found]], _SHOWN)
    return f"{len(found):,} of {counted(looked_at, f'{what} clip')} ({len(found) / looked_at:.1%}) {fault}: {names}."


def _at_one_point(rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return in which rows of joints (R, V, C) all joints are at one point, (R,)."""
    first = rows[:, :1] if rows.shape[1] > 1 else 0.0
    return np.asarray((rows == first).all(axis=(1, 2)))
