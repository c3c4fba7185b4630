"""The points of a C3D file: its header, its parameters, and the positions of its markers.

Structure: c3d.org/HTML (the C3D User Guide): blocks of 512 bytes, of which the first is the header; then parameters in
groups, then frames, each of the points and of the samples of other devices. Numbers are those of an Intel, DEC or MIPS
processor, and positions are floats, or whole numbers times a factor.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import MOST_FRAMES, BadClip
from .csv_rows import Floats

_BLOCK = 512
_MAGIC = 0x50  # the second byte of the header
_INTEL, _DEC, _MIPS = 84, 85, 86  # the fourth byte of the parameters
_TEXT, _BYTE, _INTEGER, _FLOAT = -1, 1, 2, 4  # types of parameters
_MOST_VALUES = 1 << 18  # of a parameter; labels take the most

Values = list[str] | list[float]


@dataclass(frozen=True)
class C3dFile:
    """The content of a C3D file.

    Attributes:
        parameters: the values of each parameter, by `GROUP:NAME`.
        points: (T, markers, 3) in the file's unit and axes, NaN where a marker is missing.
    """

    parameters: Mapping[str, Values] = field(repr=False)
    points: Floats = field(repr=False)

    def texts(self, name: str) -> list[str]:
        """Return the texts of a parameter; a long list continues in `NAME2`, `NAME3`, ..."""
        found: list[str] = []
        for key in (name, *(f"{name}{number}" for number in range(2, 10))):
            found += [text for text in self.parameters.get(key, []) if isinstance(text, str)]
        return found

    def number(self, name: str) -> float:
        """Return the first number of a parameter; 0 if there is none."""
        return _number(self.parameters, name)


def read_c3d(name: str, data: bytes) -> C3dFile:
    """Return the content of a file, given its bytes.

    Raises:
        BadClip: it is no C3D file, is damaged or cut off, or has too many frames.
    """
    if len(data) < _BLOCK or data[1] != _MAGIC:
        raise BadClip(name, 0, "is no C3D file: its second byte should be 50 in hexadecimal")
    start = (max(1, data[0]) - 1) * _BLOCK
    if not 0 < start <= len(data) - 4:
        raise BadClip(name, 0, f"its parameters should begin at byte {start}, which is not within the file")
    processor = data[start + 3] or _INTEL
    if processor not in (_INTEL, _DEC, _MIPS):
        raise BadClip(name, 0, f"has numbers of a processor {processor}; known are {_INTEL}, {_DEC} and {_MIPS}")
    try:
        parameters = _Parameters(data, start + 4, processor).read()
    except (struct.error, IndexError, ValueError) as error:
        raise BadClip(name, 0, "has damaged parameters, or is cut off in them") from error
    return C3dFile(parameters, _points(name, data, parameters, processor))


class _Parameters:
    """The section of parameters, from `offset` on."""

    def __init__(self, data: bytes, offset: int, processor: int) -> None:
        self._data, self._offset, self._processor = data, offset, processor
        self._order = ">" if processor == _MIPS else "<"

    def read(self) -> dict[str, Values]:
        """Return the values of all parameters.

        Raises:
            ValueError, IndexError, struct.error: a record is damaged.
        """
        groups: dict[int, str] = {}
        found: list[tuple[int, str, Values]] = []
        while length := abs(self._integer("b")):  # negative if it is locked
            number = self._integer("b")
            text = self._bytes(length).decode("utf-8", "replace").strip().upper()
            end = self._offset
            step = self._integer("H")
            if number < 0:
                groups[-number] = text
            else:
                found.append((number, text, self._values()))
            if not step:
                break
            if end + step < self._offset or end + step > len(self._data):
                raise ValueError
            self._offset = end + step
        return {f"{groups.get(number, '')}:{text}": values for number, text, values in found}

    def _values(self) -> Values:
        kind, count = self._integer("b"), self._integer("B")
        sizes = list(self._bytes(count))
        size = math.prod(sizes)
        if kind not in (_TEXT, _BYTE, _INTEGER, _FLOAT) or size > _MOST_VALUES:
            raise ValueError
        data = self._bytes(size * abs(kind))
        if kind == _TEXT:
            width = sizes[0] if sizes else 1
            texts = (data[offset : offset + width] for offset in range(0, size, max(1, width)))
            return [text.decode("utf-8", "replace").strip(" \0") for text in texts]
        if kind == _FLOAT:
            return [float(value) for value in _floats(data, self._processor)]
        letter = "B" if kind == _BYTE else f"{self._order}u2"
        return [float(value) for value in np.frombuffer(data, letter)]

    def _integer(self, letter: str) -> int:
        size = struct.calcsize(letter)
        value: int = struct.unpack(self._order + letter, self._bytes(size))[0]
        return value

    def _bytes(self, length: int) -> bytes:
        if length > len(self._data) - self._offset:
            raise IndexError
        self._offset += length
        return self._data[self._offset - length : self._offset]


def _floats(data: bytes, processor: int) -> NDArray[Any]:
    """Return floats from their bytes; those of a DEC have their halves exchanged, and four times the value."""
    if processor == _DEC:
        halves = np.frombuffer(data, "<u2").reshape(-1, 2)[:, ::-1]
        return np.ascontiguousarray(halves).view("<f4")[:, 0] / np.float32(4)
    return np.frombuffer(data, ">f4" if processor == _MIPS else "<f4")


def _number(parameters: Mapping[str, Values], name: str) -> float:
    value = next(iter(parameters.get(name, [])), 0.0)
    return value if isinstance(value, float) and math.isfinite(value) else 0.0


def _points(name: str, data: bytes, parameters: Mapping[str, Values], processor: int) -> Floats:
    """Return the positions of all markers (T, markers, 3)."""
    header = struct.unpack(f"{'>' if processor == _MIPS else '<'}xx5H4xH", data[:18])
    scale = _number(parameters, "POINT:SCALE") or float(_floats(data[12:16], processor)[0])
    markers = int(_number(parameters, "POINT:USED")) or header[0]
    start = (int(_number(parameters, "POINT:DATA_START")) or header[5]) - 1
    frames = _frames(parameters, header[3] - header[2] + 1)
    words = 4 * markers + header[1]
    size = words * (4 if scale < 0 else 2)
    if start < 1 or not markers or not math.isfinite(scale) or scale == 0:
        raise BadClip(name, 0, "has no points")
    if not 0 < frames <= MOST_FRAMES:
        raise BadClip(name, 0, f"has {frames} frames; 1 to {MOST_FRAMES} are read")
    whole = data[start * _BLOCK : start * _BLOCK + frames * size]
    if len(whole) < frames * size:
        raise BadClip(name, 0, f"is cut off: it has {len(whole) // size} of {frames} frames")
    if scale < 0:
        values = _floats(whole, processor).reshape(frames, words)[:, : 4 * markers].astype(np.float64)
    else:
        values = np.frombuffer(whole, ">i2" if processor == _MIPS else "<i2").reshape(frames, words).astype(np.float64)
    points = values[:, : 4 * markers].reshape(frames, markers, 4)
    positions = points[..., :3] * (scale if scale > 0 else 1.0)
    # The fourth number holds the residual, and which cameras saw the marker; it is negative if none did.
    return np.where(points[..., 3:] >= 0, positions, np.nan)


def _frames(parameters: Mapping[str, Values], claimed: int) -> int:
    """Return the number of frames: the header has 16 bits for each end, which is not enough for a long recording."""
    first, last = (_two_words(parameters.get(f"TRIAL:ACTUAL_{end}_FIELD", [])) for end in ("START", "END"))
    if 0 < first <= last:
        return last - first + 1
    return int(_number(parameters, "POINT:LONG_FRAMES") or _number(parameters, "POINT:FRAMES")) or claimed


def _two_words(values: Values) -> int:
    low, high = ([value for value in values if isinstance(value, float) and 0 <= value < 1 << 16] + [0.0, 0.0])[:2]
    return int(low) + (int(high) << 16)
