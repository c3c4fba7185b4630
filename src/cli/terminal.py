"""Output of the commands by Rich: drawn on a terminal, plain text of any width elsewhere."""

import logging
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Self

from rich.console import Console
from rich.progress import Progress as RichBar
from rich.table import Table
from rich.text import Text

from ..utils.foreign_text import harmless, printable
from ..utils.numbers import duration
from ..utils.progress import SILENT, Progress
from .columns import blocks, fitted, is_numeric
from .progress_line import Figures, FittedLine

_SECONDS_BETWEEN_LINES = 10.0
_LINES = 20  # the interval grows to this part of the elapsed time
_FAST = 100  # units per second from which decimals are not shown
_UNBOUNDED = 1_000_000  # columns of a pipe or a file, where nothing is wrapped or cut


@cache
def console() -> Console:
    """Return the console of results, on stdout."""
    return _console(stderr=False)


@cache
def messages() -> Console:
    """Return the console of progress and log, on stderr."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal:
        made.width = _UNBOUNDED
    return made


_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)
_IN_A_STEP: ContextVar[bool] = ContextVar("in_a_step", default=False)


@contextmanager
def within_a_step() -> Iterator[None]:
    """Print no proposal in the block, which is a step of a command, and with `--quiet` no result of it either."""
    token = _IN_A_STEP.set(True)
    try:
        yield
    finally:
        _IN_A_STEP.reset(token)


def say(*texts: object, sep: str = " ", flush: bool = False, always: bool = False) -> None:
    """Print a result to stdout; control characters in file names and foreign texts are escaped.

    Args:
        texts: what to print.
        sep: what is printed between them.
        flush: whether to print at once.
        always: whether it is a warning, to be printed also in a step of a quiet command.
    """
    if _hides_results() and not always:
        return
    print(*(harmless(str(each)) for each in texts), sep=sep, flush=flush)


def remark(*texts: object, sep: str = " ", flush: bool = False) -> None:
    """Print what is not a result, such as the step that begins; nothing with `--quiet`."""
    if not _QUIET.get():
        say(*texts, sep=sep, flush=flush)


def propose(*texts: object) -> None:
    """Print what to do next; nothing with `--quiet`, or in a step of a command that goes on by itself."""
    if not _IN_A_STEP.get():
        remark(*texts)


def _hides_results() -> bool:
    return _QUIET.get() and _IN_A_STEP.get()


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table: with lines on a terminal, as aligned text elsewhere, and as blocks if the terminal is too narrow.

    Columns of numbers, also with units, are aligned right.
    """
    if _hides_results():
        return
    numeric = [is_numeric([row[index] for row in rows]) for index in range(len(columns))]
    columns = [printable(name) for name in columns]
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    room = console().width - 1 - 3 * len(columns)  # a line and two spaces per column
    fitting = fitted(columns, cells, numeric, room)
    _print(Text(printable(title), style="italic"))  # Rich would wrap a table's own title at the table's width
    if fitting is None:
        _print(Text("\n\n".join(blocks(columns, cells, console().width))))
        return
    headings, shown = fitting
    drawn = Table() if console().is_terminal else Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name, is_number in zip(headings, numeric, strict=True):
        drawn.add_column(Text(name), justify="right" if is_number else "left", overflow="fold")
    for row in shown:
        drawn.add_row(*map(Text, row))
    _print(drawn)


def _print(shown: Text | Table) -> None:
    """Print to stdout; elsewhere than on a terminal without the spaces that Rich writes at the ends of lines."""
    if console().is_terminal:
        console().print(shown)
        return
    with console().capture() as captured:
        console().print(shown)
    lines = captured.get().removesuffix("\n").split("\n")
    print("\n".join(line.rstrip() for line in lines))


def progress(quiet: bool = False) -> Progress:
    """Return a progress display; a silent one with `quiet`."""
    return SILENT if quiet else TerminalProgress()


