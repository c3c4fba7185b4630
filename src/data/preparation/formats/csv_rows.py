"""Read a CSV file in blocks of rows: its header, then numbers and texts by column, within limits of size and time."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import BadClip

LIMIT_BYTES = 256 << 20
MOST_NUMBERS = 1 << 24  # in a file, as 8 bytes each
MOST_ROWS, MOST_COLUMNS = 1 << 22, 1 << 12
_LONGEST_TEXT = 200
_REASONS_KEPT = 1000
_BLOCK_FIELDS = 1 << 18
_DELIMITERS = ",;\t"
_NO_NUMBER = {"", "nan", "na", "n/a", "null", "none"}

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass
class Texts:
    """A column of texts: each row has the number of one of the distinct values."""

    codes: Integers
    values: list[str]


@dataclass
class CsvRows:
    """The rows of a CSV file, by column.

    Attributes:
        lines: (N,) the line of each row in the file.
        texts: the columns that were requested as texts.
        numbers: (N, columns requested as numbers), NaN where a field is empty.
        is_bad: (N,) bool, rows with a field that is not a number.
        reasons: what the first such rows hold.
    """

    lines: Integers
    texts: Mapping[str, Texts]
    numbers: Floats
    is_bad: NDArray[np.bool_]
    reasons: Mapping[int, str]


class CsvFile:
    """A CSV file in memory; the delimiter is the comma, semicolon or tab that is most frequent in its header."""

    def __init__(self, name: str, data: bytes) -> None:
        """Read the header.

        Raises:
            BadClip: it is not UTF-8 text, or its first line is not a list of different names.
        """
        self.name, self._data = name, data
        first = data[:LIMIT_BYTES].lstrip(b"\r\n").split(b"\n", 1)[0][: 1 << 16].decode("utf-8", "replace")
        delimiter = max(_DELIMITERS, key=first.count)
        lines = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
        self._reader = csv.reader(lines, delimiter=delimiter, strict=True)
        header: list[str] = []
        while not header and (rows := self._next(1)):
            header = rows[0]
        self.header = [text.strip() for text in header]
        refuse_header(name, self.header, self._reader.line_num)

    def read(self, texts: Mapping[str, int], numbers: Sequence[int]) -> CsvRows:
        """Read the rows: the columns of `texts`, by a name of the caller's, and those of `numbers`.

        Raises:
            BadClip: a row has another number of fields than the header, or the file is too large.
        """
        known: dict[str, dict[str, int]] = {name: {} for name in texts}
        codes: dict[str, list[Integers]] = {name: [] for name in texts}
        read, lines, bad, count = [], [], [], 0
        reasons: dict[int, str] = {}
        for first_line, rows in self._blocks():
            kept = [number for number, row in enumerate(rows) if row]
            lines.append(np.array(kept, np.int64) + first_line)
            columns = list(zip(*(rows[number] for number in kept), strict=True)) or [()] * len(self.header)
            for name, column in texts.items():
                codes[name].append(_codes(columns[column], known[name]))
            block, is_bad = np.empty((len(kept), len(numbers))), np.zeros(len(kept), np.bool_)
            for index, column in enumerate(numbers):
                block[:, index], wrong = to_numbers(columns[column])
                is_bad[list(wrong)] = True
                for row in list(wrong)[: max(0, _REASONS_KEPT - len(reasons))]:
                    reasons.setdefault(count + row, no_number(self.header[column], wrong[row]))
            read.append(block)
            bad.append(is_bad)
            count += len(kept)
            if count > MOST_ROWS or count * max(1, len(numbers)) > MOST_NUMBERS:
                raise self._refuse(f"has more than {MOST_ROWS} rows or {MOST_NUMBERS} numbers: divide it into files")
        if not count:
            raise BadClip(self.name, 0, "has no rows below its header")
        refuse_long_texts(self.name, known)
        joined = {name: Texts(np.concatenate(codes[name]), list(known[name])) for name in texts}
        return CsvRows(np.concatenate(lines), joined, np.concatenate(read), np.concatenate(bad), reasons)

    def _blocks(self) -> Iterator[tuple[int, list[list[str]]]]:
        """Yield the line of the first row of a block, and its rows; an empty line is an empty row."""
        size, width = max(1, _BLOCK_FIELDS // len(self.header)), len(self.header)
        while True:
            before = self._reader.line_num
            rows = self._next(size)
            if not rows:
                return
            if self._reader.line_num - before != len(rows):
                row = next(number for number, row in enumerate(rows) if any(map(_has_line_break, row)))
                raise BadClip(self.name, before + row + 1, "a field holds a line break, or a quote is not closed")
            if not {len(row) for row in rows} <= {0, width}:
                number, found = next(
                    (number, len(row)) for number, row in enumerate(rows) if len(row) not in (0, width)
                )
                raise BadClip(self.name, before + number + 1, f"has {found} fields; the header has {width}")
            yield before + 1, rows

    def _next(self, count: int) -> list[list[str]]:
        """Return the next rows, at most `count`.

        Raises:
            BadClip: the text cannot be read as CSV.
        """
        try:
            return list(islice(self._reader, count))
        except csv.Error as error:
            raise BadClip(self.name, self._reader.line_num, f"is not a row of CSV: {error}") from error
        except UnicodeDecodeError as error:
            raise BadClip(self.name, 0, f"is not text in UTF-8: {error.reason} at byte {error.start}") from error

    def _refuse(self, reason: str) -> BadClip:
        return BadClip(self.name, self._reader.line_num, reason)


def refuse_header(name: str, header: Sequence[str], line: int = 0) -> None:
    """Refuse names of columns that cannot be those of a table; the file and the line are for the error.

    Raises:
        BadClip: there are too few or too many, two are equal, or all of them are numbers.
    """
    if not 2 <= len(header) <= MOST_COLUMNS:
        first = "a first line with " if line else ""
        raise BadClip(name, line, f"has {len(header)} columns; expected {first}2 to {MOST_COLUMNS} names")
    known: set[str] = set()
    for text in filter(None, header):
        if text in known:
            raise BadClip(name, line, f"has two columns {text[:40]!r}")
        known.add(text)
    if all(map(_is_number, known)):
        raise BadClip(name, line, f"has no names of columns{' in its first line' if line else ''}")


def refuse_long_texts(name: str, known: Mapping[str, Mapping[str, int]]) -> None:
    """Refuse texts that are too long, in columns by the caller's names; the file is for the error.

    Raises:
        BadClip: there is one.
    """
    for column, values in known.items():
        if longest := next((text for text in values if len(text) > _LONGEST_TEXT), ""):
            raise BadClip(name, 0, f"has a {column} of {len(longest)} characters, {longest[:40]!r}...")


def to_numbers(column: Sequence[str]) -> tuple[Floats, dict[int, str]]:
    """Return the numbers of a column, NaN where a field is empty, and the fields that are not numbers by their row."""
    joined = "".join(column)
    if joined.isascii() and "_" not in joined:  # Python's numbers may have underscores and digits of other scripts
        try:
            return np.array([float(text) if text else math.nan for text in column], np.float64), {}
        except ValueError:
            pass
    values, wrong = np.full(len(column), math.nan), {}
    for row, text in enumerate(map(str.strip, column)):
        if text.lower() in _NO_NUMBER:
            continue
        if _is_number(text):
            values[row] = float(text)
        else:
            wrong[row] = text
    return values, wrong


def no_number(column: str, text: str) -> str:
    """Return the sentence about a field of a column that is not a number."""
    hint = " (write a decimal point, not a comma)" if _is_number(text.replace(",", ".", 1)) else ""
    return f"{column[:40]!r} is {text[:40]!r}, not a number{hint}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text


def _codes(column: Sequence[str], known: dict[str, int]) -> Integers:
    """Return the number of each text's value among those of the column, adding those that are not known yet."""
    get: Any = known.setdefault
    return np.array([get(text, len(known)) for text in column], np.int64)


def _has_line_break(text: str) -> bool:
    return "\n" in text or "\r" in text
