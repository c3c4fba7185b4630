"""The options by which clips are divided into folds."""

import argparse

from ..settings.splits import ALL, DIVIDED_BY, MOST_FOLDS, FoldChoice
from ..utils.errors import UserError
from .options import count

SPLIT_HELP = "protocol: xsub, xview, xset, a fold, or the path of a text file, FILE.txt (default: the data set's)"


def add_split_options(parser: argparse.ArgumentParser) -> None:
    """Add `--split`, `--split_by` and `--folds`."""
    parser.add_argument("--split", metavar="NAME", help=SPLIT_HELP)
    add_folds_options(parser)


def add_folds_options(parser: argparse.ArgumentParser) -> None:
    """Add `--split_by` and `--folds`."""
    parser.add_argument(
        "--split_by",
        choices=DIVIDED_BY,
        help="divide the clips into --folds, each value in one of them; file: each clip, evenly by class",
    )
    parser.add_argument("--folds", type=_folds, metavar="N|all", help="number of folds; all: leave one value out")


def add_fold_option(parser: argparse.ArgumentParser) -> None:
    """Add `--fold`, the choice of one fold."""
    parser.add_argument("--fold", type=count, metavar="K", help="train only this fold, from 1 (default: all of them)")


def fold_choice(arguments: argparse.Namespace) -> FoldChoice | None:
    """Return the chosen folds; None if the options do not divide into folds.

    Raises:
        UserError: the options do not belong together.
    """
    by, folds, fold = arguments.split_by, arguments.folds, getattr(arguments, "fold", None)
    if by is None and (folds is not None or fold is not None):
        option = "--folds" if folds is not None else "--fold"
        raise UserError(f"{option} also needs --split_by: {', '.join(DIVIDED_BY)}.")
    if by is None:
        return None
    if folds is None:
        raise UserError(f"--split_by {by} also needs --folds: a number, such as 5, or all to leave one {by} out.")
    if arguments.split:
        raise UserError(f"--split {arguments.split} and --split_by {by} are two splits. Give one of them.")
    return FoldChoice(by, folds, fold or 0)


def _folds(text: str) -> int:
    """Parse a number of folds, or `all`."""
    if text == "all":
        return ALL
    try:
        folds = count(text)
    except argparse.ArgumentTypeError:
        folds = 0
    if not 2 <= folds <= MOST_FOLDS:
        raise argparse.ArgumentTypeError(f"{text!r} should be 2 to {MOST_FOLDS}, or all")
    return folds
