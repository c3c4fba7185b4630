"""`synthesize`: write synthetic raw recordings, to try everything without a download."""

import argparse
from pathlib import Path

from ..data.synthetic import class_names, synthesize
from ..utils.numbers import counted
from ..utils.program import program
from .options import examples, quoted
from .terminal import progress, propose, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the recordings")
    parser.add_argument("--clips", required=True, type=int, metavar="N", help="number of recordings, over 12 actions")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="random seed; another one gives other people and motions (default: 0)",
    )
    parser.epilog = examples(
        """
        {program} synthesize --out ./raw/synthetic --clips 600
        {program} synthesize --out ./raw/synthetic --clips 60 --seed 7
        """
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the recordings and print their folder and the next command; return the exit code."""
    paths = synthesize(arguments.out, arguments.clips, arguments.seed, progress(arguments.quiet))
    written = counted(len(paths), "recording")
    actions = len({path.stem[-3:] for path in paths})
    say(f"Wrote {written} of {actions} of {len(class_names())} actions, in the raw NTU format.")
    say(f"Recordings: {arguments.out}")
    propose(f"Next: {program()} preprocess --dataset synthetic --raw {quoted(arguments.out)}")
    return 0
