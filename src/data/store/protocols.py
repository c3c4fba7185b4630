"""Division of a store's clips into training and test clips.

All functions work on the index of a store, a structured array with one element per clip, and return clip
indices.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...settings.data import DataConfig, ProtocolConfig
from ...utils.config import unknown_name
from ...utils.errors import UserError
from ...utils.numbers import counted
from .format import PART_PREFIX, TEST, TRAIN, listed_protocols

PARTS = ("train", "test")
DEFAULT_TEST_SHARE = 0.25  # of a class, with `by: file`


@dataclass(frozen=True)
class Split:
    """The two parts of a protocol.

    Attributes:
        train, test: the clip indices of each part, ascending.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def select(clips: NDArray[np.void], config: DataConfig) -> NDArray[np.int64]:
    """Return the indices of the clips that `config.select` keeps, ascending."""
    return np.flatnonzero(_selected(clips, config))


def split(clips: NDArray[np.void], config: DataConfig, protocol: str = "", needed: Sequence[str] = PARTS) -> Split:
    """Return the parts of a protocol among the selected clips.

    Args:
        clips: the index of a store.
        config: the data set; `config.select` applies before the protocol does.
        protocol: a name in `known_protocols`; empty for `config.split`.
        needed: the parts that must not be empty: an evaluation needs no training clips.

    Raises:
        UserError: there is no such protocol, it is invalid, or a needed part is empty.
    """
    parts = divide(clips, config, protocol)
    if problem := empty_part(clips, config, protocol or config.split, parts, needed):
        others = ", ".join(known_protocols(clips, config))
        raise UserError(f"{problem} Prepare more of the data set or choose another --split ({others}).")
    return parts


def divide(clips: NDArray[np.void], config: DataConfig, protocol: str = "") -> Split:
    """Return the same as `split`, but allow empty parts."""
    name = protocol or config.split
    selected = _selected(clips, config)
    if name in config.protocols:
        rule = config.protocols[name]
        _check(rule, f"The protocol {name} of {config.name}")
        in_train, in_test = _by_file(clips, rule, selected) if rule.by == "file" else _by_property(clips, rule)
    elif name in listed_protocols(clips):
        listed = clips[PART_PREFIX + name]
        in_train, in_test = listed == TRAIN, listed == TEST
    else:
        raise UserError(unknown_name(f"split of {config.name}", name, known_protocols(clips, config)))
    return Split(train=np.flatnonzero(in_train & selected), test=np.flatnonzero(in_test & selected))


def known_protocols(clips: NDArray[np.void], config: DataConfig) -> list[str]:
    """Return the names of all protocols: those of the data set, then those listed by the source of the clips."""
    return list(dict.fromkeys([*config.protocols, *listed_protocols(clips)]))


def empty_part(
    clips: NDArray[np.void], config: DataConfig, protocol: str, parts: Split, needed: Sequence[str] = PARTS
) -> str:
    """Return a sentence with the needed part of a protocol that is empty and the reason, or an empty string."""
    for part in needed:
        if len(getattr(parts, part)):
            continue
        problem = f"The {part} part of {config.name} {protocol} holds no clip"
        rule = config.protocols.get(protocol)
        if rule is None or rule.by == "file":
            advice = "; a class gives one to each part if it has at least two" if rule is not None else ""
            return f"{problem} of the {len(clips)} there are{advice}."
        present = ", ".join(map(str, np.unique(clips[rule.by])[:40].tolist()))
        unknown = " (0: not known)" if (clips[rule.by] == 0).any() else ""
        among = f"among {counted(len(clips), 'clip')}"
        return f"{problem}: {among} the values of '{rule.by}' are {present or 'none'}{unknown}."
    return ""


def _by_property(clips: NDArray[np.void], rule: ProtocolConfig) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    values = clips[rule.by]
    in_train, in_test = np.isin(values, rule.train), np.isin(values, rule.test)
    known = (values != 0) | (0 in [*rule.train, *rule.test])
    return in_train if rule.train else ~in_test & known, in_test if rule.test else ~in_train & known


