"""Run a foreign pickle with an interpreter that builds NumPy arrays and plain containers, nothing else.

Arrays hold numbers or text. Pickles of Python 2 are read too: their byte strings become text.

A pickle names the functions it wants called. Here a name is never looked up: the few by which NumPy pickles
arrays, number types and scalars stand for functions of this file, and every other name ends the reading.
"""

import pickle
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...utils.errors import UserError
from .sniff import PICKLE, trouble

Array = np.ndarray[Any, np.dtype[Any]]

_LIMIT_BYTES = 16 << 30
_KIND = re.compile(r"[fiu][1248]|b1|[SU]\d{1,5}", re.ASCII)
_LIMIT_TEXT_BYTES = 256 << 20  # of one array
_LAST_CHARACTER, _SURROGATES = 0x10FFFF, (0xD800, 0xDFFF)
_DAMAGE = (
    *(pickle.PickleError, struct.error, EOFError, LookupError, AttributeError, TypeError, ValueError),
    *(ArithmeticError, MemoryError, RecursionError),
)


def load_plain(path: Path) -> Any:
    """Load a pickle of numbers, text, containers and arrays; an array comes as a `PickledArray`.

    Raises:
        UserError: the file cannot be read, is too large or damaged, or asks for anything else.
    """
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise UserError(f"{path} is larger than {_LIMIT_BYTES} bytes, too large to be read at once.")
        with path.open("rb") as file:
            return _Interpreter(file, encoding="latin1").load()
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except _Refused as error:
        raise UserError(f"{path} is refused: {error}. Nothing of it was run.") from error
    except _DAMAGE as error:
        reason = "it is damaged" if isinstance(error, EOFError | LookupError) else str(error)
        raise UserError(
            f"{path} is not a readable pickle: {trouble(path, PICKLE, ValueError(reason))}. Download or write it again."
        ) from error


class PickledArray:
    """An array as a pickle describes it: made empty, then filled.

    Attributes:
        array: its content, read-only.
    """

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array: Array = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, raw = state
        self.array = _to_array(raw, kind, shape, "F" if fortran else "C")

    def __iter__(self) -> Iterator[Any]:
        """Yield its numbers or texts, as of a list."""
        return iter(self.array.ravel().tolist())


class _Refused(pickle.UnpicklingError):
    """Say which thing a pickle asked for that it may not have."""


class _DataType:
    """A NumPy type of numbers or text as a pickle describes it: a kind and width, then a byte order."""

    __slots__ = ("kind", "order")

    def __init__(self, kind: str, align: bool = False, copy: bool = False) -> None:  # noqa: ARG002
        if not _KIND.fullmatch(kind):
            raise _Refused(f"it holds arrays of {kind[:40]!r}, not of numbers or text")
        self.kind, self.order = kind, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in {"<", ">", "|", "="}:
            raise _Refused("it holds an array of an unknown byte order")
        self.order = state[1]


class _Builder:
    """One of the known names; calling it is all that a pickle can do with it."""

    __slots__ = ("_build",)

    def __init__(self, build: Callable[..., Any]) -> None:
        self._build = build

    def __call__(self, *arguments: Any) -> Any:
        return self._build(*arguments)

    def __setstate__(self, state: object) -> None:
        raise _Refused("it tries to change a function")


# The interpreter written in Python, because the one in C takes memory by numbers that the file chooses.
class _Interpreter(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return what a name stands for."""
        known = f"{module.replace('numpy._core', 'numpy.core')}.{name}"
        if known not in _KNOWN:
            raise _Refused(f"it asks for {module[:80]}.{name[:80]}, and only arrays and containers are read")
        return _Builder(_KNOWN[known])


def _to_array(raw: bytes | str, kind: _DataType, shape: tuple[int, ...], order: Any) -> Array:
    if isinstance(raw, str):  # the bytes of Python 2
        raw = raw.encode("latin1")
    if not isinstance(raw, bytes | bytearray) or not isinstance(kind, _DataType) or min(shape, default=0) < 0:
        raise _Refused("it holds an array that is not made of numbers")
    array = np.frombuffer(bytes(raw), kind.order + kind.kind).reshape(shape, order=order)
    return _as_text(array) if array.dtype.kind in "SU" else array


def _as_text(array: Array) -> Array:
    """Return an array of text whose characters Python can hold; bytes must be ASCII."""
    if array.nbytes > _LIMIT_TEXT_BYTES:
        raise _Refused(f"it holds an array of more than {_LIMIT_TEXT_BYTES} bytes of text")
    if array.dtype.kind == "S":
        return np.asarray(np.char.decode(array, "ascii"))
    codes = np.frombuffer(array.tobytes(), array.dtype.byteorder + "u4")
    if (codes > _LAST_CHARACTER).any() or ((codes >= _SURROGATES[0]) & (codes <= _SURROGATES[1])).any():
        raise ValueError("it holds text of impossible characters")
    return array


def _empty_array(*_: object) -> PickledArray:
    return PickledArray()


def _filled_array(raw: bytes, kind: _DataType, shape: tuple[int, ...], order: str) -> PickledArray:
    filled = PickledArray()
    filled.array = _to_array(raw, kind, shape, order)
    return filled


def _scalar(kind: _DataType, raw: bytes | str) -> Any:
    if not raw:
        return ""  # NumPy's empty text has the width 0
    return _to_array(raw, kind, (), "C").item()


def _array_type(*_: object) -> None:
    raise _Refused("it makes an array in an unknown way")


def _bytes_of_text(text: str, encoding: str) -> bytes:
    """Return bytes that an old protocol stored as text."""
    if encoding != "latin1":
        raise _Refused(f"it uses the text encoding {encoding[:40]!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Return the empty bytes that an old protocol stored as a call."""
    return b""


_KNOWN: dict[str, Callable[..., Any]] = {
    "numpy.ndarray": _array_type,
    "numpy.dtype": _DataType,
    "numpy.core.multiarray._reconstruct": _empty_array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _filled_array,
    "_codecs.encode": _bytes_of_text,
    "__builtin__.bytes": _no_bytes,
}
