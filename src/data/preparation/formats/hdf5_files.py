"""Read arrays from an HDF5 file by h5py (extra `sleap`), within limits, from the file itself alone.

HDF5 can have links to other files, parts of arrays in them, filters that are loaded as programs, and arrays of any
claimed size that take no bytes; none of these is read. Nor are texts of variable length: in damaged files the search
for them may never end.
"""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....utils.extras import extra_problem, fault_of
from ....utils.regular_files import open_regular
from ....utils.system_errors import reason
from .base import BadClip, Entry
from .sniff import FIRST_BYTES, HDF5, file_kind

LIMIT_BYTES = 256 << 20  # of a file, and of an array that is read
_MAGIC = b"\x89HDF\r\n\x1a\n"
_ERRORS = (OSError, RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError)
_FILTERS = {None, "gzip", "lzf"}


class Hdf5File:
    """An open HDF5 file; its name is for errors."""

    def __init__(self, name: str, file: Any) -> None:
        self.name, self._file = name, file

    def __contains__(self, path: str) -> bool:
        """Tell whether there is an array or a group of that name in the file itself."""
        import h5py

        with refusing(self.name):
            return isinstance(self._file.get(path, getlink=True), h5py.HardLink)

    def array(self, path: str) -> NDArray[Any]:
        """Return an array.

        Raises:
            BadClip: there is none, or it is too large, damaged, or not in the file itself.
        """
        import h5py

        if path not in self:
            raise BadClip(self.name, 0, f"has no array `{path}`")
        with refusing(self.name):
            found = self._file[path]
            if not isinstance(found, h5py.Dataset) or found.shape is None:
                raise BadClip(self.name, 0, f"`{path}` is no array")
            if found.is_virtual or found.external or found.compression not in _FILTERS:
                raise BadClip(self.name, 0, f"`{path}` is not in the file itself, or packed in an unknown way")
            sizes = [found.shape, found.chunks or ()]
            if max(math.prod(shape) for shape in sizes) * found.dtype.itemsize > LIMIT_BYTES:
                raise BadClip(self.name, 0, f"`{path}` has the shape {found.shape}, more than {LIMIT_BYTES} bytes")
            if found.dtype.hasobject:
                raise BadClip(self.name, 0, f"`{path}` has values of variable length, which are not read")
            values: NDArray[Any] = np.asarray(found[()])
            return values

    def text(self, path: str, attribute: str) -> str:
        """Return an attribute of an array or a group that is a text of fixed length; empty if there is none.

        Raises:
            BadClip: it is damaged.
        """
        if path not in self:
            return ""
        with refusing(self.name):
            attributes = self._file[path].attrs
            if attribute not in attributes or attributes.get_id(attribute).dtype.kind != "S":
                return ""
            return text_of(attributes[attribute])

    def number(self, path: str, attribute: str) -> float:
        """Return an attribute that is a number; 0 if there is none."""
        if path not in self:
            return 0.0
        with refusing(self.name):
            attributes = self._file[path].attrs
            if attribute not in attributes or attributes.get_id(attribute).dtype.kind not in "fiu":
                return 0.0
            value = attributes[attribute]
            return float(value) if np.ndim(value) == 0 else 0.0


def text_of(value: object) -> str:
    """Return a text that HDF5 may hold as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


@contextmanager
def open_hdf5(entry: Entry) -> Iterator[Hdf5File]:
    """Open the file of a recording.

    Raises:
        UserError: h5py cannot be imported.
        BadClip: it is too large, or no HDF5 file.
    """
    if (problem := extra_problem("h5py", "Reading an HDF5 file")) is not None:
        raise problem
    import h5py

    name = entry.name
    data = _data(entry)
    if not data.startswith(_MAGIC):
        kind = file_kind(data[:FIRST_BYTES])
        raise BadClip(name, 0, f"is {kind}" if kind and kind != HDF5 else "is no HDF5 file")
    with refusing(name):
        file = h5py.File(io.BytesIO(data), "r")
    try:
        yield Hdf5File(name, file)
    finally:
        file.close()


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """Refuse a recording for which h5py raises an error; it raises many kinds for damaged files."""
    try:
        yield
    except BadClip:
        raise
    except _ERRORS as error:
        raise BadClip(name, 0, f"is a damaged HDF5 file ({fault_of(error)})") from error


def _data(entry: Entry) -> bytes:
    if entry.size > LIMIT_BYTES:
        raise BadClip(entry.name, 0, f"is larger than {LIMIT_BYTES} bytes, too large for one recording: split it")
    try:
        with open_regular(entry.path) as file:
            return file.read(LIMIT_BYTES)
    except OSError as error:
        raise BadClip(entry.name, 0, f"cannot be read: {reason(error)}") from error