def _by_file(
    clips: NDArray[np.void], rule: ProtocolConfig, selected: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Divide each class by a hash of (seed, name), so that a clip's part does not depend on its neighbours' order.

    Every class with at least two clips has one in both parts.
    """
    digests = [hashlib.blake2b(f"{rule.seed} {name}".encode(), digest_size=8).digest() for name in clips["name"]]
    hashes = np.frombuffer(b"".join(digests), ">u8")
    in_test = np.zeros(len(clips), np.bool_)
    for label in np.unique(clips["label"]):
        indices = np.flatnonzero((clips["label"] == label) & selected)
        wanted = round((rule.test_share or DEFAULT_TEST_SHARE) * len(indices))
        count = min(max(wanted, 1), len(indices) - 1)
        in_test[indices[np.argsort(hashes[indices], kind="stable")[: max(count, 0)]]] = True
    return ~in_test, in_test


def hold_out(
    clips: NDArray[np.void], indices: NDArray[np.int64], share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide training clips into those used for training and those held out to select an epoch, both ascending.

    The same share of every class is held out, rounded, but never its last clip. Clips are held out, not whole
    subjects: NTU X-Sub trains on 20 subjects, and holding out even a few would remove much of the
    variety of the training data; under X-View or X-Set the tested subjects are known anyway. The
    disadvantage is that held-out accuracy is higher than test accuracy; it is only used to rank epochs.

    Args:
        clips: the index of a store.
        indices: the clips to divide, such as `split(...).train`.
        share: the part held out, above 0 and below 1.
        seed: another seed holds out other clips; the same arguments always hold out the same.

    Raises:
        UserError: the share is outside 0..1, or there are too few clips to hold one out.
    """
    if not 0.0 < share < 1.0:
        raise UserError(f"The share of held-out clips should be between 0 and 1, not {share}.")
    indices = np.sort(indices)
    random = np.random.default_rng(seed).random(len(clips))[indices]
    labels = clips["label"][indices]
    order = np.lexsort((random, labels))
    _, starts, group, counts = np.unique(labels[order], return_index=True, return_inverse=True, return_counts=True)
    count = np.minimum(np.rint(share * counts), counts - 1)
    rank = np.arange(len(indices)) - starts[group]
    held = np.zeros(len(indices), np.bool_)
    held[order] = rank < count[group]
    if not held.any():
        raise UserError(
            f"Holding out {share:.0%} of {len(indices)} training clips leaves none to validate on. "
            "Raise the share, or use validation: test."
        )
    return indices[~held], indices[held]


def labelled(clips: NDArray[np.void], indices: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Return the training clips whose labels may be used, ascending; the same ones for the same share.

    In every class this is the share of its clips, rounded, but at least one clip.

    Args:
        clips: the index of a store.
        indices: the clips, such as `split(...).train`.
        share: above 0; 1 keeps all.

    Raises:
        UserError: the share leaves no label out.
    """
    if share == 1.0:
        return indices
    try:
        return hold_out(clips, indices, 1.0 - share, seed=0)[0]
    except UserError as error:
        raise UserError(
            f"label_fraction {share:g} leaves none of {len(indices)} labels out. Lower it, or use all with "
            "label_fraction=1."
        ) from error


def _selected(clips: NDArray[np.void], config: DataConfig) -> NDArray[np.bool_]:
    keep = np.ones(len(clips), np.bool_)
    if config.select.setups:
        keep &= np.isin(clips["setup"], config.select.setups)
    if config.select.actions:
        keep &= np.isin(clips["label"] + 1, config.select.actions)
    return keep


def _check(rule: ProtocolConfig, what: str) -> None:
    if rule.by == "file" and (rule.train or rule.test):
        raise UserError(f"{what} divides by file: it takes test_share and seed, not `train` or `test`.")
    if rule.by != "file" and (rule.test_share or rule.seed):
        raise UserError(f"{what} divides by {rule.by}: test_share and seed belong to `by: file`.")
    if rule.by == "file":
        return
    if not rule.train and not rule.test:
        raise UserError(f"{what} lists no {rule.by}: give it a `train` or a `test` list.")
    if both := sorted(set(rule.train) & set(rule.test)):
        raise UserError(f"{what} has {rule.by} {both[0]} in both its train and its test list.")
