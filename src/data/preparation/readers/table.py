"""Tables: one CSV or Parquet file, or a folder of them, with a row per joint (long form) or per frame (wide form).

Long: clip, frame, body, joint, x, y, z, confidence, time, label, ...; wide: `left_wrist_x` and so on for every joint.
`formats.table_columns` has the names that are found by themselves; others are named under `data.columns`. Without a
column for the clip a file is one clip. Without a row a joint is missing, or a body absent. In a folder of several
files clips are called `file/clip`.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import ClassVar

import numpy as np

from ....utils.errors import UserError
from ....utils.names import normal_form, suggestion
from ....utils.numbers import counted
from ...store.clip import Clip
from ..formats.base import BadClip, Entry, Source
from ..formats.clip_builder import ClipMetadata, build_clip
from ..formats.csv_rows import LIMIT_BYTES, CsvFile, CsvRows, Integers
from ..formats.known_numbers import number_of_zero
from ..formats.listing import changed_ns, files_below, is_junk, size_of, tally
from ..formats.parquet_rows import MAGIC, ParquetFile
from ..formats.recordings import read_bytes, read_start
from ..formats.table_clips import Table, clip_arrays, joint_numbers, one_value, open_table, table_of
from ..formats.table_columns import AXES, METADATA, find_columns

_logger = logging.getLogger(__name__)
ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
_NUMBER = re.compile(r"\D*(\d{1,9})\D*", re.ASCII)
_SHOWN = 5
_START_BYTES = 1 << 20  # of a file, which tell its joints
_STARTS = 3  # files


class Reader:
    """Reader of the clips of tables."""

    names_classes: ClassVar[bool] = True

    def __init__(self, source: Source) -> None:
        self._source = source
        self._labels = {normal_form(name): label for label, name in enumerate(source.classes)}

    def entries(self, raw: Path) -> Sequence[Entry]:
        """List the clips of the table `raw`, or of the tables in the folder `raw`.

        Raises:
            UserError: there is no table, one cannot be used, or its labels are not the classes of the data set.
        """
        raw = raw.absolute()
        files = [path for path in _files(raw) if not self._source.is_table(path)]
        if not files:
            raise UserError(f"There is no table of recordings in {raw}, only one of their intervals.")
        found: dict[str, Entry] = {}
        contents = []
        for path in files:
            before = f"{_stem(path.relative_to(raw))}/" if len(files) > 1 else ""
            content = self._content(path)
            contents.append(content)
            size = size_of(path) / len(content.table.rows.lines)
            for number, (own, rows) in enumerate(zip(content.names, content.parts, strict=True)):
                name = before.removesuffix("/") if before and content.is_one else f"{before}{own}"
                if name in found:
                    raise UserError(f"{path} has a clip {name!r}, and so has {found[name].path}: rename one of them.")
                found[name] = Entry(name, path, str(number), max(1, int(size * len(rows))))
        self._check_labels(raw, contents)
        zeros = {ours: _number_of_zero(ours, contents) for ours in METADATA}
        for ours, zero in zeros.items():
            _check_numbers(raw, ours, contents, zero)
        _log_columns(raw, contents)
        # What is known of all files goes along with a clip, which may be read in another process.
        more = "".join(f" {ours}={zero}" for ours, zero in zeros.items() if zero)
        ordered = sorted(found.values(), key=lambda entry: entry.name)
        return [replace(entry, member=entry.member + more) for entry in ordered] if more else ordered

    def find_classes(self, raw: Path) -> list[str]:
        """Return the distinct labels."""
        return sorted({label for path in _files(raw.absolute()) for label in self._content(path).labels})

    def layout_problem(self, raw: Path) -> str:
        """Return why the first rows of the tables have other joints than the layout; empty if those of one fit.

        Raises:
            UserError: there is no table.
        """
        problem, layout, given = "", self._source.layout, dict(self._source.columns)
        for path in _files(raw.absolute())[:_STARTS]:
            name, changed = str(path), changed_ns(path)
            try:
                columns = find_columns(name, _first_rows(path, changed).header, layout, given)
                if not columns.is_wide:
                    joint_numbers(name, _first_rows(path, changed, columns.texts["joint"]).values, layout)
            except BadClip as error:
                problem = str(error)
            else:
                return ""
        return problem

    def metadata(self, entry: Entry) -> ClipMetadata:
        """Return the label and the metadata of a clip from its first row."""
        content = self._content(entry.path)
        part, zeros = _part_of(entry)
        return self._metadata(entry.name, content, content.parts[part][:1], zeros)

    def read(self, entry: Entry) -> Clip:
        """Read and centre one clip.

        Raises:
            BadClip: one of its rows cannot be used.
            DroppedClip: no body is present in any frame.
        """
        content = self._content(entry.path)
        part, zeros = _part_of(entry)
        table, rows = content.table, content.parts[part]
        metadata = self._metadata(entry.name, content, rows, zeros)
        arrays = clip_arrays(entry.name, table, rows, self._source)
        return build_clip(
            entry.name, metadata, arrays.joints, self._source, confidence=arrays.confidence, timing=arrays.timing
        )

    def _content(self, path: Path) -> "_Content":
        return _load(path, changed_ns(path), self._source)

    def _metadata(self, name: str, content: "_Content", rows: Integers, zeros: Mapping[str, int]) -> ClipMetadata:
        labels = content.table, rows, "label"
        label = self._labels[one_value(name, *labels)] if self._source.has_labels else 0
        values = {ours: one_value(name, content.table, rows, ours) for ours in METADATA}
        numbers = {
            ours: (content.numbers[ours][text] or zeros.get(ours, 0)) if text in content.numbers[ours] else 0
            for ours, text in values.items()
        }
        return ClipMetadata(label, **numbers)

    def _check_labels(self, raw: Path, contents: Sequence["_Content"]) -> None:
        """Refuse labels that are not classes of the data set."""
        if not self._source.has_labels:
            return
        labels = {label: content for content in contents for label in content.labels}
        unknown = [label for label in labels if label not in self._labels]
        if not unknown:
            return
        listed = [*self._labels]
        shown = ", ".join(f"{label!r}{suggestion(label, listed)}" for label in sorted(unknown)[:_SHOWN])
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise UserError(
            f"The labels in {labels[unknown[0]].table.name} are not the classes of the data set: {shown}{more}. List "
            f"them under data.classes ({', '.join(listed[:_SHOWN])}{', ...' if len(listed) > _SHOWN else ''}), or map "
            f"them to classes, or to null, under data.class_map. The tables are in {raw}."
        )


@dataclass(frozen=True)
class _Content:
    """Content of a file.

    Attributes:
        table: its rows.
        names: the names of the clips.
        parts: the rows of each.
        is_one: it has no column for the clip.
        labels: the distinct labels.
        numbers: the number of each value of a column of metadata.
    """

    table: Table
    names: tuple[str, ...]
    parts: tuple[Integers, ...]
    is_one: bool
    labels: frozenset[str]
    numbers: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class _FirstRows:
    """The names of the columns of a file, and the distinct texts of one column in its first rows."""

    header: tuple[str, ...]
    values: tuple[str, ...] = ()


@lru_cache(maxsize=64)
def _first_rows(path: Path, changed_ns: int, column: int = -1) -> _FirstRows:  # noqa: ARG001
    """Read the first rows of a file, whatever its layout; a Parquet file is read whole, but this column only.

    Raises:
        BadClip: it is no table, or has no rows.
    """
    data = read_start(_entry(path), _START_BYTES)
    if data.startswith(MAGIC):
        data = read_bytes(_entry(path), LIMIT_BYTES)
    elif len(data) >= _START_BYTES - 3:  # without what may be a byte order mark
        data = data[: data.rfind(b"\n") + 1] or data
    file = open_table(str(path), data)
    rows = file.read({"values": column} if column >= 0 else {}, [])
    return _FirstRows(tuple(file.header), tuple(rows.texts["values"].values) if column >= 0 else ())


class _File:
    """A file whose rows are read once, whatever the layout and the classes, if these need the same columns.

    Attributes:
        header: the names of its columns.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unread: CsvFile | ParquetFile | None = self._opened()
        self.header = tuple(self._unread.header)
        self._columns: tuple[Mapping[str, int], Sequence[int]] = ({}, ())
        self._rows: CsvRows | None = None

    def rows(self, texts: Mapping[str, int], numbers: Sequence[int]) -> CsvRows:
        """Return the rows; see `CsvFile.read`."""
        if self._rows is None or self._columns != (texts, numbers):
            file, self._unread = self._unread or self._opened(), None
            self._rows, self._columns = file.read(texts, numbers), (texts, numbers)
        return self._rows

    def _opened(self) -> CsvFile | ParquetFile:
        return open_table(str(self._path), read_bytes(_entry(self._path), LIMIT_BYTES))


