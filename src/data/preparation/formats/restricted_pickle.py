"""Read an untrusted pickle with an interpreter that builds only NumPy arrays and plain containers.

Arrays hold numbers or text. Pickles of Python 2 are also read: their byte strings become text.

A pickle names the functions to call. Here no name is looked up: the few names that NumPy uses to pickle arrays, number
types and scalars are mapped to functions of this file, and any other name is refused.
"""

import pickle
import re
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ....utils.array_files import check_shape
from ....utils.errors import UserError
from ....utils.foreign_text import are_characters
from ....utils.regular_files import open_regular
from ....utils.system_errors import reason
from .bounded_unpickler import BoundedUnpickler, Budget, Refused
from .sniff import PICKLE, why_unreadable

Array = np.ndarray[Any, np.dtype[Any]]

_LIMIT_BYTES = 16 << 30
_KIND = re.compile(r"[fiu][1248]|b1|[SU]\d{1,5}", re.ASCII)
_LIMIT_TEXT_BYTES = 256 << 20  # of one array
_MOST_TEXTS = 4 << 20  # in one array; NTU RGB+D 120 has 114,480 names
_TEXT_COST = 12  # bytes of memory per byte of an array of text, which is decoded to four bytes and checked
_DAMAGE = (
    *(pickle.PickleError, struct.error, EOFError, LookupError, AttributeError, TypeError, ValueError),
    *(ArithmeticError, RecursionError),
)


def load_plain(path: Path) -> Any:
    """Load a pickle of numbers, text, containers and arrays; arrays are returned as `PickledArray`.

    Raises:
        UserError: the file cannot be read, is too large or damaged, or requests anything else.
    """
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise UserError(f"{path} is larger than {_LIMIT_BYTES} bytes, too large to be read in one piece.")
        with open_regular(path) as file:
            return BoundedUnpickler(file, _callable_names).load()
    except OSError as error:
        raise UserError(f"Cannot read {path}: {reason(error)}.") from error
    except Refused as error:
        raise UserError(f"{path} is refused: {error}. None of it was executed.") from error
    except _DAMAGE as error:
        problem = "it is damaged" if isinstance(error, EOFError | LookupError) else str(error)
        problem = why_unreadable(path, PICKLE, ValueError(problem))
        raise UserError(f"{path} is not a readable pickle: {problem}. Download or write it again.") from error


class PickledArray:
    """An array from a pickle: created empty, then filled.

    Attributes:
        array: its elements, read-only.
    """

    __slots__ = ("_budget", "array")

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget or Budget(0)
        self.array: Array = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, raw = state
        self.array = _to_array(self._budget, raw, kind, shape, "F" if fortran else "C")

    def __iter__(self) -> Iterator[Any]:
        """Yield its numbers or texts like a list."""
        return iter(self.array.ravel().tolist())


class _DataType:
    """A NumPy type of numbers or text from a pickle: a kind and width, then a byte order."""

    __slots__ = ("kind", "order")

    def __init__(self, kind: str) -> None:
        if not _KIND.fullmatch(kind):
            raise Refused(f"it holds arrays of {kind[:40]!r}, not of numbers or text")
        self.kind, self.order = kind, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in {"<", ">", "|", "="}:
            raise Refused("it holds an array of an unknown byte order")
        self.order = state[1]


class _Builder:
    """One of the known functions; a pickle can only call it."""

    __slots__ = ("_build",)

    def __init__(self, build: Callable[..., Any]) -> None:
        self._build = build

    def __call__(self, *arguments: Any) -> Any:
        return self._build(*arguments)

    def __setstate__(self, state: object) -> None:
        raise Refused("it tries to change a function")


def _callable_names(budget: Budget) -> dict[str, Any]:
    """Return the functions of the known names, which spend the budget of one pickle."""
    return {name: _Builder(partial(build, budget)) for name, build in _KNOWN.items()}


def _to_array(budget: Budget, raw: bytes | str, kind: _DataType, shape: tuple[int, ...], order: Any) -> Array:
    if not isinstance(raw, str | bytes | bytearray) or not isinstance(kind, _DataType):
        raise Refused("it holds an array that is not made of numbers")
    if not isinstance(shape, tuple) or any(type(size) is not int for size in shape):
        raise Refused("it holds an array whose shape is not made of numbers")
    budget.spend(_TEXT_COST * len(raw) if kind.kind[0] in "SU" else len(raw))
    if isinstance(raw, str):  # bytes of Python 2
        raw = raw.encode("latin1")
    data_type = np.dtype(kind.order + kind.kind)
    check_shape(shape, data_type.itemsize, len(raw))
    array = np.frombuffer(bytes(raw), data_type).reshape(shape, order=order)
    return _as_text(array) if array.dtype.kind in "SU" else array


def _as_text(array: Array) -> Array:
    """Return an array as text of valid characters; bytes have to be ASCII."""
    if array.nbytes > _LIMIT_TEXT_BYTES:
        raise Refused(f"it holds an array of more than {_LIMIT_TEXT_BYTES} bytes of text")
    if array.size > _MOST_TEXTS:
        raise Refused(f"it holds an array of more than {_MOST_TEXTS} texts")
    if array.dtype.kind == "S":
        return np.asarray(np.char.decode(array, "ascii"))
    if not are_characters(array.tobytes(), array.dtype.byteorder):
        raise ValueError("it holds text of impossible characters")
    return array


def _empty_array(budget: Budget, *_: object) -> PickledArray:
    return PickledArray(budget)


def _filled_array(budget: Budget, raw: bytes, kind: _DataType, shape: tuple[int, ...], order: str) -> PickledArray:
    filled = PickledArray(budget)
    filled.array = _to_array(budget, raw, kind, shape, order)
    return filled


def _scalar(budget: Budget, kind: _DataType, raw: bytes | str) -> Any:
    if not raw:
        return ""  # NumPy's empty text has the width 0
    return _to_array(budget, raw, kind, (), "C").item()


def _data_type(_: Budget, kind: str, align: bool = False, copy: bool = False) -> _DataType:  # noqa: ARG001
    return _DataType(kind)


def _array_type(*_: object) -> None:
    raise Refused("it makes an array in an unknown way")


def _bytes_of_text(budget: Budget, text: str, encoding: str) -> bytes:
    """Return bytes that an old protocol stored as text."""
    if encoding != "latin1":
        raise Refused(f"it uses the text encoding {encoding[:40]!r}")
    budget.spend(len(text))
    return text.encode("latin1")


def _no_bytes(_: Budget) -> bytes:
    """Return the empty bytes that an old protocol stored as a call."""
    return b""


_KNOWN: dict[str, Callable[..., Any]] = {
    "numpy.ndarray": _array_type,
    "numpy.dtype": _data_type,
    "numpy.core.multiarray._reconstruct": _empty_array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _filled_array,
    "_codecs.encode": _bytes_of_text,
    "__builtin__.bytes": _no_bytes,
}
