"""What the commands show: Rich on a terminal, plain lines elsewhere."""

import io
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Self

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichBar
from rich.table import Table
from rich.text import Text

from ..utils.progress import SILENT, Progress
from .columns import fitted, is_numeric

_SECONDS_BETWEEN_LINES = 10.0


@cache
def console() -> Console:
    """Return the console of results, on stdout."""
    return Console(highlight=False)


@cache
def messages() -> Console:
    """Return the console of what goes on meanwhile, on stderr: progress and log."""
    return Console(stderr=True, highlight=False)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table: drawn on a terminal, aligned plain text elsewhere.

    Columns of numbers align right, of texts that are numbers with a unit too.
    """
    numeric = [is_numeric([row[index] for row in rows]) for index in range(len(columns))]
    cells = [[str(cell) for cell in row] for row in rows]
    if console().is_terminal:
        _print_drawn(title, columns, cells, numeric)
    else:
        _print_plain(title, columns, cells, numeric)


def _print_drawn(title: str, columns: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> None:
    console().print(Text(title, style="italic"))  # a title of the table itself is broken at the table's width
    room = console().width - 1 - 3 * len(columns)  # a line and two spaces a column
    headings, rows = fitted(columns, cells, numeric, room)
    drawn = Table()
    for name, is_number in zip(headings, numeric, strict=True):
        drawn.add_column(Text(name), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*map(Text, row))
    console().print(drawn)


def _print_plain(title: str, columns: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> None:
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    print(title)
    for row in (columns, *cells):
        parts = [
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(row, widths, numeric, strict=True)
        ]
        print("  ".join(parts).rstrip())


def progress(quiet: bool = False) -> Progress:
    """Return what shows how far a long task is; it says nothing when `quiet`."""
    return SILENT if quiet else TerminalProgress()


class TerminalProgress(Progress):
    """Show one task at a time: a bar on a terminal, elsewhere a line every ten seconds and a last one."""

    def __init__(self) -> None:
        self._count: _Count | None = None
        self._bar: RichBar | None = None
        self._line_due = 0.0

    def task(self, description: str, total: int, unit: str = "clips") -> Self:
        """Begin a task of `total` units; one that is still open ends."""
        self.finish()
        self._count = _Count(description, total, unit)
        self._line_due = time.monotonic() + _SECONDS_BETWEEN_LINES
        if messages().is_terminal:
            self._bar = _bar()
            self._bar.add_task(description, total=total, figures="")
            self._bar.start()
        return self

    def advance(self, done: int = 1, note: str = "") -> None:
        """Count `done` more units; `note` is a short text of current figures."""
        if self._count is None:
            return
        self._count.done += done
        self._count.note = note or self._count.note
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], advance=done, figures=self._count.figures())
        elif time.monotonic() >= self._line_due and self._count.done < self._count.total:
            self._line_due = time.monotonic() + _SECONDS_BETWEEN_LINES
            self._print_line()

    def finish(self) -> None:
        """End the task: a bar goes away, elsewhere its last line stays."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        elif self._count is not None:
            self._print_line()
        self._count = None

    def _print_line(self) -> None:
        assert self._count is not None
        print(self._count.line(), file=sys.stderr, flush=True)


@dataclass
class _Count:
    """How far a task has come."""

    description: str
    total: int
    unit: str
    done: int = 0
    note: str = ""
    began: float = field(default_factory=time.monotonic)

    def figures(self) -> str:
        """Return the rate and the note."""
        return ", ".join(filter(None, [f"{self._rate():.1f} {self.unit}/s", self.note]))

    def line(self) -> str:
        """Return all there is to say in one line."""
        percent = 100 * self.done // max(self.total, 1)
        left = (self.total - self.done) / self._rate() if self.done else 0.0
        parts = [f"{self.description}: {self.done}/{self.total} {self.unit} ({percent}%)", self.figures()]
        return ", ".join(parts + ([f"{left:.0f} s left"] if left > 0 else []))

    def _rate(self) -> float:
        return self.done / max(time.monotonic() - self.began, 1e-6)


def _bar() -> RichBar:
    return RichBar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        console=messages(),
        transient=True,
        refresh_per_second=4,
    )


@contextmanager
def logging_to_terminal(quiet: bool = False) -> Iterator[None]:
    """Show what the package logs on stderr while the block runs; only warnings and worse when `quiet`."""
    logger = logging.getLogger(__package__.partition(".")[0])
    handler = _log_handler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    handler.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _log_handler() -> logging.Handler:
    """Return a handler that shows plain text for information and says `warning:` where it is one."""
    handler = (
        RichHandler(
            console=messages(), highlighter=NullHighlighter(), show_path=False, show_time=False, show_level=False
        )
        if messages().is_terminal
        else logging.StreamHandler(sys.stderr)
    )
    handler.setFormatter(_MessageFormatter())
    return handler


class _MessageFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno <= logging.INFO else f"{record.levelname.lower()}: {text}"


def survive_any_encoding() -> None:
    """Let a character that the terminal's encoding lacks come out as `?` rather than end the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
