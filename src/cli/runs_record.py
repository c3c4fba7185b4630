"""`runs record`: write small JSON records of finished runs, to be kept with a paper or a repository."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..utils.errors import UserError
from ..utils.numbers import counted, file_size
from .options import add_shared
from .terminal import say, table

EXAMPLES = """
    {program} runs record run-2026-11-23 run-2026-11-23_2
    {program} runs record latest --out paper/results
    {program} runs record --figures runs/run-2026-11-23/evaluation/last-test/metrics.json --name "nano_e, last epoch"
"""
_FOLDER = Path("results")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `runs record` to its parser."""
    parser.add_argument(
        "run", nargs="*", default=[], metavar="RUN", help="a run's name under the output root, its folder, or `latest`"
    )
    parser.add_argument(
        "--figures",
        type=Path,
        metavar="FILE",
        help="instead of a run, a JSON file that a command wrote, such as metrics.json of an evaluation",
    )
    parser.add_argument("--name", metavar="TEXT", help="what the figures of that file are")
    parser.add_argument("--by", metavar="COMMAND", help="the command that measured them")
    parser.add_argument(
        "--tested",
        nargs="+",
        metavar="DATASET:SPLIT[:COUNT]",
        help="the test parts they were measured on, each with the number of tests (default: what the file says)",
    )
    parser.add_argument(
        "--amend", type=Path, metavar="RECORD", help="write --tested into the record of a measurement that is there"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"folder of the records (default: {_FOLDER}, in the current folder)"
    )
    add_shared(parser, "--env", "--output_root")


def run(arguments: argparse.Namespace, paths: Sequence[Path]) -> int:
    """Write a record of each run, or none if one of them cannot be recorded; return the exit code.

    Raises:
        UserError: a run is not finished or damaged, or a record cannot be written.
    """
    from ..runs.records import amended, read_record, record_of, record_of_figures, write_record

    folder = getattr(arguments, "out", None) or _FOLDER
    _refuse_unclear(arguments, paths)
    tested: Sequence[str] = getattr(arguments, "tested", ())
    if hasattr(arguments, "amend"):
        say(f"Amended: {write_record(amended(read_record(arguments.amend), tested), arguments.amend.parent)}")
        return 0
    figures: Path | None = getattr(arguments, "figures", None)
    if figures is not None:
        records = [record_of_figures(figures, arguments.name, getattr(arguments, "by", ""), tested)]
        results = [counted(len(records[0].content["figures"]), "figure")]
    else:
        records = [record_of(path) for path in paths]
        results = [f"{each.figure('final', each.measures.primary):.2f}" for each in records]
    sizes = [file_size(write_record(each, folder).stat().st_size) for each in records]
    names = [each.name for each in ([figures] if figures is not None else paths)]
    rows = list(zip(names, [each.name for each in records], results, sizes, strict=True))
    table(f"{counted(len(rows), 'record')} in {folder}", ["of", "record", "result", "size"], rows)
    say("Records are text without names of clips: commit them, and cite figures from them.")
    return 0


def _refuse_unclear(arguments: argparse.Namespace, paths: Sequence[Path]) -> None:
    """Refuse a command that names neither runs nor figures, or both, or figures without their name."""
    if hasattr(arguments, "amend"):
        if (
            paths
            or not hasattr(arguments, "tested")
            or any(hasattr(arguments, key) for key in ("figures", "name", "by"))
        ):
            raise UserError("--amend RECORD goes with --tested alone: figures are never changed.")
        return
    has_figures, name = hasattr(arguments, "figures"), getattr(arguments, "name", "")
    if has_figures == bool(paths):
        raise UserError("Name the runs to record, or a file of figures with --figures: one of the two.")
    if has_figures != bool(name) or (not has_figures and (hasattr(arguments, "by") or hasattr(arguments, "tested"))):
        raise UserError(
            "--name says what the figures of --figures are; --by is the command that measured them, and --tested names "
            "the test parts."
        )