class TerminalProgress(Progress):
    """Show one task at a time: a bar on a terminal, elsewhere a line at intervals and a last one.

    Rich itself shows no progress in a pipe. The first lines are ten seconds apart, later ones further. The tasks of a
    run share the interval and have no last line.
    """

    def __init__(self) -> None:
        self._count: _TaskProgress | None = None
        self._bar: RichBar | None = None
        self._in_run = False
        self._began = self._line_due = 0.0

    def task(self, description: str, total: int, unit: str = "clips", *, before: int = 0, in_run: bool = False) -> Self:
        """Start a task of `total` units; an unfinished one ends. A task without units is not shown."""
        self.finish()
        if not total:
            return self
        description = printable(description)
        self._count = _TaskProgress(description, total, unit, before)
        if not (in_run and self._in_run):
            self._began = time.monotonic()
            self._line_due = self._began + _SECONDS_BETWEEN_LINES
        self._in_run = in_run
        if messages().is_terminal:
            self._bar = _bar()
            self._bar.add_task(description, total=total, completed=before, figures=Figures())
            self._bar.start()
        return self

    def advance(self, done: int = 1, note: str = "", run_left_s: float = math.nan) -> None:
        """Count `done` more units; `note` is a short text, `run_left_s` the time left of the whole run."""
        if self._count is None:
            return
        self._count.done += done
        self._count.note = printable(note) or self._count.note
        self._count.run_left_s = run_left_s
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], advance=done, figures=self._count.figures())
        elif time.monotonic() >= self._line_due and not self._count.is_complete:
            now = time.monotonic()
            self._line_due = now + max(_SECONDS_BETWEEN_LINES, (now - self._began) / _LINES)
            self._print_line()

    def finish(self) -> None:
        """End the task: remove its bar, or print its last line."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        elif self._count is not None and not self._in_run:
            self._print_line()
        self._count = None

    def _print_line(self) -> None:
        assert self._count is not None
        messages().print(Text(self._count.line()))


@dataclass
class _TaskProgress:
    """Progress of a task: `before` units were done at its start, and `done` since."""

    description: str
    total: int
    unit: str
    before: int = 0
    done: int = 0
    note: str = ""
    run_left_s: float = math.nan
    began: float = field(default_factory=lambda: time.monotonic())

    @property
    def is_complete(self) -> bool:
        """Whether all units are done."""
        return self.before + self.done >= self.total

    def figures(self) -> Figures:
        """Return the rate, the note and the time left: of the whole run if known, else of the task."""
        rate = f"{self._rate():.{0 if self._rate() >= _FAST else 1}f} {self.unit}/s"
        if math.isfinite(self.run_left_s):
            left = duration(self.run_left_s)
            return Figures(rate, self.note, f"run: {left} left", left)
        if self.done and not self.is_complete:
            left = duration((self.total - self.before - self.done) / self._rate())
            return Figures(rate, self.note, f"{left} left", left)
        return Figures(rate, self.note)

    def line(self) -> str:
        """Return the progress in one line."""
        done = self.before + self.done
        percent = 100 * done // max(self.total, 1)
        return f"{self.description}: {done}/{self.total} {self.unit} ({percent}%), {self.figures()}"

    def _rate(self) -> float:
        return self.done / max(time.monotonic() - self.began, 1e-6)


def _bar() -> RichBar:
    return RichBar(
        FittedLine(),
        console=messages(),
        transient=True,
        refresh_per_second=4,
    )


@contextmanager
def logging_to_terminal(quiet: bool = False) -> Iterator[None]:
    """Show what the package logs on stderr while the block runs; only warnings and worse when `quiet`.

    Remarks are not printed either, then.

    Only the first of several `torchrun` processes is shown.
    """
    logger = logging.getLogger(__package__.partition(".")[0])
    handler, level = _MessageHandler(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    is_first = os.environ.get("RANK", "0") == "0"
    handler.setLevel(logging.ERROR if not is_first else logging.WARNING if quiet else logging.INFO)
    token = _QUIET.set(quiet)
    try:
        yield
    finally:
        _QUIET.reset(token)
        logger.removeHandler(handler)
        logger.setLevel(level)


class _MessageHandler(logging.Handler):
    """Print messages to stderr, above a progress bar, with the prefix `warning:` or `error:` above the level INFO."""

    def emit(self, record: logging.LogRecord) -> None:
        text = harmless(self.format(record))
        prefix = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        messages().print(Text(prefix + text))
