"""Read a pickle with bounded memory and time, in proportion to the size of the pickle.

A pickle is a program: a few bytes can request gigabytes, or run for ever. Here each length is compared with the bytes
that are left, and every object is paid for from a budget of 1 GiB plus 16 bytes per byte of the pickle. Only text and
numbers can be keys, since the time to hash nested tuples doubles with each level.
"""

import pickle
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO

from ....utils.regular_files import size_of_open

# The memory that a pickle may use, in bytes: annotations of NTU RGB+D 120 take 0.8 GiB of small objects.
_BUDGET_BYTES, _BUDGET_OF_A_BYTE = 1 << 30, 16
# The largest cost of a pickle's operations in bytes: a number or a short text with its place on the stack, a container,
# a memoized object, an entry of a dict or set.
_COST, _CONTAINER_COST, _MEMO_COST, _ENTRY_COST = 64, 256, 128, 128
_DEEPEST = 1000  # levels of nested containers; annotations have four
_LARGEST_NUMBER_BYTES = 255
# Python hashes text with a secret, so that colliding keys cannot be chosen; this does not hold for whole numbers.
_MOST_NUMBER_KEYS = 10_000
_SMALL = 1 << 16  # bytes that are read without checking how many are left


class Refused(pickle.UnpicklingError):
    """A pickle requested something that is not allowed."""


class Budget:
    """The memory that a pickle may still use."""

    __slots__ = ("left",)

    def __init__(self, limit_bytes: int) -> None:
        self.left = limit_bytes

    def spend(self, number: int) -> None:
        """Spend bytes of the budget; refuse the pickle if there are too few."""
        self.left -= number
        if self.left < 0:
            raise Refused("it creates far more than its bytes can hold")


class _Input:
    """The bytes of a pickle; a length beyond the end is refused before memory is allocated for it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.size = file, size_of_open(file)
        self.readline = file.readline

    def read(self, number: int) -> bytes:
        """Return the next `number` bytes; Python's own files allocate memory for all of them first."""
        if number > _SMALL and number > self.size - self._file.tell():
            raise EOFError
        return self._file.read(number)


# The interpreter written in Python, because the one in C allocates memory by numbers from the file.
class BoundedUnpickler(pickle._Unpickler):
    """Read one pickle; `load` returns what it holds.

    Args:
        file: an open file.
        known_names: returns the functions that the pickle may name, given its budget.

    Raises:
        Refused: it names another function, or needs more memory than its bytes can hold.
        Exception: what `pickle` raises for a damaged one: its own errors, EOFError, ValueError, TypeError, ...
    """

    stack: list[Any]
    metastack: list[list[Any]]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]

    def __init__(self, file: BinaryIO, known_names: Callable[["Budget"], Mapping[str, Any]]) -> None:
        source = _Input(file)
        super().__init__(source, encoding="latin1")
        self.budget = Budget(_BUDGET_BYTES + _BUDGET_OF_A_BYTE * source.size)
        self.known, self.number_keys = known_names(self.budget), 0

    def find_class(self, module: str, name: str) -> Any:
        """Return the function of a known name."""
        known = f"{module.replace('numpy._core', 'numpy.core')}.{name}"
        if known not in self.known:
            raise Refused(f"it asks for {module[:80]}.{name[:80]}, and only arrays and containers are read")
        return self.known[known]

    def check_keys(self, keys: Iterable[Any]) -> None:
        """Refuse keys that are not text or numbers: hashing nested tuples can take for ever."""
        for key in keys:
            self.budget.spend(_ENTRY_COST)
            if type(key) not in (str, bytes):
                self.number_keys += 1
                if type(key) not in (int, float, bool, type(None)) or self.number_keys > _MOST_NUMBER_KEYS:
                    raise Refused("it has keys, or members of a set, that are not text")

    def top(self, kind: type) -> Any:
        """Return the container on top of the stack."""
        if type(self.stack[-1]) is not kind:
            raise Refused(f"it fills something that is not a {kind.__name__}")
        return self.stack[-1]


def _load_mark(self: BoundedUnpickler) -> None:
    if len(self.metastack) >= _DEEPEST:
        raise Refused(f"its containers are nested more than {_DEEPEST} deep")
    self.metastack.append(self.stack)
    self.stack = []
    self.append = self.stack.append


def _load_bytearray(self: BoundedUnpickler) -> None:
    (length,) = struct.unpack("<Q", self.read(8))
    self.append(bytearray(self.read(length)))


def _load_long(self: BoundedUnpickler) -> None:
    (length,) = struct.unpack("<i", self.read(4))
    if not 0 <= length <= _LARGEST_NUMBER_BYTES:
        raise Refused(f"it holds a whole number of {length} bytes")
    self.append(pickle.decode_long(self.read(length)))


def _load_append(self: BoundedUnpickler) -> None:
    value = self.stack.pop()
    self.top(list).append(value)


def _load_appends(self: BoundedUnpickler) -> None:
    values = self.pop_mark()
    self.top(list).extend(values)


def _load_item(self: BoundedUnpickler) -> None:
    value, key = self.stack.pop(), self.stack.pop()
    self.check_keys([key])
    self.top(dict)[key] = value


def _load_items(self: BoundedUnpickler) -> None:
    items = self.pop_mark()
    self.check_keys(items[::2])
    self.top(dict).update(zip(items[::2], items[1::2], strict=True))


def _load_dict(self: BoundedUnpickler) -> None:
    items = self.pop_mark()
    self.check_keys(items[::2])
    self.append(dict(zip(items[::2], items[1::2], strict=True)))


def _load_members(self: BoundedUnpickler) -> None:
    items = self.pop_mark()
    self.check_keys(items)
    self.top(set).update(items)


def _load_frozenset(self: BoundedUnpickler) -> None:
    items = self.pop_mark()
    self.check_keys(items)
    self.append(frozenset(items))


def _spending(cost: int, load: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return an operation that first spends its cost from the budget."""

    def spend_and_load(self: BoundedUnpickler) -> None:
        self.budget.left -= cost
        if self.budget.left < 0:
            self.budget.spend(0)
        load(self)

    return spend_and_load


_OWN: Mapping[bytes, Callable[[Any], None]] = {
    pickle.MARK: _load_mark,
    pickle.BYTEARRAY8: _load_bytearray,
    pickle.LONG4: _load_long,
    pickle.APPEND: _load_append,
    pickle.APPENDS: _load_appends,
    pickle.DICT: _load_dict,
    pickle.SETITEM: _load_item,
    pickle.SETITEMS: _load_items,
    pickle.ADDITEMS: _load_members,
    pickle.FROZENSET: _load_frozenset,
}
_CONTAINERS = (pickle.MARK, pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.EMPTY_SET, pickle.LIST, pickle.DICT)
_CALLS = (pickle.FROZENSET, pickle.REDUCE, pickle.BUILD, pickle.GLOBAL, pickle.STACK_GLOBAL)
_COSTS = {
    **dict.fromkeys((*_CONTAINERS, *_CALLS), _CONTAINER_COST),
    **dict.fromkeys((pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE), _MEMO_COST),
}
BoundedUnpickler.dispatch = {
    code: _spending(_COSTS.get(bytes([code]), _COST), _OWN.get(bytes([code]), load))
    for code, load in pickle._Unpickler.dispatch.items()
}
