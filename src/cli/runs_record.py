"""`runs record`: write small JSON records of finished runs, to be kept with a paper or a repository."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..utils.numbers import counted, file_size
from .options import add_shared
from .terminal import say, table

EXAMPLES = """
    {program} runs record run-2026-11-23 run-2026-11-23_2
    {program} runs record latest --out paper/results
"""
_FOLDER = Path("results")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `runs record` to its parser."""
    parser.add_argument(
        "run", nargs="+", metavar="RUN", help="a run's name under the output root, its folder, or `latest`"
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
    from ..runs.records import record_of, write_record

    folder = getattr(arguments, "out", None) or _FOLDER
    records = [record_of(path) for path in paths]
    files = [write_record(each, folder) for each in records]
    rows = [
        [path.name, each.name, f"{each.figure('final', each.measures.primary):.2f}", file_size(file.stat().st_size)]
        for path, each, file in zip(paths, records, files, strict=True)
    ]
    table(f"{counted(len(rows), 'record')} in {folder}", ["run", "record", "final", "size"], rows)
    say("Records are text without names of clips: commit them, and cite figures from them.")
    return 0