@lru_cache(maxsize=2)
def _file(path: Path, changed_ns: int) -> _File:  # noqa: ARG001
    return _File(path)


def _entry(path: Path) -> Entry:
    return Entry(str(path), path, "", size_of(path))


@lru_cache(maxsize=2)
def _load(path: Path, changed_ns: int, source: Source) -> _Content:
    """Load a file, once per process if clips are read in the order of the files."""
    needed = ("label",) if source.has_labels else ()
    try:
        file = _file(path, changed_ns)
        table = table_of(str(path), file.header, file.rows, source.layout, dict(source.columns), needed)
    except BadClip as error:
        raise UserError(f"{error}.") from error
    column = table.text("clip")
    names, parts = [_stem(PurePath(path.name))], [np.arange(len(table.rows.lines))]
    if column is not None:
        order = np.argsort(column.codes, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(column.codes[order])) + 1)
        names = [normal_form(column.values[column.codes[rows[0]]].strip()) for rows in parts]
        if "" in names:
            raise UserError(f"{path}, line {table.line(int(parts[names.index('')][0]))}: the clip has no name.")
        if len(set(names)) < len(names):
            raise UserError(f"{path} has names of clips that differ only in spaces, or in the form of an accent.")
    label = table.text("label")
    labels = frozenset(normal_form(text.strip()) for text in label.values) if label else frozenset()
    numbers = {ours: _numbers_of(_values(table, ours)) or {} for ours in METADATA}
    return _Content(table, tuple(names), tuple(parts), column is None, labels, numbers)


