"""Which clips of a store train and which test.

Everything here works on the index of a store, a structured array with one element a clip, and returns clip
numbers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..utils.config import unknown_name
from ..utils.errors import UserError
from .config import DataConfig, ProtocolConfig


@dataclass(frozen=True)
class Split:
    """The two parts of a protocol.

    Attributes:
        train, test: the clip numbers of each part, ascending.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def select(clips: NDArray[np.void], config: DataConfig) -> NDArray[np.int64]:
    """Return the numbers of the clips that `config.select` keeps, ascending."""
    return np.flatnonzero(_selected(clips, config))


def split(clips: NDArray[np.void], config: DataConfig, protocol: str = "") -> Split:
    """Return the parts of a protocol among the selected clips.

    Args:
        clips: the index of a store.
        config: the data set; `config.select` applies before the protocol does.
        protocol: a name in `config.protocols`; empty for `config.split`.

    Raises:
        UserError: there is no such protocol, it is not a proper one, or a part holds no clip.
    """
    parts = divide(clips, config, protocol)
    for part, numbers in (("train", parts.train), ("test", parts.test)):
        if not len(numbers):
            rule = config.protocols[protocol or config.split]
            present = ", ".join(map(str, np.unique(clips[rule.by])[:40]))
            raise UserError(
                f"The {part} part of {config.name} {protocol or config.split} holds no clip: among the "
                f"{len(clips)} clips the values of '{rule.by}' are {present or 'none'}. Prepare more of "
                f"the data set or choose another --split ({', '.join(config.protocols)})."
            )
    return parts


def divide(clips: NDArray[np.void], config: DataConfig, protocol: str = "") -> Split:
    """Return what `split` does, but let a part be empty."""
    name = protocol or config.split
    if name not in config.protocols:
        raise UserError(unknown_name(f"split of {config.name}", name, list(config.protocols)))
    rule = config.protocols[name]
    _check(rule, f"The protocol {name} of {config.name}")
    in_train, in_test = np.isin(clips[rule.by], rule.train), np.isin(clips[rule.by], rule.test)
    if not rule.test:
        in_test = ~in_train
    if not rule.train:
        in_train = ~in_test
    selected = _selected(clips, config)
    return Split(train=np.flatnonzero(in_train & selected), test=np.flatnonzero(in_test & selected))


def hold_out(
    clips: NDArray[np.void], numbers: NDArray[np.int64], share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide training clips into those that train and those held out to choose an epoch, both ascending.

    Every class gives up the same share, rounded, but never its last clip. Clips are held out, not whole
    subjects: NTU X-Sub trains on 20 subjects, of whom no small share can be taken without losing much of
    the variety that training lives on, and under X-View or X-Set the tested subjects are known anyway. The
    price is that held-out accuracy lies above test accuracy; it is there to order epochs.

    Args:
        clips: the index of a store.
        numbers: the clip numbers to divide, such as `split(...).train`.
        share: the part held out, above 0 and below 1.
        seed: another seed holds out other clips; the same arguments always hold out the same.

    Raises:
        UserError: the share lies outside 0..1, or so few clips are there that none is held out.
    """
    if not 0.0 < share < 1.0:
        raise UserError(f"The share of held-out clips should lie between 0 and 1, not {share}.")
    numbers = np.sort(numbers)
    drawn = np.random.default_rng(seed).random(len(clips))[numbers]
    labels = clips["label"][numbers]
    order = np.lexsort((drawn, labels))
    _, starts, group, counts = np.unique(labels[order], return_index=True, return_inverse=True, return_counts=True)
    given = np.minimum(np.rint(share * counts), counts - 1)
    rank = np.arange(len(numbers)) - starts[group]
    held = np.zeros(len(numbers), np.bool_)
    held[order] = rank < given[group]
    if not held.any():
        raise UserError(
            f"Holding out {share:.0%} of {len(numbers)} training clips leaves none to validate on. "
            "Raise the share, or use validation: test."
        )
    return numbers[~held], numbers[held]


def labelled(clips: NDArray[np.void], numbers: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Return those of the training clips whose label may be used, ascending: always the same for the same share.

    Every class keeps the share of its clips, rounded, and at least one.

    Args:
        clips: the index of a store.
        numbers: the clip numbers, such as `split(...).train`.
        share: above 0; 1 keeps all.

    Raises:
        UserError: the share leaves no label out.
    """
    if share == 1.0:
        return numbers
    try:
        return hold_out(clips, numbers, 1.0 - share, seed=0)[0]
    except UserError as error:
        raise UserError(
            f"label_share {share:g} leaves none of {len(numbers)} labels out. Lower it, or use all with label_share=1."
        ) from error


def _selected(clips: NDArray[np.void], config: DataConfig) -> NDArray[np.bool_]:
    keep = np.ones(len(clips), np.bool_)
    if config.select.setups:
        keep &= np.isin(clips["setup"], config.select.setups)
    if config.select.actions:
        keep &= np.isin(clips["label"] + 1, config.select.actions)
    return keep


def _check(rule: ProtocolConfig, what: str) -> None:
    if not rule.train and not rule.test:
        raise UserError(f"{what} names no {rule.by}: give it a `train` or a `test` list.")
    if both := sorted(set(rule.train) & set(rule.test)):
        raise UserError(f"{what} has {rule.by} {both[0]} in both its train and its test list.")
