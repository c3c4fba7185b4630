"""`runs`: list the runs under an output root, compare or record some of them, or free what old ones take."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..runs.history import LATEST, attached_runs, latest_run
from ..utils.errors import UserError
from ..utils.numbers import counted
from ..utils.program import program
from . import runs_clean, runs_compare, runs_record
from .folders import root_folders_of
from .options import add_shared, examples
from .runs_table import LISTED, measured, show_problems, show_runs
from .terminal import say

if TYPE_CHECKING:
    from ..runs.results import Run

_LIST_EXAMPLES = """
    {program} runs
    {program} runs --model nano_e --dataset ntu60
    {program} runs --output_root /kaggle/working --json
"""
_OTHER_EXAMPLES = (runs_compare.EXAMPLES, runs_record.EXAMPLES, runs_clean.EXAMPLES)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser; alone it lists, as `runs list` does."""
    _add_list_options(parser)
    parser.epilog = examples("".join(each.rstrip() for each in (_LIST_EXAMPLES, *_OTHER_EXAMPLES)))
    actions = parser.add_subparsers(dest="action", metavar="list | compare | record | clean")
    # Options before the word `list` count too, so options after it must not set defaults.
    listing = _add_action(actions, "list", "List runs with their results, newest first.", _LIST_EXAMPLES)
    _add_list_options(listing)
    compare = _add_action(actions, "compare", "Compare runs: results, configuration, curves.", runs_compare.EXAMPLES)
    runs_compare.add_arguments(compare)
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
    if arguments.action == "compare":
        _refuse_list_options(arguments, ("model", "dataset", "json"))
        out = getattr(arguments, "out", None) or _output_root(arguments) / "comparison"
        return runs_compare.run(_chosen(arguments), out)
    return _list(arguments)


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
        columns = [name for name in LISTED if not (dated and name == "date")]
        show_runs(f"{count} in {root}; {measured(runs)} on the test part", columns, runs)
        show_problems(runs)
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