def _values(table: Table, ours: str) -> list[str]:
    column = table.text(ours)
    return sorted({normal_form(text.strip()) for text in column.values} - {""}) if column else []


def _numbers_of(values: Sequence[str]) -> dict[str, int]:
    """Return a number for each value: the digits in it or, if there are none or they are not unique, 1, 2, ..."""
    matches = [_NUMBER.fullmatch(text) for text in values]
    digits = [int(match[1]) for match in matches if match]
    if len(set(digits)) == len(values):
        return dict(zip(values, digits, strict=True))
    return {text: number for number, text in enumerate(values, start=1)}


def _number_of_zero(ours: str, contents: Sequence[_Content]) -> int:
    return number_of_zero(number for content in contents for number in content.numbers[ours].values())


def _part_of(entry: Entry) -> tuple[int, dict[str, int]]:
    """Return which clip of its file an entry is, and the number of 0 in the columns of metadata."""
    part, *more = entry.member.split(" ")
    return int(part), {ours: int(number) for ours, _, number in (each.partition("=") for each in more)}


def _check_numbers(raw: Path, ours: str, contents: Sequence[_Content], zero: int) -> None:
    """Tell which numbers people, cameras and so on have got, and refuse those that differ between files."""
    known: dict[str, int] = {}
    owners: dict[int, str] = {}
    for content in contents:
        for text, number in content.numbers[ours].items():
            if known.setdefault(text, number) != number or owners.setdefault(number, text) != text:
                raise UserError(
                    f"The column {ours} of the tables in {raw} names {text!r} without a number of its own: use "
                    "numbers, or put all clips into one file."
                )
    known = {text: number or zero for text, number in known.items()}
    if any(text != str(number) for text, number in known.items()):
        shown = ", ".join(f"{number} {text}" for text, number in sorted(known.items(), key=lambda each: each[1])[:20])
        _logger.info("The numbers of the column %s: %s%s.", ours, shown, ", ..." if len(known) > 20 else "")


def _log_columns(raw: Path, contents: Sequence[_Content]) -> None:
    """Tell which columns were found, and warn of those that are not used."""
    header, columns = contents[0].table.header, contents[0].table.columns
    unused = sorted({text for content in contents for text in content.table.columns.unused if text})
    form = "a row per frame" if columns.is_wide else "a row per joint"
    found = {**columns.texts, "frame": columns.frame, "time": columns.time, "fps": columns.fps}
    found |= dict(zip(AXES, columns.coordinates[0].tolist(), strict=False))
    found |= {"confidence": int(columns.confidence[0])} if columns.confidence is not None else {}
    told = ", ".join(f"{ours}: {header[column][:40]}" for ours, column in found.items() if column >= 0)
    _logger.info("Tables in %s: %s. Columns: %s%s.", raw, form, told, ", ..." if columns.is_wide else "")
    if unused:
        _logger.warning(
            "Not used of the tables in %s: %s.", raw, f"{counted(len(unused), 'column')}, {unused[0][:40]!r}"
        )


def _files(raw: Path) -> list[Path]:
    """Return the tables in `raw`, or `raw` itself if it is a file."""
    if raw.is_file():
        return [raw]
    files = list(files_below(raw))
    tables = [path for path in files if path.name.lower().endswith(ENDINGS) and not is_junk(PurePath(path.name))]
    others = [str(path.relative_to(raw)) for path in files if path not in set(tables)]
    if not tables:
        seen = f" It holds {tally(others)}." if others else ""
        raise UserError(
            f"There is no table in {raw}: expected files such as clips.csv, clips.csv.gz or clips.parquet.{seen}"
        )
    if others:
        _logger.warning("Not read in %s, where tables are .csv or .parquet files: %s.", raw, tally(others))
    return tables


def _stem(path: PurePath) -> str:
    """Return the name of a table's file without its ending."""
    text = path.as_posix()
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if text.lower().endswith(ending):
            return normal_form(text[: -len(ending)])
    return normal_form(text)
