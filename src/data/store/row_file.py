"""Read rows of an array file so that a truncated file raises an error instead of a signal.

A memory-mapped file that is truncated ends the program with SIGBUS, without a message. Here each span of neighbouring
rows is read by one call, which returns how much it got. For the spans of a batch this is as fast as mapping them.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...utils.array_files import DamagedArray, read_header
from ...utils.errors import UserError
from ...utils.regular_files import open_regular, size_of_open
from ...utils.system_errors import reason

CHUNK_ROWS = 1 << 18  # read at a time where all rows are, about 80 MB of joints
# Rows between two requested ones are read too, if that costs less than another call.
_GAP_BYTES = 1 << 14


def row_chunks(count: int) -> Iterator[slice]:
    """Yield the slices of `count` rows that are read one after another."""
    return (slice(start, min(start + CHUNK_ROWS, count)) for start in range(0, count, CHUNK_ROWS))


class RowFile:
    """Read rows of one `.npy` array with contiguous rows.

    Args:
        path: the file.

    Attributes:
        shape, dtype: the shape and type of the array.

    Raises:
        UserError: the file cannot be read, or is not such an array.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = open_regular(path)
            header = read_header(self._file, size_of_open(self._file))
        except (OSError, DamagedArray) as error:
            raise self._lost(reason(error)) from error
        if header.order == "F":
            raise self._lost("its rows are not contiguous")
        self.shape, self.dtype = header.shape, header.dtype
        self._held = (
            np.zeros(0, np.int64),
            np.zeros(0, np.int64),
        )  # first rows, ends in the buffer
        self._buffer = np.empty((0, *header.shape[1:]), header.dtype)
        self._begin, self._row_bytes = header.length, header.dtype.itemsize * int(np.prod(header.shape[1:], dtype=int))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only the path: another process opens the file itself."""
        return RowFile, (self._path,)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def span(self, start: int, stop: int) -> NDArray[Any]:
        """Return the rows from `start` up to but not including `stop`.

        Raises:
            UserError: the file is shorter now, or cannot be read.
        """
        rows = np.empty((stop - start, *self.shape[1:]), self.dtype)
        self._read_into(rows, start)
        return rows

    def rows(self, wanted: NDArray[np.int64]) -> NDArray[Any]:
        """Return the rows with the indices `wanted` (...), as an array (..., *row).

        Raises:
            UserError: the file is shorter now, or cannot be read.
        """
        flat = wanted.ravel()
        if not len(flat):
            return np.empty((*wanted.shape, *self.shape[1:]), self.dtype)
        ordered = np.sort(flat, kind="stable")  # the frames of a clip are already ascending, which this sort exploits
        cuts = np.flatnonzero(np.diff(ordered) > max(1, _GAP_BYTES // self._row_bytes)) + 1
        firsts, lasts = ordered[np.r_[0, cuts]], ordered[np.r_[cuts - 1, -1]]
        held, ends = self._held
        if len(held) != len(firsts) or (firsts < held).any() or (lasts >= held + np.diff(ends, prepend=0)).any():
            self._hold(firsts, lasts)
            held, ends = self._held
        spans = np.searchsorted(held, flat, side="right") - 1
        positions = flat - held[spans] + np.r_[0, ends][spans]
        found: NDArray[Any] = np.take(self._buffer, positions, axis=0).reshape(*wanted.shape, *self.shape[1:])
        return found

    def _hold(self, firsts: NDArray[np.int64], lasts: NDArray[np.int64]) -> None:
        """Read spans of rows into the buffer, each with the row after it, which is requested next.

        The buffer is reused, since allocating memory costs more than reading into it.
        """
        self._held = firsts[:0], lasts[:0]
        stops = np.minimum(lasts + 2, self.shape[0])
        stops[:-1] = np.minimum(stops[:-1], firsts[1:])
        ends = np.cumsum(stops - firsts)
        if len(self._buffer) < ends[-1]:
            self._buffer = np.empty((int(ends[-1]), *self.shape[1:]), self.dtype)
        for first, begin, end in zip(firsts.tolist(), [0, *ends.tolist()], ends.tolist(), strict=False):
            self._read_into(self._buffer[begin:end], first)
        self._held = firsts, ends

    def _read_into(self, rows: NDArray[Any], start: int) -> None:
        if not rows.size:
            return
        target, position = rows.reshape(-1).view(np.uint8).data, self._begin + start * self._row_bytes
        try:
            if hasattr(os, "preadv"):  # no file position, which processes would share
                while target and (got := os.preadv(self._file.fileno(), [target], position)):
                    target, position = target[got:], position + got
            else:
                self._file.seek(position)
                target = target[self._file.readinto(target) :]  # type: ignore[attr-defined]
        except OSError as error:
            raise self._lost(reason(error)) from error
        if target:
            raise self._lost("it is shorter than it was when it was opened")

    def _lost(self, why: str) -> UserError:
        return UserError(
            f"Cannot read {self._path}: {why}. Copy the store again, or prepare it again with --overwrite; then "
            "continue a run that was using it with --resume auto."
        )
