"""Reading of untrusted NumPy `.npy` arrays: from a file, from within another file, or from bytes.

This is the only module that reads arrays. A header is parsed by the grammar below and never evaluated as Python. NumPy
evaluates it, with all exceptions of Python's parser. The claims of the header are compared with the available bytes
before anything is allocated, so an array never takes more memory than the size of its file.
"""

import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from .regular_files import open_regular, size_of_open

Array = np.ndarray[Any, np.dtype[Any]]
Mode = Literal["r", "r+", "c"]

# NumPy's arrays have at most 64 dimensions; those of clips have four.
_MOST_DIMENSIONS = 32
# Limit of the claimed row size of an array without rows, so that no code computes with impossible sizes.
_MOST_ROW_BYTES = 1 << 31
# A typical header of NumPy takes 128 bytes, that of a store's index about 300; NumPy reads up to 10,000.
_MOST_HEADER_BYTES = 1 << 16
_MAGIC = b"\x93NUMPY"
_LENGTH = {(1, 0): "<H", (2, 0): "<I"}

_TEXT = r"""(?:'[^'"\\\n]*'|"[^'"\\\n]*")"""
_SHAPE = re.compile(r"\(\s*(?:\d{1,19}L?\s*,\s*)*(?:\d{1,19}L?\s*)?\)", re.ASCII)  # Python 2 wrote (2L, 3L)
_FIELD = re.compile(rf"\(\s*({_TEXT})\s*,\s*({_TEXT})\s*,?\s*\)\s*(?:,\s*|(?=\]))")
_ENTRY = re.compile(
    rf"\s*(?P<key>{_TEXT})\s*:\s*(?P<value>{_TEXT}|True|False|\([^()\[\]{{}}]*\)|\[[^\[\]{{}}]*\])\s*(?:,|(?=\}}))"
)
_NUMBERS = re.compile(r"[<>|=]?(?:f(?:2|4|8|12|16)|[iu][1248]|b1)", re.ASCII)
_NAMES = re.compile(r"[<>|=]?U\d{1,5}", re.ASCII)


class DamagedArray(ValueError):
    """The bytes are not a readable array: its header is invalid, or it is cut short."""


