"""`runs`: list the runs under an output root, compare or record some of them, or free what old ones take."""

import argparse
import json
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..runs.history import LATEST, attached_runs, latest_run
from ..utils.errors import UserError
from ..utils.numbers import counted
from ..utils.program import program
from . import runs_clean, runs_record, terminal
from .folders import root_folders_of
from .options import add_shared, examples
from .terminal import propose, say, table

if TYPE_CHECKING:
    from ..runs.comparison import SeedSpread
    from ..runs.results import Run
    from ..tasks.measures import Metric

_logger = logging.getLogger(__name__)

_LIST_EXAMPLES = """
    {program} runs
    {program} runs --model nano_e --dataset ntu60
    {program} runs --output_root /kaggle/working --json
"""
_COMPARE_EXAMPLES = """
    {program} runs compare run-2026-11-23 run-2026-11-23_2
    {program} runs compare runs/run-2026-11-23 elsewhere/run-2026-11-24 --out comparison
"""
_OTHER_EXAMPLES = runs_record.EXAMPLES.rstrip() + runs_clean.EXAMPLES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser; alone it lists, as `runs list` does."""
    _add_list_options(parser)
    parser.epilog = examples(_LIST_EXAMPLES.rstrip() + _COMPARE_EXAMPLES.rstrip() + _OTHER_EXAMPLES)
    actions = parser.add_subparsers(dest="action", metavar="list | compare | record | clean")
    # Options before the word `list` count too, so options after it must not set defaults.
    listing = _add_action(actions, "list", "List runs with their results, newest first.", _LIST_EXAMPLES)
    _add_list_options(listing)
    compare = _add_action(actions, "compare", "Compare runs: results, configuration, curves.", _COMPARE_EXAMPLES)
    compare.add_argument(
        "run", nargs="+", metavar="RUN", help="a run's name under the output root, its folder, or `latest`"
    )
    compare.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the table and the plot (default: <output_root>/comparison, overwritten each time)",
    )
    add_shared(compare, "--env", "--output_root")
    record = _add_action(actions, "record", "Write small records of finished runs.", runs_record.EXAMPLES)
    runs_record.add_arguments(record)
    clean = _add_action(actions, "clean", "Show what can be deleted, and delete it.", runs_clean.EXAMPLES)
    runs_clean.add_arguments(clean)


def run(arguments: argparse.Namespace) -> int:
    """List, compare, record or clean and return the exit code."""
    if arguments.action == "record":
        _refuse_list_options(arguments, ("model", "dataset", "json"))
        return runs_record.run(arguments, [each.path for each in _chosen(arguments)] if arguments.run else [])
    if arguments.action == "clean":
        _refuse_list_options(arguments, ("model", "dataset"))
        return runs_clean.run(arguments)
    return _compare(arguments) if arguments.action == "compare" else _list(arguments)


def _add_action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, purpose: str, shown: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(
        name,
        help=purpose,
        description=purpose,
        epilog=examples(shown),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--quiet", action="store_true", default=argparse.SUPPRESS, help="show warnings and results only"
    )
    return parser


def _add_list_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="M", help="only runs of this model")
    parser.add_argument("--dataset", metavar="D", help="only runs on this data set")
    # `store_true` would set False here, and undo a --json before the word `list`.
    left_out = argparse.SUPPRESS if parser.argument_default == argparse.SUPPRESS else False
    parser.add_argument("--json", action="store_true", default=left_out, help="print the runs as JSON")
    add_shared(parser, "--env", "--output_root")


# --- list


def _list(arguments: argparse.Namespace) -> int:
    from ..runs.comparison import record
    from ..runs.history import find_runs

    root = _output_root(arguments)
    found = find_runs(root)
    wanted = {"model": arguments.model, "dataset": arguments.dataset}
    runs = [each for each in found if all(not want or getattr(each, what) == want for what, want in wanted.items())]
    if arguments.json:
        print(json.dumps([record(each) for each in runs], indent=2))
    elif runs:
        unfinished = sum(not each.finished for each in runs)
        count = counted(len(runs), "run") + (f", {unfinished} unfinished" if unfinished else "")
        dated = all(str(each.begun) in each.name for each in runs)
        columns = [name for name in _LISTED if not (dated and name == "date")]
        _show_runs(f"{count} in {root}; {_measured(runs)} on the test part", columns, runs)
        _show_problems(runs)
    elif found:
        say(_no_match_message(found, wanted))
    else:
        say(f"There is no run in {root} yet. Start one with `{program()} train`, or set --output_root.")
        if attached := attached_runs(root, root_folders_of(arguments).input_roots):
            say(f"In the input folders there are {len(attached)}, such as {attached[-1].path}.")
    return 0


def _output_root(arguments: argparse.Namespace) -> Path:
    """Return the folder of runs: the flag's, else the environment's."""
    root = root_folders_of(arguments).output_root
    if arguments.output_root and not root.exists():
        raise UserError(f"There is no folder {root}. Name the folder of the runs with --output_root.")
    return root


def _no_match_message(found: "Sequence[Run]", wanted: dict[str, str | None]) -> str:
    """Return the message if no run has the requested model or data set."""
    requested = " and ".join(f"the {what} {value}" for what, value in wanted.items() if value)
    there = [
        f"{what}s: {', '.join(sorted({getattr(each, what) for each in found} - {''})) or 'none'}"
        for what, value in wanted.items()
        if value
    ]
    return f"Of {counted(len(found), 'run')} none has {requested}. There are {'; '.join(there)}."


def _show_problems(runs: "Sequence[Run]") -> None:
    incomplete = [each for each in runs if each.problems]
    if incomplete:
        say("\nIncomplete runs:")
    for each in incomplete:
        say(f"  {each.name}", *each.problems, sep="\n    ")


# --- compare


def _compare(arguments: argparse.Namespace) -> int:
    from ..distillation.resume_rules import HARMLESS
    from ..plots.figures import draws_or_warns
    from ..runs.comparison import differing_keys, seed_spreads, write_comparison

    _refuse_list_options(arguments, ("model", "dataset", "json"))
    if len(arguments.run) < 2:
        raise UserError(f"There is nothing to compare {arguments.run[0]} with. Name two runs or more.")
    root = _output_root(arguments)
    runs = _chosen(arguments)
    drawing = draws_or_warns("Drawing the plot")
    _show_results(runs)
    _show_keys(runs, differing_keys(runs))
    _show_spreads(seed_spreads(runs, HARMLESS))
    _show_problems(runs)
    out = getattr(arguments, "out", None) or root / "comparison"
    write_comparison(out / "runs.csv", runs)
    say(f"\nThe table is in {out / 'runs.csv'}")
    if drawing:
        _draw(runs, out / "curves.png")
    return 0


def _chosen(arguments: argparse.Namespace) -> "list[Run]":
    """Return the runs that are named."""
    from ..runs.history import choose_runs

    wanted = [str(latest_run(root_folders_of(arguments)).path) if each == LATEST else each for each in arguments.run]
    return choose_runs(_output_root(arguments), wanted)


def _refuse_list_options(arguments: argparse.Namespace, options: Sequence[str]) -> None:
    given = [name for name in options if getattr(arguments, name)]
    takes = dict.fromkeys(("compare", "record"), "the runs that are named")
    takes |= {"clean": "all runs; --only and --older_than choose what goes"}
    if given:
        action = arguments.action
        raise UserError(f"--{given[0]} goes with `runs list`; `runs {action}` takes {takes[action]}.")


def _show_results(runs: "Sequence[Run]") -> None:
    """Print the results; a model or data set that all runs share is in the title, not in a column."""
    values = {what: {str(_COLUMNS[what](each)) for each in runs} - {"-"} for what in ("model", "data")}
    common = [what for what, known in values.items() if len(known) == 1]
    columns = [name for name in _COMPARED if name not in common]
    subject = " on ".join(values[what].pop() for what in common)
    _show_runs(f"{subject or f'{len(runs)} runs'}; {_measured(runs)} on the test part", columns, runs)


def _show_keys(runs: "Sequence[Run]", differing: dict[str, list[str]]) -> None:
    """Print the differing configuration keys; the longer side of the table is vertical."""
    say()
    if not differing:
        known = sum(bool(each.config) for each in runs)
        say("The configurations are identical." if known > 1 else "There are no two configurations to compare.")
        return
    names = [each.name for each in runs]
    if len(names) > len(differing):
        rows = [[name, *(values[index] for values in differing.values())] for index, name in enumerate(names)]
        table("What differs in the configuration", ["run", *differing], rows)
    else:
        table("What differs in the configuration", ["key", *names], [[key, *differing[key]] for key in differing])


def _show_spreads(spreads: "Sequence[SeedSpread]") -> None:
    if not spreads:
        return
    rows = [
        [
            f"{each.runs[0].model_title} on {each.runs[0].data}",
            ", ".join(str(run.seed) for run in each.runs),
            each.best.text(),
            each.final.text(),
            ", ".join(run.name for run in each.runs),
        ]
        for each in spreads
    ]
    say()
    table("Mean ± standard deviation over seeds", ["configuration", "seeds", "best %", "final %", "runs"], rows)


def _draw(runs: "Sequence[Run]", path: Path) -> None:
    from ..runs.curves import draw_curves

    if any(each.rows for each in runs):
        draw_curves(runs, path)
        say(f"The plot is in {path}")
    else:
        _logger.warning("None of the runs has an epoch yet, so there is no plot.")


# --- cells


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


def _show_runs(title: str, columns: Sequence[str], runs: "Sequence[Run]") -> None:
    """Print a table of runs; on a narrow terminal, drop the least important columns.

    If that is not enough, show all columns, one run below the other.
    """
    distilled = any(each.learned_from for each in runs)
    missing = {_TEACHER} if not distilled else set()
    missing |= set() if any(len(each.measures.metrics) > 1 for each in runs) else {_SECOND}
    everything = {name: [_COLUMNS[name](each) for each in runs] for name in columns if name not in missing}
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


def _measured(runs: "Sequence[Run]") -> str:
    """Return the titles of the primary metrics of runs."""
    return " or ".join(dict.fromkeys(run.measures.primary_metric.title for run in runs))


def _headings(columns: "Sequence[str]", runs: "Sequence[Run]") -> list[str]:
    """Return the headings of the columns, which depend on the metrics of the runs' tasks."""
    plain = any(not run.measures.primary_metric.unit for run in runs)
    second = [metrics[1] for run in runs if len(metrics := _ordered(run)) > 1]
    others = " or ".join(dict.fromkeys(f"{each.title} {each.unit}".strip() for each in second))
    return [others if name == _SECOND else name.removesuffix(" %") if plain else name for name in columns]


_TEACHER, _SECOND = "teacher", "second metric"
_COLUMNS: "dict[str, Callable[[Run], object]]" = {
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
_LISTED = ("run", "date", "model", "data", _TEACHER, "seed", "epochs", "best %", "final %", "time", "state")
_COMPARED = tuple(name for name in _COLUMNS if name != "date")
_DROPPED_FIRST = ("date", "clips/s", "skipped", "time", "state", "parameters", "in epoch", _SECOND, "data", _TEACHER)
