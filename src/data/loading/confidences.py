"""The confidences of a store: which joints count as measured, at a threshold that is chosen when clips are loaded.

Legend: N clips, R rows of the store, V joints.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..store.clip import confidence_bytes
from ..store.format import CONFIDENCE_FILE
from ..store.reader import Store
from ..store.row_file import RowFile, row_chunks

Mask = NDArray[np.bool_]

NO_ROW = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Measured:
    """The joints of a store that are confident enough.

    Attributes:
        file: the confidences.
        lowest: the lowest one, as stored, of a measured joint.
        present: (R,) bool, whether a joint of the body is measured.
        origin_rows: (N,) for each clip, the row of its first body that defines the origin, by its centre joint or, if
            that is never measured, by the mean of its joints, since the joint with which the clip was prepared is
            not confident enough; -1 where the origin stays. None if it stays in all of them.
    """

    file: RowFile
    lowest: int
    present: NDArray[np.bool_]
    origin_rows: NDArray[np.int64] | None

    def rows(self, wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which joints are measured in `wanted` (...) rows, (..., V)."""
        return np.asarray(self.file.rows(wanted) >= self.lowest)


def measured_joints(
    store: Store,
    valid: NDArray[np.bool_],
    min_confidence: float,
    keep: Callable[[slice, NDArray[np.bool_]], None] | None = None,
) -> Measured | None:
    """Return which joints of a store are measured; None if all joints of all present bodies are.

    Args:
        store: the clips.
        valid: (R,) bool, the store's frame mask.
        min_confidence: from 0 to 1; joints of a lower one are missing.
        keep: called with some rows and which joints of them are measured, until all rows have been read, for a caller
            that would otherwise read them again.
    """
    if store.confidence is None:
        return None
    file, lowest = RowFile(store.path / CONFIDENCE_FILE), lowest_measured(min_confidence)
    present, centered = np.zeros_like(valid), np.zeros_like(valid)
    complete = True
    for part in row_chunks(len(valid)):
        measured, present[part], centered[part] = _above(
            file.span(part.start, part.stop), lowest, valid[part], store.skeleton.center
        )
        if keep is not None:
            keep(part, measured)
        complete &= bool(measured[valid[part]].all())
    if complete:
        return None
    return Measured(file, lowest, present, origin_rows(store, valid, centered, present) if min_confidence > 0 else None)


def measured_in_memory(store: Store, min_confidence: float) -> tuple[Mask, Mask, NDArray[np.int64] | None] | None:
    """Return which joints of clips in memory are measured (R, V), and the presence and the origins as in `Measured`.

    None if all joints of all present bodies were measured with full confidence.
    """
    if store.confidence is None:
        return None
    lowest, valid = lowest_measured(min_confidence), np.asarray(store.valid)
    measured, present, centered = _above(store.confidence, lowest, valid, store.skeleton.center)
    return measured, present, origin_rows(store, valid, centered, present)


def _above(confidence: NDArray[np.uint8], lowest: int, valid: Mask, center: int) -> tuple[Mask, Mask, Mask]:
    """Return which joints are measured (R, V), whether any is, and whether that of the centre is, of present bodies."""
    measured = np.asarray(confidence >= lowest)
    return measured, measured.any(axis=1) & valid, measured[:, center] & valid


def clips_without_joints(clips: NDArray[np.void], present: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the indices of the clips of which no joint is measured, ascending.

    Args:
        clips: the index of the store.
        present: (R,) bool, whether a joint of the body is measured.
    """
    return np.flatnonzero(~np.logical_or.reduceat(present, clips["offset"]))


def has_empty_frames(clips: NDArray[np.void], present: NDArray[np.bool_]) -> bool:
    """Tell whether a clip has a frame without any body, as clips of a known frame rate may.

    Args:
        clips: the index of the store.
        present: (R,) bool, whether a joint of the body is measured.
    """
    ends = clips["offset"].astype(np.int64) + clips["frames"].astype(np.int64) * clips["bodies"]
    for number in np.unique(np.searchsorted(ends, np.flatnonzero(~present), side="right")).tolist():
        rows = present[int(clips["offset"][number]) : int(ends[number])]
        if not rows.reshape(int(clips["bodies"][number]), -1).any(axis=0).all():
            return True
    return False


def is_same_store(fingerprint: str, store: Store, min_confidence: float) -> bool:
    """Tell whether a run that recorded a fingerprint saw the same clips as one at `min_confidence` sees in a store.

    Frame rates are seen by no run, and confidences only if a joint is missing because of them. So a run remains tied
    to its data when they are prepared again by a version that stores more about the same joints.
    """
    if fingerprint in (store.fingerprint, store.fingerprint_of_files):
        return True
    same_joints = fingerprint == store.fingerprint_of_joints
    return same_joints and measured_joints(store, np.asarray(store.valid), min_confidence) is None


def lowest_measured(min_confidence: float) -> int:
    """Return the lowest confidence, as it is stored, of a joint that is not missing."""
    return int(confidence_bytes(np.array(min_confidence)))


def origin_rows(
    store: Store, valid: NDArray[np.bool_], centered: NDArray[np.bool_], present: NDArray[np.bool_]
) -> NDArray[np.int64] | None:
    """Return the rows that define the origin of each clip, see `Measured`.

    Args:
        store: the clips.
        valid: (R,) bool, the store's frame mask.
        centered: (R,) bool, whether the centre joint is measured.
        present: (R,) bool, whether any joint is.
    """
    prepared, confident, any_joint = (first_rows(store.clips, mask) for mask in (valid, centered, present))
    rows = np.where(confident != NO_ROW, confident, any_joint)
    rows = np.where((confident != prepared) & (rows != NO_ROW), rows, -1)
    return rows if (rows >= 0).any() else None


def first_rows(clips: NDArray[np.void], mask: NDArray[np.bool_], body: int = 0) -> NDArray[np.int64]:
    """Return the first row of one body of each clip that is in `mask` (R,), `NO_ROW` where none is: (N,).

    Args:
        clips: of the index of the store, each with this body.
        mask: one value for each row.
        body: from 0.
    """
    frames = clips["frames"].astype(np.int64)
    begins = clips["offset"].astype(np.int64) + body * frames
    numbers = np.append(np.where(mask, np.arange(len(mask)), NO_ROW), NO_ROW)  # so that every end is a row
    found: NDArray[np.int64] = np.minimum.reduceat(numbers, np.stack([begins, begins + frames], axis=1).ravel())[::2]
    return found