@dataclass(frozen=True)
class ArrayHeader:
    """The header of an array.

    Attributes:
        dtype, shape: the type and number of the elements, all of which are present.
        order: `C` or `F`, the order of the elements.
        length: the size of the header in bytes.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    length: int


def map_array(path: Path, start: int = 0, end: int | None = None, *, records: bool = False, mode: Mode = "r") -> Array:
    """Memory-map an array in a file, without loading any of it.

    Args:
        path: a regular file.
        start, end: the byte range of the array with its header; the whole file by default.
        records: read structured elements of numbers and text instead of numbers.
        mode: `r` for reading, `r+` for writing to the file, `c` for keeping changes in memory.

    Raises:
        DamagedArray: there is no array of this kind, or it is cut short.
        OSError: the file cannot be read, or is not a regular file.
    """
    with open_regular(path, writable=mode == "r+") as file:
        size = size_of_open(file)
        end = size if end is None else min(end, size)
        file.seek(start)
        header = read_header(file, end - start, records=records)
        if not math.prod(header.shape):
            return np.empty(header.shape, header.dtype)
        return np.memmap(file, header.dtype, mode, start + header.length, header.shape, header.order)


def array_of(data: bytes, *, records: bool = False) -> Array:
    """Return the array in `data` as a read-only view.

    Raises:
        DamagedArray: there is no array of numbers (of structured elements with `records`), or it is cut short.
    """
    header = _parse(data[: _MOST_HEADER_BYTES + 16], len(data), records)
    count = math.prod(header.shape)
    if not count:
        return np.empty(header.shape, header.dtype)
    return np.frombuffer(data, header.dtype, count, header.length).reshape(header.shape, order=header.order)


def read_header(file: BinaryIO, there: int, *, records: bool = False) -> ArrayHeader:
    """Read the header of the array that starts at the position of `file` and may take `there` bytes in all.

    Raises:
        DamagedArray: there is no array of numbers (of structured elements with `records`), or it is cut short.
        OSError: the file cannot be read.
    """
    return _parse(file.read(max(0, min(there, _MOST_HEADER_BYTES + 16))), there, records)


def check_shape(shape: tuple[int, ...], element_bytes: int, there: int) -> None:
    """Refuse a shape that is impossible or claims more bytes than `there`.

    Only the first dimension may be zero, as of an empty list of clips: `(10**7, 0, 150)` claims ten million clips but
    has no bytes.

    Raises:
        DamagedArray: the shape is refused.
    """
    if len(shape) > _MOST_DIMENSIONS or min(shape, default=0) < 0:
        raise DamagedArray(f"its shape of {len(shape)} dimensions is impossible")
    row_bytes = math.prod(shape[1:]) * element_bytes
    if 0 in shape[1:] or (0 in shape and row_bytes > _MOST_ROW_BYTES):
        raise DamagedArray(f"its shape {_short(shape)} is impossible")
    if math.prod(shape) * element_bytes > there:
        raise DamagedArray(f"it is cut short: its shape is {_short(shape)}")


def _parse(head: bytes, there: int, records: bool) -> ArrayHeader:
    """Parse a header from the first of the `there` bytes."""
    if not head.startswith(_MAGIC):
        raise DamagedArray("it does not begin as a .npy array does")
    version = tuple(head[len(_MAGIC) : len(_MAGIC) + 2])
    if version not in _LENGTH:
        raise DamagedArray(f"the version of its header is {version}")
    field = struct.Struct(_LENGTH[version])
    begin = len(_MAGIC) + 2 + field.size
    if len(head) < begin:
        raise DamagedArray("its header is cut short")
    (length,) = field.unpack(head[begin - field.size : begin])
    if length > _MOST_HEADER_BYTES or begin + length > len(head):
        raise DamagedArray(f"its header claims {length} bytes")
    entries = _entries(head[begin : begin + length].decode("latin1"))
    dtype = _record_type(entries["descr"]) if records else _number_type(entries["descr"])
    shape = _shape(entries["shape"])
    if entries["fortran_order"] not in ("True", "False"):
        raise DamagedArray("its header does not say the order of its numbers")
    check_shape(shape, dtype.itemsize, there - begin - length)
    return ArrayHeader(dtype, shape, "F" if entries["fortran_order"] == "True" else "C", begin + length)


def _entries(text: str) -> dict[str, str]:
    """Return the three entries of a header as text."""
    text = text.strip()
    found: dict[str, str] = {}
    position = 1
    while entry := _ENTRY.match(text, position):
        found[entry["key"][1:-1]] = entry["value"]
        position = entry.end()
        if len(found) > 3:
            break
    if text[:1] != "{" or text[position:].strip() != "}" or found.keys() != {"descr", "fortran_order", "shape"}:
        raise DamagedArray("its header is damaged")
    return found


def _shape(text: str) -> tuple[int, ...]:
    numbers = [int(digits) for digits in re.findall(r"\d+", text)] if _SHAPE.fullmatch(text) else None
    if numbers is None or (len(numbers) == 1 and "," not in text):
        raise DamagedArray(f"its header has no shape but {text[:40]!r}")
    return tuple(numbers)


def _number_type(text: str) -> np.dtype[Any]:
    kind = text[1:-1]
    if text[0] not in "'\"" or not _NUMBERS.fullmatch(kind):
        raise DamagedArray(f"it holds {text[:40]} instead of numbers")
    return _known_type(kind)


def _record_type(text: str) -> np.dtype[Any]:
    """Return the type of structured elements, whose fields are numbers and text."""
    fields: list[tuple[str, np.dtype[Any]]] = []
    position = 1
    while field := _FIELD.match(text, position):
        name, kind = (part[1:-1] for part in field.groups())
        if not (_NUMBERS.fullmatch(kind) or _NAMES.fullmatch(kind)):
            raise DamagedArray(f"its column {name[:40]!r} holds {kind[:40]!r}, not numbers or text")
        fields.append((name, _known_type(kind)))
        position = field.end()
    names = [name for name, _ in fields]
    if text[0] != "[" or text[position:] != "]" or not fields or len(set(names)) < len(names) or "" in names:
        raise DamagedArray("its header has no columns of numbers and text")
    return np.dtype(fields)


def _known_type(kind: str) -> np.dtype[Any]:
    try:
        return np.dtype(kind)
    except TypeError as error:  # numbers of 12 or 16 bytes, which not every machine supports
        raise DamagedArray(f"this machine has no numbers of the type {kind}") from error


def _short(shape: tuple[int, ...]) -> str:
    return str(shape) if len(shape) <= 6 else f"({', '.join(map(str, shape[:6]))}, ...)"
