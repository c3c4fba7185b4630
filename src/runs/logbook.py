"""The logbook of a run: a row an epoch, kept as JSON lines, as CSV and as TensorBoard scalars."""

import csv
import io
import json
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ..utils.errors import UserError
from ..utils.files import failure, make_folder, read_whole, unwritable, write_text
from .append_file import append
from .tensorboard_scalars import TensorboardScalars

_log = logging.getLogger(__name__)

Row = dict[str, float | int | str]

_LIMIT_BYTES = 64 << 20


class Logbook:
    """Keep a row an epoch in a run's folder: in `metrics.jsonl`, `metrics.csv` and `tensorboard/`.

    The JSON lines are the record. Opening the logbook of an interrupted run drops a last line torn by the
    interruption and makes the CSV agree with the rest. A number that is not finite is written as JSON's null
    and as an empty CSV cell, and read back as NaN.

    Once it is open, a file that cannot be written does not end the run: the rows are kept in memory, one warning says
    so, and each later row tries to bring the files up to date. What is on the disk meanwhile is whole rows.
    """

    def __init__(self, folder: Path, tensorboard: bool = True) -> None:
        """Open or begin the logbook in `folder`.

        Args:
            folder: the run's folder, made where it is missing.
            tensorboard: whether to write TensorBoard scalars too; without the library one line says so.

        Raises:
            UserError: the folder cannot be written, or what it holds is not a logbook.
        """
        make_folder(folder)
        self._jsonl, self._csv = folder / "metrics.jsonl", folder / "metrics.csv"
        self._scalars = TensorboardScalars(folder / "tensorboard", switched_on=tensorboard)
        self._rows = read_rows(self._jsonl)
        self._behind = False  # whether a row is missing on the disk
        self.settle()

    def write(self, row: Mapping[str, float | int | str]) -> None:
        """Append the row of one epoch; it is on disk when this returns, or else kept and warned of.

        The first row fixes the columns.

        Raises:
            ValueError: the row has no whole number `epoch`.
            UserError: its columns differ from those of the first row.
        """
        if not isinstance(row.get("epoch"), int):
            raise ValueError("A row of the logbook needs a whole number `epoch`.")
        columns = list(self._rows[0] if self._rows else row)
        if set(columns) != set(row):
            differing = ", ".join(sorted(set(columns) ^ set(row)))
            raise UserError(
                f"{self._csv} has other columns than the new row (differing: {differing}). It was probably "
                "begun by another version of this program: start a new run instead of resuming this one."
            )
        ordered = {column: math.nan if _is_unbounded(row[column]) else row[column] for column in columns}
        line, cells = _json_line(ordered), _csv_text([ordered], header=not self._rows)
        self._rows.append(ordered)
        if self._behind:
            with suppress(UserError):  # told when it began
                self.settle()
        else:
            self._append({self._jsonl: line, self._csv: cells})
        self._scalars.write(row)

    def rows(self) -> list[Row]:
        """Return all rows, on the disk or not yet, in the order in which they were written."""
        return [dict(row) for row in self._rows]

    def keep_until(self, epoch: int) -> None:
        """Drop the rows of epochs after `epoch`, so that a resumed run can write them again.

        Raises:
            UserError: a file cannot be written.
        """
        self._rows = [row for row in self._rows if int(row["epoch"]) <= epoch]
        self._scalars.begin_file()
        self.settle()

    def settle(self) -> None:
        """Make both files hold exactly the rows, touching only what differs; a run ends with this.

        Raises:
            UserError: a file still cannot be written.
        """
        _settle(self._jsonl, "".join(map(_json_line, self._rows)))
        _settle(self._csv, _csv_text(self._rows, header=True) if self._rows else "")
        if self._behind:
            self._behind = False
            _log.info(f"{self._jsonl} and {self._csv.name} are complete again.")

    def _append(self, additions: Mapping[Path, str]) -> None:
        for path, text in additions.items():
            try:
                append(path, text.encode())
            except OSError as error:
                self._behind = True
                _log.warning(
                    f"{failure(path, error)} Training goes on: the rows are kept, and written as soon as they can be, "
                    "which is tried after each epoch."
                )
                return


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a `metrics.jsonl`; none where the file is missing. A torn last line is left out.

    Raises:
        UserError: the file cannot be read, is too large, or another line is not a row like the first.
    """
    lines = _read_lines(path)
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        row = _parse(line)
        if row is None and number == len(lines):
            _log.info(f"{path}: the last line was cut short and is left out.")
        elif row is None or (rows and row.keys() != rows[0].keys()):
            raise UserError(f"{path}, line {number}, is not a row of a logbook. Mend or remove that line.")
        else:
            rows.append(row)
    return rows


def _read_lines(path: Path) -> list[bytes]:
    try:
        lines = read_whole(path, _LIMIT_BYTES, "a logbook").split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from error
    return lines if lines[-1] else lines[:-1]


def _parse(line: bytes) -> Row | None:
    """Return the row that a line holds, or None where it holds none."""
    try:
        values = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or not isinstance(values.get("epoch"), int):
        return None
    if not all(value is None or isinstance(value, float | int | str) for value in values.values()):
        return None
    return {name: math.nan if value is None else value for name, value in values.items()}


def _settle(path: Path, text: str) -> None:
    """Make a file hold `text` unless it does; a missing file counts as an empty one."""
    try:
        present = read_whole(path, 2 * _LIMIT_BYTES, "a logbook") if path.exists() else b""
    except OSError as error:
        raise unwritable(path, error) from error
    if present != text.encode():
        write_text(path, text)


def _json_line(row: Row) -> str:
    values = {name: None if _is_unbounded(value) else value for name, value in row.items()}
    return json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n"


def _csv_text(rows: Sequence[Row], header: bool) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(rows[0])
    for row in rows:
        writer.writerow(["" if _is_unbounded(value) else value for value in row.values()])
    return text.getvalue()


def _is_unbounded(value: float | int | str) -> bool:
    """Tell whether a value is a number that JSON has no word for."""
    return isinstance(value, float) and not math.isfinite(value)
