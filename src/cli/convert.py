"""`convert`: write a prepared data set as a folder of arrays, a table, or a PYSKL file."""

import argparse
import logging
from pathlib import Path

from ..data.preparation.convert import WRITERS, convert
from ..data.store.reader import open_store
from ..utils.numbers import counted
from .options import examples
from .terminal import progress, say

NEEDS = ("pydantic",)

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("store", type=Path, metavar="STORE", help="the folder that preprocess wrote")
    parser.add_argument("--to", required=True, choices=tuple(WRITERS), help="the format")
    parser.add_argument("--out", required=True, type=Path, metavar="PATH", help="the folder or file; it must not exist")
    parser.epilog = examples(
        """
        {program} convert data/gestures --to folder --out ./gestures
        {program} convert data/gestures --to table --out gestures.csv
        {program} convert data/ntu60 --to pyskl --out ntu60.pkl
        """
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the clips, and say where; return the exit code."""
    store = open_store(arguments.store)
    if store.recordings is not None:
        _logger.warning(
            "The clips are parts of %s, which %s does not tell. Divide what is written by subject, not by file, or "
            "parts of one recording may train and test.", counted(len(store.recordings.all), "recording"), arguments.to,
        )  # fmt: skip
    convert(store, arguments.to, arguments.out, progress(arguments.quiet))
    say(f"Wrote {counted(len(store), 'clip')} of {store.name}, layout {store.layout}, to {arguments.out}")
    return 0
