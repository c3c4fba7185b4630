"""A division of clips as a list: one letter for each clip, in the order of their names.

It is small enough for a configuration, so that a run whose split was read from a file does not need the file again.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ...settings.data import ProtocolConfig
from ...utils.errors import UserError
from ...utils.numbers import counted
from .format import PART_LETTERS, TEST, TRAIN

MOST_CLIPS = 900_000  # a configuration file has at most 1 MiB


def list_rule(names: NDArray[np.str_], in_train: NDArray[np.bool_], in_test: NDArray[np.bool_]) -> ProtocolConfig:
    """Return the protocol with these parts; all arrays are (N,), over the selected clips of a store.

    Raises:
        UserError: there are too many clips for a configuration.
    """
    if len(names) > MOST_CLIPS:
        raise UserError(f"A listed split can have {MOST_CLIPS:,} clips, and the data set has {len(names):,}.")
    letters = np.where(in_train, TRAIN, np.where(in_test, TEST, PART_LETTERS[2].encode()))[np.argsort(names)]
    return ProtocolConfig(by="list", parts=letters.tobytes().decode(), names=_digest(names))


def listed_parts(
    clips: NDArray[np.void], rule: ProtocolConfig, selected: NDArray[np.bool_], what: str
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which clips train and which test, each (N,) bool.

    Raises:
        UserError: the list is of other clips, or is damaged; `what` names the protocol.
    """
    names = clips["name"][selected]
    if rule.names != _digest(names):
        raise UserError(
            f"{what} lists the clips of another store: {counted(len(rule.parts), 'clip')}, and here are "
            f"{len(names):,}, or others. Use that store, or read the split again from its text file: --split FILE.txt"
        )
    if len(rule.parts) != len(names) or set(rule.parts) - set(PART_LETTERS):
        raise UserError(f"{what} is damaged: parts should have one of the letters {PART_LETTERS} for each clip.")
    letters = np.full(len(clips), PART_LETTERS[2].encode())
    letters[np.flatnonzero(selected)[np.argsort(names)]] = np.frombuffer(rule.parts.encode(), "S1")
    return letters == TRAIN, letters == TEST


def _digest(names: Iterable[str]) -> str:
    """Return 16 hexadecimal digits of the SHA-256 over sorted names."""
    return hashlib.sha256("\n".join(sorted(map(str, names))).encode()).hexdigest()[:16]
