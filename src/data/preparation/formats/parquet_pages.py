"""The sizes that the pages of a Parquet file claim, from its footer and the headers of its pages.

pyarrow reserves what a header claims, so that a page of a few bytes could take gigabytes; its own access to the places
of the columns ends the process for some damaged footers. Both are in Thrift's compact protocol. Structure:
parquet-format's parquet.thrift and README, and Thrift's thrift-compact-protocol.md.
"""

from collections.abc import Collection
from typing import Any

# The numbers of the fields that are read.
_ROW_GROUPS, _COLUMNS, _COLUMN = 4, 1, 3  # of the footer, of a row group, of a column in it
_PATH, _PACKED_SIZE, _DATA_PAGE, _DICTIONARY_PAGE = 3, 7, 9, 11  # of a column
_UNPACKED, _PACKED = 2, 3  # of a page's header
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET = range(1, 11)
_STRUCT = 12
_MOST_VALUES = 1 << 20
_DEEPEST = 16
_TAIL = 8  # bytes after the footer: its length, and the letters with which the file began
_DAMAGED = "its footer, or the header of a page, is damaged"


def unpacked_bytes(data: bytes, names: Collection[str]) -> int:
    """Return how many bytes the pages of some columns take, as their headers claim.

    Raises:
        ValueError: a header is damaged, or a page is not within the file.
    """
    length = int.from_bytes(data[-_TAIL:-4], "little")
    if length > len(data) - _TAIL:
        raise ValueError(_DAMAGED)
    footer = _Struct(data, len(data) - _TAIL - length, len(data) - _TAIL).fields()
    size = 0
    wanted = {name.encode() for name in names}
    for group in _items(footer, _ROW_GROUPS):
        for chunk in _items(group, _COLUMNS):
            column = chunk.get(_COLUMN)
            if not isinstance(column, dict):
                raise ValueError(_DAMAGED)
            if b".".join(_items(column, _PATH, bytes)) in wanted:
                places: list[int] = [column[key] for key in (_DATA_PAGE, _DICTIONARY_PAGE) if column.get(key)]
                size += _pages(data, min(places, default=-1), column.get(_PACKED_SIZE, -1))
    return size


def _pages(data: bytes, start: int, length: int) -> int:
    """Return how many bytes the pages of a column in a row group take."""
    end = start + length
    if not 0 <= start <= end <= len(data):
        raise ValueError("a column lies outside of the file")
    offset, size = start, 0
    while offset < end:
        header = _Struct(data, offset, end)
        fields = header.fields()
        unpacked, packed = fields.get(_UNPACKED, -1), fields.get(_PACKED, -1)
        if unpacked < 0 or not 0 <= packed <= end - header.offset:
            raise ValueError(_DAMAGED)
        size += unpacked
        offset = header.offset + packed
    return size


def _items(fields: dict[int, Any], number: int, kind: type = dict) -> list[Any]:
    items = fields.get(number, [])
    if not isinstance(items, list) or not all(isinstance(item, kind) for item in items):
        raise ValueError(_DAMAGED)
    return items


class _Struct:
    """A struct of Thrift's compact protocol, from `offset` on."""

    def __init__(self, data: bytes, offset: int, end: int) -> None:
        self._data, self.offset, self._end = data, offset, end
        self._left = _MOST_VALUES

    def fields(self, depth: int = 0) -> dict[int, Any]:
        """Return the fields by their numbers: integers, bytes, lists and structs; others are None."""
        found: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            number = number + step if step else self._integer()
            found[number] = None if kind in (_TRUE, _FALSE) else self._value(kind, depth + 1)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise ValueError(_DAMAGED)
        if kind == _STRUCT:
            return self.fields(depth)
        if kind in (_LIST, _SET):
            head = self._byte()
            count = self._unsigned() if head >> 4 == 15 else head >> 4
            return [self._value(head & 15, depth + 1) for _ in range(min(count, self._left + 1))]
        if kind == _BINARY:
            return self._bytes(self._unsigned())
        if kind in (_I16, _I32, _I64):
            return self._integer()
        if kind in (_TRUE, _FALSE, _BYTE, _DOUBLE):  # in a list, true and false take a byte
            self._bytes(8 if kind == _DOUBLE else 1)
            return None
        raise ValueError(_DAMAGED)

    def _bytes(self, length: int) -> bytes:
        if length > self._end - self.offset:
            raise ValueError(_DAMAGED)
        self.offset += length
        return self._data[self.offset - length : self.offset]

    def _byte(self) -> int:
        return self._bytes(1)[0]

    def _unsigned(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError(_DAMAGED)

    def _integer(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
