"""The logbook of a run: a row an epoch, kept as JSON lines, as CSV and as TensorBoard scalars."""

import csv
import io
import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..utils.errors import UserError, missing_extra
from ..utils.files import make_folder, unwritable, write_text

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_logger = logging.getLogger(__name__)

Row = dict[str, float | int | str]

_LIMIT_BYTES = 64 << 20
_PARTS = ("train", "test", "val")


class Logbook:
    """Keep a row an epoch in a run's folder: in `metrics.jsonl`, `metrics.csv` and `tensorboard/`.

    The JSON lines are the record. Opening the logbook of an interrupted run drops a last line torn by the
    interruption and makes the CSV agree with the rest. A number that is not finite is written as JSON's null
    and as an empty CSV cell, and read back as NaN.
    """

    def __init__(self, folder: Path, tensorboard: bool = True) -> None:
        """Open or begin the logbook in `folder`.

        Args:
            folder: the run's folder, made where it is missing.
            tensorboard: whether to write TensorBoard scalars too; without the library one line says so.

        Raises:
            UserError: the folder cannot be written, or what it holds is not a logbook.
        """
        self._folder = make_folder(folder)
        self._jsonl, self._csv = folder / "metrics.jsonl", folder / "metrics.csv"
        self._wants_tensorboard = tensorboard
        self._writer: SummaryWriter | None = None
        rows = self.rows()
        self._columns = list(rows[0]) if rows else []
        self._store(rows)

    def write(self, row: Mapping[str, float | int | str]) -> None:
        """Append the row of one epoch; it is on disk when this returns.

        The first row fixes the columns. TensorBoard gets `train_loss` as `loss/train` and so on, and other
        numbers as `run/<name>`, at step `epoch`.

        Raises:
            ValueError: the row has no whole number `epoch`.
            UserError: its columns differ from those of the first row, or the disk is full.
        """
        if not isinstance(row.get("epoch"), int):
            raise ValueError("A row of the logbook needs a whole number `epoch`.")
        first = not self._columns
        columns = self._columns or list(row)
        if set(columns) != set(row):
            differing = ", ".join(sorted(set(columns) ^ set(row)))
            raise UserError(
                f"{self._csv} has other columns than the new row (differing: {differing}). It was probably "
                "begun by another version of this program: start a new run instead of resuming this one."
            )
        ordered = {column: row[column] for column in columns}
        _append(self._jsonl, _json_line(ordered))
        _append(self._csv, _csv_text([ordered], header=first))
        self._columns = columns
        self._write_scalars(ordered)

    def rows(self) -> list[Row]:
        """Return all rows, in the order in which they were written."""
        return read_rows(self._jsonl)

    def keep_until(self, epoch: int) -> None:
        """Drop the rows of epochs after `epoch`, so that a resumed run can write them anew."""
        self.close()
        rows = [row for row in self.rows() if int(row["epoch"]) <= epoch]
        self._store(rows)
        if not rows:
            self._columns = []

    def close(self) -> None:
        """Finish the TensorBoard file; the other files need no closing, and a later row begins a new one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _store(self, rows: Sequence[Row]) -> None:
        """Make both files hold exactly `rows`, touching only what differs."""
        _settle(self._jsonl, "".join(map(_json_line, rows)))
        _settle(self._csv, _csv_text(rows, header=True) if rows else "")

    def _write_scalars(self, row: Row) -> None:
        step = int(row["epoch"])
        try:
            writer = self._writer or self._open_tensorboard(step)
            if writer is None:
                return
            for name, value in row.items():
                if name != "epoch" and not isinstance(value, str):
                    writer.add_scalar(_tag(name), value, step)
            writer.flush()
        except OSError as error:
            raise unwritable(self._folder / "tensorboard", error) from error

    def _open_tensorboard(self, first_step: int) -> "SummaryWriter | None":
        """Open the event file, late because the import is slow; older files' later steps are hidden."""
        if not self._wants_tensorboard:
            return None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            _logger.info("%s", missing_extra("tensorboard", "tensorboard", "Writing TensorBoard scalars"))
            self._wants_tensorboard = False
            return None
        self._writer = SummaryWriter(str(self._folder / "tensorboard"), purge_step=first_step)
        return self._writer


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
            _logger.info("%s: the last line was cut short and is left out.", path)
        elif row is None or (rows and row.keys() != rows[0].keys()):
            raise UserError(f"{path}, line {number}, is not a row of a logbook. Mend or remove that line.")
        else:
            rows.append(row)
    return rows


def _read_lines(path: Path) -> list[bytes]:
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise UserError(f"{path} is larger than {_LIMIT_BYTES} bytes, too large for a logbook.")
        lines = path.read_bytes().split(b"\n")
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
        present = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise unwritable(path, error) from error
    if present != text.encode():
        write_text(path, text)


def _append(path: Path, text: str) -> None:
    try:
        with path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(path, error) from error


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


def _tag(name: str) -> str:
    """Return the TensorBoard tag of a column: `loss/train` for `train_loss`, `run/seconds` for `seconds`."""
    part, _, figure = name.partition("_")
    return f"{figure}/{part}" if part in _PARTS else f"run/{name}"
