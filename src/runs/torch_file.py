"""Safe reader for files of `torch.save`: tensors and plain values, in time and memory proportional to the file's size.

`torch.load` trusts the sizes in a file: a record of a few bytes unpacks to gigabytes, a tensor with zero strides has as
many numbers as it claims, a bytearray is as long as it claims. This module therefore reads the format itself, a zip
archive of uncompressed records. One of them is a pickle, of which only the few opcodes are supported that torch writes
for dicts, lists, tuples, plain values and tensors. None of them calls a function by name.
"""

import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..utils.zip_files import Archive, DamagedZip

_DEEPEST = 32  # of dicts and lists within each other
_MOST_VALUES = 2_000_000
_MOST_PICKLE_BYTES = 16 << 20  # an empty list takes one there and 56 in memory
_LARGEST_KEY = 2**31  # larger numbers can be chosen so that all of them collide in a dict
_STORAGES = {
    "BFloat16Storage": torch.bfloat16, "BoolStorage": torch.bool, "ByteStorage": torch.uint8,
    "CharStorage": torch.int8, "DoubleStorage": torch.float64, "FloatStorage": torch.float32,
    "HalfStorage": torch.float16, "IntStorage": torch.int32, "LongStorage": torch.int64, "ShortStorage": torch.int16,
}  # fmt: skip
_TENSOR, _DICT = object(), object()  # placeholders for the two functions that torch's pickles name


class NotTorchFile(ValueError):
    """The bytes are not a file of tensors and plain values in this format."""


