"""Map an `.npy` array into memory, alone in its file or stored inside another, without trusting its header."""

import math
import struct
import tokenize
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# NumPy reads a header as Python text; whatever is wrong with that text comes out as one of these.
_DAMAGE = (
    *(ValueError, LookupError, TypeError, AttributeError, SyntaxError, tokenize.TokenError, struct.error, EOFError),
    *(ArithmeticError, MemoryError, RecursionError),
)


def map_array(path: Path, start: int, end: int) -> Array:
    """Map the array whose header begins at byte `start` of a file, and which may reach to byte `end`.

    Raises:
        ValueError: there is no array of numbers, or it is cut short.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        file.seek(start)
        try:
            shape, fortran, dtype = _read_header(file)
        except _DAMAGE as error:
            raise ValueError(f"its header is damaged: {error}") from error
        place = file.tell()
    if dtype.kind not in "fiub":
        raise ValueError(f"it holds {dtype} where numbers should stand")
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or place + size > end:
        raise ValueError("it is cut short")
    if size:
        return np.memmap(path, dtype, "r", place, shape, "F" if fortran else "C")
    try:
        return np.empty(shape, dtype)
    except _DAMAGE as error:
        raise ValueError(f"its shape is impossible: {error}") from error


def _read_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version not in _READ_HEADER:
        raise ValueError(f"its version is {version}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a header was written by Python 2
        return _READ_HEADER[version](file)
