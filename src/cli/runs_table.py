"""Tables of runs: their columns, and which of them a terminal has room for."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from . import terminal
from .terminal import propose, say, table

if TYPE_CHECKING:
    from ..runs.results import Run
    from ..tasks.measures import Metric


class _Number(float):
    """A number in a table, aligned right, with a format; `-` if unknown."""

    form: str

    def __new__(cls, value: float, form: str = ".2f") -> "_Number":
        number = super().__new__(cls, value)
        number.form = form
        return number

    def __str__(self) -> str:
        return format(float(self), self.form) if math.isfinite(self) else "-"


class _Duration(_Number):
    """A duration in a table: hours, minutes and seconds."""

    def __str__(self) -> str:
        if not math.isfinite(self) or self < 0:
            return "-"
        minutes, seconds = divmod(round(self), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def show_runs(title: str, columns: Sequence[str], runs: "Sequence[Run]") -> None:
    """Print a table of runs; on a narrow terminal, drop the least important columns.

    If that is not enough, show all columns, one run below the other.
    """
    distilled = any(each.learned_from for each in runs)
    missing = {_TEACHER} if not distilled else set()
    missing |= set() if any(len(each.measures.metrics) > 1 for each in runs) else {_SECOND}
    everything = {name: [COLUMNS[name](each) for each in runs] for name in columns if name not in missing}
    shown, left_out = dict(everything), list[str]()
    for name in filter(shown.__contains__, _DROPPED_FIRST):
        if _drawn_width(shown) <= terminal.console().width:
            break
        del shown[name]
        left_out.append(name)
    if _drawn_width(shown) > terminal.console().width:
        shown, left_out = everything, []
    table(title, _headings(list(shown), runs), list(zip(*shown.values(), strict=True)))
    if left_out:
        propose(f"A wider terminal shows also: {', '.join(_headings(left_out, runs))}.")


def _drawn_width(columns: dict[str, list[object]]) -> int:
    """Return the width in characters of a table on a terminal, with two spaces and a line per column.

    Headings may break between words, and a run's name after a slash.
    """
    cells = {name: [part for cell in column for part in _unbroken(name, cell)] for name, column in columns.items()}
    return 1 + sum(3 + max(map(len, [*name.split(), *parts])) for name, parts in cells.items())


def _unbroken(column: str, cell: object) -> list[str]:
    """Return the parts of a cell that must not be broken."""
    return str(cell).split("/") if column == "run" else [str(cell)]


def _epochs(run: "Run") -> str:
    return "/".join("-" if number is None else str(number) for number in (run.epochs_done, run.epochs))


def _figure(name: str, form: str = ".2f") -> "Callable[[Run], object]":
    return lambda run: _Number(run.figure(name), form)


def _metric(which: str, number: int = 0) -> "Callable[[Run], object]":
    """Return the column of a metric: the primary one, then the others of the task."""

    def cell(run: "Run") -> object:
        metrics = _ordered(run)
        if number >= len(metrics):
            return _Number(math.nan)
        return _Number(run.figure(f"{which}_{metrics[number].name}"), ".2f" if metrics[number].unit else ".4g")

    return cell


def _ordered(run: "Run") -> "list[Metric]":
    """Return the metrics of a run's task, the primary one first."""
    return sorted(run.measures.metrics, key=lambda each: each.name != run.measures.primary)


def measured(runs: "Sequence[Run]") -> str:
    """Return the titles of the primary metrics of runs."""
    return " or ".join(dict.fromkeys(run.measures.primary_metric.title for run in runs))


def _headings(columns: "Sequence[str]", runs: "Sequence[Run]") -> list[str]:
    """Return the headings of the columns, which depend on the metrics of the runs' tasks."""
    plain = any(not run.measures.primary_metric.unit for run in runs)
    second = [metrics[1] for run in runs if len(metrics := _ordered(run)) > 1]
    others = " or ".join(dict.fromkeys(f"{each.title} {each.unit}".strip() for each in second))
    return [others if name == _SECOND else name.removesuffix(" %") if plain else name for name in columns]


def show_problems(runs: "Sequence[Run]") -> None:
    """Print what is missing or damaged of each run."""
    incomplete = [each for each in runs if each.problems]
    if incomplete:
        say("\nIncomplete runs:")
    for each in incomplete:
        say(f"  {each.name}", *each.problems, sep="\n    ")


_TEACHER, _SECOND = "teacher", "second metric"
COLUMNS: "dict[str, Callable[[Run], object]]" = {
    "run": lambda run: run.name,
    "date": lambda run: "-" if run.begun is None else str(run.begun),
    "model": lambda run: run.model_title or "-",
    "data": lambda run: run.data or "-",
    _TEACHER: lambda run: ", ".join(run.learned_from) or "-",
    "seed": lambda run: _Number(math.nan) if run.seed is None else run.seed,
    "epochs": _epochs,
    "best %": _metric("best"),
    "in epoch": _figure("best_epoch", ".0f"),
    "final %": _metric("final"),
    _SECOND: _metric("final", 1),
    "parameters": _figure("parameters", ",.0f"),
    "clips/s": _figure("clips_per_second", ",.0f"),
    "skipped": _figure("skipped_batches", ".0f"),
    "time": lambda run: _Duration(run.figure("train_seconds")),
    "state": lambda run: run.state,
}
LISTED = ("run", "date", "model", "data", _TEACHER, "seed", "epochs", "best %", "final %", "time", "state")
COMPARED = tuple(name for name in COLUMNS if name != "date")
_DROPPED_FIRST = ("date", "clips/s", "skipped", "time", "state", "parameters", "in epoch", _SECOND, "data", _TEACHER)