def read_torch_file(content: bytes) -> Any:
    """Return the content of a file, given its bytes; tensors are on the CPU.

    Raises:
        NotTorchFile: they are damaged, of another program, or claim more data than they hold.
    """
    records = dict(_records(content))
    pickles = [name for name in records if name.endswith("/data.pkl")]
    if len(pickles) != 1 or len(records[pickles[0]]) > _MOST_PICKLE_BYTES:
        raise NotTorchFile("it contains no pickle of torch")
    folder = pickles[0].removesuffix("data.pkl")
    if records.get(f"{folder}byteorder", b"little") != sys.byteorder.encode():
        raise NotTorchFile("its byte order is not this machine's")
    try:
        value = _Pickle(records[pickles[0]], folder, records).read()
    except NotTorchFile:
        raise
    except MemoryError as error:
        raise NotTorchFile("it needs more memory than is available") from error
    except (struct.error, ValueError, IndexError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise NotTorchFile(f"its pickle is damaged ({type(error).__name__})") from error
    _refuse_too_much(value, len(content))
    return value


def _records(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the stored bytes of each record."""
    try:
        with Archive(content) as archive:
            for member in archive.members:
                if archive.stored_span(member) is None:
                    raise NotTorchFile("a record is compressed")
                yield member.name, archive.read(member, len(content))
    except DamagedZip as error:
        raise NotTorchFile(str(error)) from error


# --- the pickle


class _Storage(NamedTuple):
    """The numbers of one record, in the type of its tensors."""

    numbers: Tensor


class _Pickle:
    """Interpreter for a pickle; each opcode uses only bytes and values that exist."""

    def __init__(self, content: bytes, folder: str, records: Mapping[str, bytes]) -> None:
        self._content, self._position = content, 0
        self._folder, self._records = folder, records
        self._stack: list[Any] = []
        self._values_made = 0
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._storages: dict[tuple[str, torch.dtype], _Storage] = {}

    def read(self) -> Any:
        """Return the value that the opcodes build."""
        while (code := self._take(1)) != b".":
            operation = _OPCODES.get(code)
            if operation is None:
                raise NotTorchFile(f"its pickle has the opcode {code!r}, which is not supported")
            operation(self)
        return self._stack[-1]

    def number(self, form: str) -> Any:
        """Read a number in a format of `struct`."""
        (number,) = struct.unpack(form, self._take(struct.calcsize(form)))
        return number

    def push(self, value: Any) -> None:
        """Push a value on the stack."""
        self._values_made += 1
        if self._values_made > _MOST_VALUES:
            raise NotTorchFile(f"it builds more than {_MOST_VALUES:,} values")
        self._stack.append(value)

    def push_text(self) -> None:
        """Push a text on the stack."""
        self.push(self._take(self.number("<I")).decode("utf-8", "surrogatepass"))

    def push_long(self) -> None:
        """Push an integer of up to 255 bytes on the stack."""
        self.push(int.from_bytes(self._take(self.number("<B")), "little", signed=True))

    def push_name(self) -> None:
        """Push the placeholder of a function or a type on the stack."""
        module, name = self._line(), self._line()
        if module == "torch" and name in _STORAGES:
            self.push(_STORAGES[name])
        elif (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            self.push(_TENSOR)
        elif (module, name) == ("collections", "OrderedDict"):
            self.push(_DICT)
        else:
            raise NotTorchFile(f"it names {module}.{name}, which is neither a tensor nor a plain value")

    def mark(self) -> None:
        """Mark the present top of the stack."""
        self._marks.append(len(self._stack))

    def push_tuple(self, length: int | None = None) -> None:
        """Replace the last `length` values, or those since the mark, by a tuple."""
        values = self._since_mark() if length is None else self._last(length)
        self.push(tuple(values))

    def append(self, values: list[Any]) -> None:
        """Append values to the list below them."""
        self._below(list).extend(values)

    def set_items(self, values: list[Any]) -> None:
        """Insert keys and values into the dict below them."""
        target = self._below(dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) not in (str, int):  # another type may hash arbitrarily slowly
                raise NotTorchFile("a key is neither a text nor an integer")
            if type(key) is int and not 0 <= key < _LARGEST_KEY:
                raise NotTorchFile("a key is an integer out of range")
            target[key] = value

    def append_last(self) -> None:
        """Append one value to a list."""
        self.append(self._last(1))

    def append_marked(self) -> None:
        """Append the values since the mark to a list."""
        self.append(self._since_mark())

    def set_last(self) -> None:
        """Insert one key and value into a dict."""
        self.set_items(self._last(2))

    def set_marked(self) -> None:
        """Insert the keys and values since the mark into a dict."""
        self.set_items(self._since_mark())

    def memoize(self, form: str) -> None:
        """Store the last value in the memo under a number."""
        self._memo[self.number(form)] = self._stack[-1]

    def push_memo(self, form: str) -> None:
        """Push a value of the memo on the stack."""
        self.push(self._memo[self.number(form)])

    def call(self) -> None:
        """Build a tensor or an empty dict from the arguments on the stack."""
        function, arguments = self._last(2)
        if function is _DICT and arguments == ():
            self.push({})
        elif function is _TENSOR:
            storage, offset, sizes, strides, *_ = arguments
            self.push(_tensor(storage, offset, sizes, strides))
        else:
            raise NotTorchFile("it calls something else than a function")

    def set_attributes(self) -> None:
        """Drop the attributes of a dict: those of a state dict are module versions, which are not needed."""
        self._last(1)
        self._below(dict)

    def push_storage(self) -> None:
        """Push the numbers of a record: `("storage", type, record, device, count)` is on the stack."""
        _, dtype, record, _, count = self._last(1)[0]
        key = (record, dtype)
        if key not in self._storages:
            content = bytearray(self._records[f"{self._folder}data/{record}"])
            numbers = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
            if len(numbers) != count:
                raise NotTorchFile("a record has not as many numbers as it claims")
            self._storages[key] = _Storage(numbers)
        self.push(self._storages[key])

    def _take(self, count: int) -> bytes:
        start, self._position = self._position, self._position + count
        if self._position > len(self._content):
            raise NotTorchFile("its pickle is cut short")
        return self._content[start : self._position]

    def _line(self) -> str:
        end = self._content.find(b"\n", self._position)
        return self._take(max(0, end - self._position) + 1)[:-1].decode()

    def _since_mark(self) -> list[Any]:
        return self._last(len(self._stack) - self._marks.pop())

    def _last(self, count: int) -> list[Any]:
        start = len(self._stack) - count
        if count < 0 or start < 0:
            raise NotTorchFile("its pickle is damaged")
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _below(self, kind: type) -> Any:
        if type(self._stack[-1]) is not kind:
            raise NotTorchFile("its pickle is damaged")
        return self._stack[-1]


_OPCODES: dict[bytes, Callable[[_Pickle], None]] = {
    b"\x80": lambda pickle: pickle.number("<B"),  # the protocol
    b"}": lambda pickle: pickle.push({}),
    b"]": lambda pickle: pickle.push([]),
    b")": lambda pickle: pickle.push(()),
    b"N": lambda pickle: pickle.push(None),
    b"\x88": lambda pickle: pickle.push(True),
    b"\x89": lambda pickle: pickle.push(False),
    b"K": lambda pickle: pickle.push(pickle.number("<B")),
    b"M": lambda pickle: pickle.push(pickle.number("<H")),
    b"J": lambda pickle: pickle.push(pickle.number("<i")),
    b"G": lambda pickle: pickle.push(pickle.number(">d")),
    b"\x8a": _Pickle.push_long,
    b"X": _Pickle.push_text,
    b"c": _Pickle.push_name,
    b"(": _Pickle.mark,
    b"t": _Pickle.push_tuple,
    b"\x85": lambda pickle: pickle.push_tuple(1),
    b"\x86": lambda pickle: pickle.push_tuple(2),
    b"\x87": lambda pickle: pickle.push_tuple(3),
    b"a": _Pickle.append_last,
    b"e": _Pickle.append_marked,
    b"s": _Pickle.set_last,
    b"u": _Pickle.set_marked,
    b"q": lambda pickle: pickle.memoize("<B"),
    b"r": lambda pickle: pickle.memoize("<I"),
    b"h": lambda pickle: pickle.push_memo("<B"),
    b"j": lambda pickle: pickle.push_memo("<I"),
    b"R": _Pickle.call,
    b"b": _Pickle.set_attributes,
    b"Q": _Pickle.push_storage,
}


def _tensor(storage: Any, offset: Any, sizes: Any, strides: Any) -> Tensor:
    """Return a view of a storage that is within its bounds and does not overlap itself."""
    numbers = [offset, *sizes, *strides]
    if not isinstance(storage, _Storage) or not all(type(each) is int and 0 <= each < 2**62 for each in numbers):
        raise NotTorchFile("a tensor is damaged")
    view = torch.as_strided(storage.numbers, sizes, strides, offset)
    reach = 1
    for stride, size in sorted((stride, size) for size, stride in zip(sizes, strides, strict=True) if size > 1):
        if stride < reach:
            raise NotTorchFile("a tensor overlaps itself")
        reach = stride * (size - 1) + reach
    return view


def _refuse_too_much(value: Any, byte_count: int) -> None:
    """Refuse values that are nested too deeply or exceed the file's size: a part may be referenced repeatedly."""
    values = tensor_bytes = 0
    waiting = [(value, 0)]
    while waiting:
        each, depth = waiting.pop()
        values += 1
        if isinstance(each, Tensor):
            tensor_bytes += each.numel() * each.element_size()
        elif isinstance(each, dict | list | tuple):
            if len(each) + len(waiting) > _MOST_VALUES:
                raise NotTorchFile("it refers to the same value many times")
            waiting.extend((part, depth + 1) for part in (each.values() if isinstance(each, dict) else each))
        elif not (each is None or type(each) in (bool, int, float, str)):
            raise NotTorchFile("it holds something else than tensors and plain values")
        if depth > _DEEPEST or values > _MOST_VALUES or tensor_bytes > 2 * byte_count:
            raise NotTorchFile("it is nested too deeply, or refers to the same value many times")
