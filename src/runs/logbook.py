"""The logbook of a run: one row per epoch, as JSON lines, CSV and TensorBoard scalars."""

import csv
import io
import json
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ..utils.errors import UserError
from ..utils.files import failure, make_folder, read_whole, write_error, write_text
from ..utils.system_errors import reason
from .append_file import append
from .tensorboard_scalars import TensorboardScalars

_log = logging.getLogger(__name__)

Row = dict[str, float | int | str]

_LIMIT_BYTES = 64 << 20


class Logbook:
    """Write one row per epoch into a run's folder: to `metrics.jsonl`, `metrics.csv` and `tensorboard/`.

    The JSON lines are authoritative. Opening the logbook of an interrupted run drops an incomplete last line and
    rewrites the CSV from the rest. A non-finite number is null in JSON and an empty CSV cell, and is read as NaN.

    After opening, a failed write does not end the run: the rows stay in memory, one warning is logged, and each later
    row retries. The files always hold complete rows.
    """

    def __init__(self, folder: Path, tensorboard: bool = True) -> None:
        """Open or create the logbook in `folder`.

        Args:
            folder: the run's folder, created if missing.
            tensorboard: whether to write TensorBoard scalars; if the library is missing, one message says so.

        Raises:
            UserError: the folder is not writable, or a file in it is not a logbook.
        """
        make_folder(folder)
        self._jsonl, self._csv = folder / "metrics.jsonl", folder / "metrics.csv"
        self._scalars = TensorboardScalars(folder / "tensorboard", switched_on=tensorboard)
        self._rows = read_rows(self._jsonl)
        self._incomplete = False  # whether a row is missing in the files
        self.flush()

    def write(self, row: Mapping[str, float | int | str]) -> None:
        """Append the row of one epoch; it is on disk on return, or else kept in memory with a warning.

        The first row defines the columns.

        Raises:
            ValueError: the row has no integer `epoch`.
            UserError: its columns differ from those of the first row.
        """
        if not isinstance(row.get("epoch"), int):
            raise ValueError("A row of the logbook needs an integer `epoch`.")
        columns = list(self._rows[0] if self._rows else row)
        if set(columns) != set(row):
            differing = ", ".join(sorted(set(columns) ^ set(row)))
            raise UserError(
                f"{self._csv} has other columns than the new row (differing: {differing}). It was probably "
                "written by another version of LAST: start a new run instead of resuming this one."
            )
        ordered = {column: math.nan if _is_not_finite(row[column]) else row[column] for column in columns}
        line, cells = _json_line(ordered), _csv_text([ordered], header=not self._rows)
        self._rows.append(ordered)
        if self._incomplete:
            with suppress(UserError):  # the first failure was logged
                self.flush()
        else:
            self._append({self._jsonl: line, self._csv: cells})
        self._scalars.write(row)

    def rows(self) -> list[Row]:
        """Return all rows in the order of writing, including those that are not on disk yet."""
        return [dict(row) for row in self._rows]

    def drop_rows_after(self, epoch: int) -> None:
        """Remove the rows after `epoch`, so that a resumed run can write them again.

        Raises:
            UserError: a file cannot be written.
        """
        self._rows = [row for row in self._rows if int(row["epoch"]) <= epoch]
        self._scalars.begin_file()
        self.flush()

    def flush(self) -> None:
        """Write all rows to both files, where they differ. A run calls it at its end.

        Raises:
            UserError: a file still cannot be written.
        """
        _write_if_different(self._jsonl, "".join(map(_json_line, self._rows)))
        _write_if_different(self._csv, _csv_text(self._rows, header=True) if self._rows else "")
        if self._incomplete:
            self._incomplete = False
            _log.info(f"{self._jsonl} and {self._csv.name} are complete again.")

    def _append(self, additions: Mapping[Path, str]) -> None:
        for path, text in additions.items():
            try:
                append(path, text.encode())
            except OSError as error:
                self._incomplete = True
                _log.warning(
                    f"{failure(path, error)} Training continues: the rows are kept in memory, and each epoch "
                    "tries to write them."
                )
                return


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a `metrics.jsonl`; none if the file is missing. An incomplete last line is skipped.

    Raises:
        UserError: the file cannot be read, is too large, or another line is not a row like the first.
    """
    lines = _read_lines(path)
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        row = _parse(line)
        if row is None and number == len(lines):
            _log.info(f"{path}: the last line is incomplete and is skipped.")
        elif row is None or (rows and row.keys() != rows[0].keys()):
            raise UserError(f"{path}, line {number}, is not a row of a logbook. Correct or remove that line.")
        else:
            rows.append(row)
    return rows


def _read_lines(path: Path) -> list[bytes]:
    try:
        lines = read_whole(path, _LIMIT_BYTES, "a logbook").split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"Cannot read {path}: {reason(error)}.") from error
    return lines if lines[-1] else lines[:-1]


def _parse(line: bytes) -> Row | None:
    """Return the row in a line, or None if it is not a row."""
    try:
        values = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or not isinstance(values.get("epoch"), int):
        return None
    if not all(value is None or isinstance(value, float | int | str) for value in values.values()):
        return None
    return {name: math.nan if value is None else value for name, value in values.items()}


def _write_if_different(path: Path, text: str) -> None:
    """Write `text` to a file unless it already holds it; a missing file counts as empty."""
    try:
        present = read_whole(path, 2 * _LIMIT_BYTES, "a logbook") if path.exists() else b""
    except OSError as error:
        raise write_error(path, error) from error
    if present != text.encode():
        write_text(path, text)


def _json_line(row: Row) -> str:
    values = {name: None if _is_not_finite(value) else value for name, value in row.items()}
    return json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n"


def _csv_text(rows: Sequence[Row], header: bool) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(rows[0])
    for row in rows:
        writer.writerow(["" if _is_not_finite(value) else value for value in row.values()])
    return text.getvalue()


def _is_not_finite(value: float | int | str) -> bool:
    """Return whether a value is NaN or infinite, which JSON cannot represent."""
    return isinstance(value, float) and not math.isfinite(value)
