"""`benchmark`: measure the speed of every part against a plain reference in the same run."""

import argparse
import logging
import textwrap
from typing import TYPE_CHECKING, Any

from ..benchmarks import check_found, purposes, where_they_are
from ..utils.config import unknown_name
from ..utils.errors import UserError
from ..utils.numbers import counted
from ..utils.program import program
from .options import examples, parse
from .terminal import progress, say, table

if TYPE_CHECKING:
    from ..benchmarks.report import Report

NEEDS = ("torch",)

_EXAMPLES = """
    {program} benchmark all --quick
    {program} benchmark training --models nano_e --threads 2
    {program} benchmark data --json data.json
    {program} benchmark epochs --help
"""
_ALL_EXAMPLES = """
    {program} benchmark all --quick
    {program} benchmark all --json benchmark.json
"""
_ALL = "every part that this machine supports, with less data and fewer repetitions"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser; the options after the part's name have their own parser."""
    needed = None if purposes() else "?"  # outside a checkout no part is better than another: see `check_found`
    parser.add_argument("part", metavar="PART", nargs=needed, help="what to measure, or all")
    options = parser.add_argument(
        "options", nargs=argparse.REMAINDER, help="options of the part; `PART --help` lists them"
    )
    options.required = False
    parser.epilog = _parts_and_examples() if purposes() else textwrap.fill(where_they_are(), 80)


def _parts_and_examples() -> str:
    parts = {**purposes(), "all": _ALL}
    width = max(map(len, parts))
    names = "\n".join(f"  {name:<{width}}  {purpose}" for name, purpose in parts.items())
    return f"parts:\n{names}\n\n{examples(_EXAMPLES)}"


def run(arguments: argparse.Namespace) -> int:
    """Measure one part or all and show the results; return the exit code.

    Raises:
        UserError: there is no such part, or LAST does not run from a checkout.
    """
    check_found()
    name = arguments.part
    if name not in (*purposes(), "all"):
        raise UserError(unknown_name("benchmark", name, [*purposes(), "all"]))
    chosen = _parse(name, arguments.options)
    chosen.quiet |= arguments.quiet
    if chosen.quiet:  # given after the part's name, so after the log was opened
        for handler in logging.getLogger(__package__.partition(".")[0]).handlers:
            handler.setLevel(logging.WARNING)
    return _measure_all(chosen) if name == "all" else _measure_one(name, chosen)


def _parse(name: str, options: list[str]) -> argparse.Namespace:
    from ..benchmarks.options import add_common, add_device, add_part, options_of

    def add_options(parser: argparse.ArgumentParser) -> None:
        if name == "all":
            add_common(parser)
            add_device(parser)
            shown = _ALL_EXAMPLES
        else:
            add_part(name, parser, quick="--quick" in options)
            shown = options_of(name).examples
        parser.epilog = examples(shown)

    return parse(f"{program()} benchmark {name}", {**purposes(), "all": _ALL}[name], add_options, options)


def _measure_one(name: str, chosen: argparse.Namespace) -> int:
    from ..benchmarks.suite import run_part
    from ..utils.files import write_json

    report = run_part(name, chosen, progress(chosen.quiet))
    _show(report)
    if chosen.json:
        write_json(chosen.json, report.values())
    return int(report.result.failed)


def _measure_all(chosen: argparse.Namespace) -> int:
    from ..benchmarks.suite import run_all
    from ..utils.files import write_json

    left_out: dict[str, str] = {}

    def skip(name: str, reason: str) -> None:
        left_out[name] = reason
        say(f"\n{name} is skipped: {reason}")

    reports = run_all(chosen, progress(chosen.quiet), _show, skip)
    if chosen.json:
        parts = {report.part: report.values() for report in reports}
        write_json(chosen.json, {"part": "all", "parts": parts, "left_out": left_out})
    return 0


def _show(report: "Report") -> None:
    """Print the part, the machine, the tables and the remarks."""
    machine: dict[str, Any] = dict(report.machine)
    versions = machine["versions"]
    where = machine["gpu"] or machine["cpu"]
    busy = [f"{machine[key]:.2f}" if machine[key] is not None else "?" for key in ("load_before", "load_after")]
    size = f"{counted(machine['cores'], 'core')}, {counted(machine['threads'], 'thread')}"
    say(f"\n{report.part}: {purposes()[report.part]}")
    say(f"{where}; {size}; {machine['platform']}")
    say(", ".join(f"{name} {version}" for name, version in versions.items()), machine["git_commit"][:12])
    say(f"load of the machine: {busy[0]} before, {busy[1]} after; {machine['date']}")
    for each in report.result.tables:
        say()
        table(each.title, list(each.columns), each.cells())
    for remark in report.result.remarks:
        say(remark)
