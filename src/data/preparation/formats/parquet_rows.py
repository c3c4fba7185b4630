"""Read a Parquet file as `csv_rows` reads a CSV file: its header, then numbers and texts by column, within limits."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ....utils.extras import extra_problem, fault_of
from .base import BadClip
from .csv_rows import (
    LIMIT_BYTES,
    MOST_COLUMNS,
    MOST_NUMBERS,
    MOST_ROWS,
    CsvRows,
    Floats,
    Integers,
    Texts,
    no_number,
    refuse_header,
    refuse_long_texts,
    to_numbers,
)
from .parquet_pages import unpacked_bytes

MAGIC = b"PAR1"
_ROWS_AT_ONCE = 1 << 16
_REASONS_KEPT = 1000
_INDEX = "__index_level_"  # the beginning of the name that pandas gives to a column for its index


class ParquetFile:
    """A Parquet file in memory; its lines, in messages, are the numbers of its rows."""

    def __init__(self, name: str, data: bytes) -> None:
        """Read the header.

        Raises:
            UserError: pyarrow cannot be imported.
            BadClip: it is no Parquet file, or has too many rows or columns.
        """
        if (problem := extra_problem("pyarrow", "Reading a Parquet file")) is not None:
            raise problem
        from pyarrow import parquet

        self.name, self._data = name, data
        with self._refusing():
            # The first look allocates nothing for the values; the second reads texts as numbers of distinct ones.
            metadata = parquet.ParquetFile(io.BytesIO(data)).metadata
            if metadata.num_rows > MOST_ROWS or metadata.num_columns > MOST_COLUMNS:
                raise self._too_large()
            schema = metadata.schema.to_arrow_schema()
            self._texts = [field.name for field in schema if _is_text(field.type)]
            self._file = parquet.ParquetFile(io.BytesIO(data), read_dictionary=self._texts)
            self._types = {field.name: field.type for field in schema}
            self.header = ["" if field.name.startswith(_INDEX) else field.name.strip() for field in schema]
            self._names = [field.name for field in schema]
        refuse_header(name, self.header)

    def read(self, texts: Mapping[str, int], numbers: Sequence[int]) -> CsvRows:
        """Read the rows: the columns of `texts`, by a name of the caller's, and those of `numbers`.

        Raises:
            BadClip: a column holds other values than numbers or texts, or the file is damaged or too large.
        """
        metadata = self._file.metadata
        count = metadata.num_rows
        if count < 1:
            raise BadClip(self.name, 0, "has no rows")
        if count * max(1, len(numbers)) > MOST_NUMBERS:
            raise self._too_large()
        names = [self._names[column] for column in dict.fromkeys([*texts.values(), *numbers])]
        for name in names:
            if not _is_read(self._types[name]):
                raise BadClip(self.name, 0, f"{name[:40]!r} holds {self._types[name]}, not numbers or texts"[:200])
        with self._refusing():
            if unpacked_bytes(self._data, names) > LIMIT_BYTES:
                raise self._too_large()
        known: dict[str, dict[str, int]] = {name: {} for name in texts}
        codes: dict[str, list[Integers]] = {name: [] for name in texts}
        read, is_bad, reasons = np.empty((count, len(numbers))), np.zeros(count, np.bool_), dict[int, str]()
        first = 0
        for batch in self._batches(names):
            rows = slice(first, first + batch.num_rows)
            with self._refusing():  # a text may not be UTF-8
                for name, column in texts.items():
                    codes[name].append(_codes(batch.column(self._names[column]), known[name]))
                for index, column in enumerate(numbers):
                    read[rows, index], wrong = _numbers(batch.column(self._names[column]))
                    is_bad[[first + row for row in wrong]] = True
                    for row in list(wrong)[: max(0, _REASONS_KEPT - len(reasons))]:
                        reasons.setdefault(first + row, no_number(self.header[column], wrong[row]))
            first = rows.stop
        if first != count:
            raise BadClip(self.name, 0, f"has {first} rows, not the {count} of its header")
        refuse_long_texts(self.name, known)
        joined = {name: Texts(np.concatenate(codes[name]), list(known[name])) for name in texts}
        return CsvRows(np.arange(1, count + 1), joined, read, is_bad, reasons)

    def _batches(self, names: Sequence[str]) -> Iterator[Any]:
        batches = self._file.iter_batches(_ROWS_AT_ONCE, columns=list(names), use_threads=False)
        while True:
            with self._refusing():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Refuse a file for which pyarrow raises an error."""
        from pyarrow import ArrowException

        try:
            yield
        except BadClip:
            raise
        except (ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise BadClip(self.name, 0, f"is no readable Parquet file ({fault_of(error)})") from error

    def _too_large(self) -> BadClip:
        limit = f"{MOST_ROWS} rows, {MOST_COLUMNS} columns, {MOST_NUMBERS} numbers or {LIMIT_BYTES} unpacked bytes"
        return BadClip(self.name, 0, f"has more than {limit}: divide it into files")


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
    return any(test(kind) for test in tests)


def _is_read(kind: Any) -> bool:
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return _is_text(kind) or _is_number(kind)


def _codes(column: Any, known: dict[str, int]) -> Integers:
    """Return the number of each text's value among those of the column, adding those that are not known yet."""
    codes, values = _distinct(column)
    numbers = np.array([known.setdefault(text, len(known)) for text in map(_text, values)], np.int64)
    return numbers[codes]


def _numbers(column: Any) -> tuple[Floats, dict[int, str]]:
    """Return the numbers of a column, NaN where it is null, and the texts that are not numbers by their row."""
    if _is_number(column.type):
        from pyarrow import float64

        floats: Floats = column.cast(float64(), safe=False).to_numpy(zero_copy_only=False)
        return floats, {}
    codes, values = _distinct(column)
    texts = list(map(_text, values))
    known, wrong = to_numbers(texts)
    return known[codes], {int(row): texts[codes[row]] for row in np.flatnonzero(np.isin(codes, list(wrong)))}


def _distinct(column: Any) -> tuple[Integers, list[Any]]:
    """Return the number of each row's value, and the distinct values that rows have; null may be one of them."""
    from pyarrow import types

    encoded = column if types.is_dictionary(column.type) else column.dictionary_encode()
    size = len(encoded.dictionary)
    indices = encoded.indices.cast("int64").fill_null(size).to_numpy(zero_copy_only=False)
    used, codes = np.unique(indices, return_inverse=True)
    values = encoded.dictionary.take(used[used < size]).to_pylist()
    return codes, values if len(values) == len(used) else [*values, None]


def _text(value: object) -> str:
    """Return a value as the text that a CSV file would have; a whole number without a fraction."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if isinstance(value, float) and value != value else str(value)
