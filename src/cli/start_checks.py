"""What `start` refuses before anything long begins: sets that cannot be trained, or not be divided as wanted."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.preparation.discover import MOST_CLASSES, values_told
from ..settings.data import DataConfig
from ..settings.splits import FoldChoice
from ..utils.errors import UserError
from ..utils.numbers import counted

if TYPE_CHECKING:
    from ..data.store.reader import Store

_FEWEST_CLIPS = 4
_TEST_SHARE = 4  # folds, one of which is for testing


def refuse_untrainable(store: "Store", dataset: str) -> None:
    """Refuse a set that cannot be trained before anything long begins.

    Raises:
        UserError: it has one class, or far too many, or too few clips.
    """
    classes, clips = len(store.classes), len(store)
    if classes > MOST_CLASSES:
        raise UserError(
            f"{dataset} has {classes:,} classes; at most {MOST_CLASSES:,} are trained. Do they name the clips instead "
            "of their classes? Give each clip its class, and prepare the recordings again."
        )
    if classes < 2 or clips < _FEWEST_CLIPS:
        raise UserError(
            f"{dataset} has {counted(clips, 'clip')} of {counted(classes, 'class')}: at least two classes are needed, "
            "with two clips each, and some tens of clips to learn them. Add recordings, and prepare them again."
        )


def refuse_undivided(arguments: argparse.Namespace, config: DataConfig, raw: Path) -> None:
    """Refuse `--split_by` before the preparation, where the names of recordings show that they cannot be divided.

    Raises:
        UserError: fewer than two of the subjects, cameras, ... are known.
    """
    if arguments.split_by is None or arguments.intervals or config.intervals.file:  # tables of these tell subjects too
        return
    values = values_told(config, raw, arguments.split_by)
    if values is not None:
        what = "columns of" if config.format == "table" else "names of the recordings in"
        _refuse_few(arguments.split_by, len(values), f"the {what} {raw} tell")


def choice_of(split_by: str | None, store: "Store", config: DataConfig) -> FoldChoice | None:
    """Return the fold of about a quarter of the clips that `--split_by` tests; None without it.

    Raises:
        UserError: there is nothing to divide.
    """
    from ..data.store.fold_choice import fold_protocols
    from ..data.store.protocols import known_values

    if split_by is None:
        return None
    values = len(known_values(store.clips, config, split_by))
    _refuse_few(split_by, values, f"{config.name} has")
    choice = FoldChoice(split_by, max(2, min(_TEST_SHARE, values)), 1)
    fold_protocols(config, store.clips, choice)
    return choice


def _refuse_few(split_by: str, values: int, where: str) -> None:
    if values < 2:
        noun = "clip" if split_by == "file" else split_by
        known = "" if split_by in ("file", "recording") else "known "
        raise UserError(
            f"--split_by {split_by}: {where} {counted(values, f'{known}{noun}')}; at least two are needed, one "
            "of them to test on. Divide by something else, such as --split_by file, or omit the option."
        )


def refuse_unused(arguments: argparse.Namespace, names: Sequence[str], why: str) -> None:
    """Refuse options that would have no effect.

    Args:
        arguments: those of the command.
        names: of the options.
        why: what they have no effect on, as the beginning of a sentence.

    Raises:
        UserError: one of them is given.
    """
    given = [f"--{name}" for name in names if getattr(arguments, name) is not None]
    if given:
        raise UserError(f"{why}: leave out {' and '.join(given)}.")
