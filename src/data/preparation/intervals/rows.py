"""What the readers of interval tables share: the row that each returns, and the fields of a text file within limits."""

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ....utils.errors import UserError
from ....utils.files import read_whole
from ....utils.names import normal_form, squash
from ....utils.system_errors import reason

LIMIT_BYTES = 64 << 20
MOST_ROWS = 1 << 18  # in all tables together
LONGEST_TEXT = 200
_MOST_LINES, _LONGEST_LINE = 4 * MOST_ROWS, 1 << 16
_HEADER_ROWS = 200  # among which the names of the columns are looked for: BORIS writes facts above them
_DELIMITERS = "\t,;"
_LATEST_SECONDS = 1e7  # of a recording: four months

Fields = tuple[int, Sequence[str]]  # the line of a row, and its fields


@dataclass(frozen=True)
class TableRow:
    """One labelled interval, or event, as a table has it.

    Attributes:
        path, line: where it is written.
        names: what the recording may be called, the most likely name first.
        start, stop: in seconds or frames; the interval ends before `stop`.
        label: what happens; empty for a row that only says that the recording has no intervals, or no others.
        in_frames: whether start and stop are frames.
        is_point: an event without a duration.
        group: its tier in ELAN, its subject in BORIS: what `data.intervals.tiers` selects.
        subject: the person or animal; empty if unknown.
    """

    path: str
    line: int
    names: tuple[str, ...]
    start: float
    stop: float
    label: str
    in_frames: bool = False
    is_point: bool = False
    group: str = ""
    subject: str = ""

    @property
    def where(self) -> str:
        """Return file and line for a message."""
        return f"{self.path}, line {self.line}"


def read_text(path: Path) -> str:
    """Return the text of a table.

    Raises:
        UserError: it cannot be read, is too large, or is not text.
    """
    try:
        data = read_whole(path, LIMIT_BYTES, "a table of intervals")
    except OSError as error:
        raise UserError(f"Cannot read the table of intervals {path}: {reason(error)}.") from error
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"  # Excel writes the first
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            f"The table of intervals {path} is not text in UTF-8 ({error.reason} at byte {error.start}). Export it as "
            "CSV or tab-delimited text in UTF-8; spreadsheets (.xlsx, .ods) are not read."
        ) from error
    if "\0" in text:
        raise UserError(f"The table of intervals {path} is not a text file. Export it as CSV in UTF-8.")
    return text


def check_lines(path: Path, text: str) -> None:
    """Refuse a text of too many or too long lines before it is split into fields.

    Raises:
        UserError: it has such.
    """
    if text.count("\n") > _MOST_LINES:
        raise UserError(f"{path} has more than {_MOST_LINES} lines: divide it into several tables.")
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > _LONGEST_LINE:
            raise UserError(
                f"{path}, line {number}: the line has {len(line)} characters, more than {_LONGEST_LINE}. Export the "
                "table again, with a line for each interval."
            )


def find_header(text: str, is_header: Callable[[Mapping[str, int]], bool]) -> tuple[int, str] | None:
    """Return the line and the delimiter of the first row whose names of columns are accepted; None if there is none.

    Args:
        text: the content of the file.
        is_header: tells whether these names, each with its column, are those of the format.
    """
    lines = text.split("\n", _HEADER_ROWS + 1)[:_HEADER_ROWS]
    for number, line in enumerate(lines, start=1):
        for delimiter in _DELIMITERS:
            if delimiter not in line:
                continue
            try:
                (fields,) = csv.reader([line.strip("\r")], delimiter=delimiter)
            except (csv.Error, ValueError):
                continue
            if is_header(columns_of(fields)):
                return number, delimiter
    return None


def columns_of(fields: Sequence[str]) -> dict[str, int]:
    """Return the columns by their names in small letters and digits; of equal names the first."""
    columns: dict[str, int] = {}
    for number, field in enumerate(fields):
        columns.setdefault(squash(field), number)
    return columns


def rows_of(path: Path, text: str, delimiter: str, first_line: int = 1) -> Iterator[Fields]:
    """Yield the rows with a field that is not empty, from `first_line` on, each with its line.

    Raises:
        UserError: a row is not CSV, or there are too many.
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")[first_line - 1 :]]
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    count, line = 0, first_line
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                count += 1
                if count > MOST_ROWS:
                    raise UserError(f"{path} has more than {MOST_ROWS} rows: divide it into several tables.")
                yield line, [field.strip() for field in fields]
            line = first_line + reader.line_num
    except csv.Error as error:
        raise UserError(f"{path}, line {line}: this is not a row of a table ({error}). Correct its quotes.") from error


def field_of(path: Path, row: Fields, columns: Mapping[str, int], names: Sequence[str]) -> str:
    """Return the text of a row in the first of these columns that exists; empty if none does.

    Raises:
        UserError: the row has too few fields, or the text is too long.
    """
    line, fields = row
    column = next((columns[name] for name in names if name in columns), None)
    if column is None:
        return ""
    if column >= len(fields):
        raise UserError(f"{path}, line {line}: the row has {len(fields)} fields, fewer than the header. Complete it.")
    text = normal_form(fields[column])
    if len(text) > LONGEST_TEXT:
        raise UserError(f"{path}, line {line}: a field has {len(text)} characters, {text[:40]!r}... Shorten it.")
    return text


def seconds_of(path: Path, line: int, text: str, what: str) -> float:
    """Return a time in seconds: `12.5`, `0:00:12.500` or `00:12,5`.

    Raises:
        UserError: it is none.
    """
    parts = text.replace(",", ".").split(":")
    try:
        if not text.isascii() or "_" in text or len(parts) > 3:
            raise ValueError
        value = 0.0
        for part in parts:
            number = float(part)
            if len(parts) > 1 and not 0 <= number < (60 if value or part != parts[0] else 1e5):
                raise ValueError
            value = 60 * value + number
    except ValueError:
        raise UserError(
            f"{path}, line {line}: {what} is {text[:40]!r}, not a time in seconds or hh:mm:ss.ms. Correct it."
        ) from None
    return checked_time(path, line, value, what)


def checked_time(path: Path, line: int, value: float, what: str) -> float:
    """Return a time, or a number of a frame, if it is possible.

    Raises:
        UserError: it is not finite, negative, or later than any recording ends.
    """
    if math.isfinite(value) and 0 <= value <= _LATEST_SECONDS:
        return value
    raise UserError(f"{path}, line {line}: {what} is {time_text(value)}; it should be from 0 to {_LATEST_SECONDS:.0f}.")


def time_text(value: float) -> str:
    """Return a time, or a number of a frame, for a message: milliseconds are shown for months."""
    return f"{value:.10g}"


def span_text(start: float, stop: float) -> str:
    """Return the times, or numbers of frames, of an interval for a message."""
    return f"{time_text(start)} to {time_text(stop)}"


def stem_of(text: str) -> str:
    """Return the name of a recording from the path of a file, of any system: without folders and ending."""
    name = PurePosixPath(text.replace("\\", "/")).name
    return normal_form(name.rpartition(".")[0] or name)
