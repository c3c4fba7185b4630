"""Division of a store's clips into training and test clips.

All functions work on the index of a store, a structured array with one element per clip, and return clip
indices.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...settings.data import DataConfig, ProtocolConfig
from ...settings.splits import PROPERTIES
from ...utils.config import unknown_name
from ...utils.errors import UserError
from ...utils.numbers import counted
from .folds import fold_keys, fold_numbers, name_hashes, share_of_recordings
from .format import PART_PREFIX, TEST, TRAIN, listed_protocols
from .listed_parts import listed_parts
from .recordings import recordings_of

PARTS = ("train", "test")
_FEWEST_FOLDS = 2
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
        UserError: there is no such protocol, it is invalid, it divides a recording, or a needed part is empty.
    """
    parts = divide(clips, config, protocol)
    if problem := divided_recording(clips, config, protocol or config.split, parts):
        raise UserError(problem)
    if problem := empty_part(clips, config, protocol or config.split, parts, needed):
        others = ", ".join(known_protocols(clips, config))
        raise UserError(f"{problem} Prepare more of the data set or choose another --split ({others}).")
    return parts


def divide(clips: NDArray[np.void], config: DataConfig, protocol: str = "") -> Split:
    """Return the same as `split`, but allow empty parts."""
    name = protocol or config.split
    selected = _selected(clips, config)
    if name in config.protocols:
        in_train, in_test = _by_rule(clips, config.protocols[name], selected, f"The protocol {name} of {config.name}")
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
    selected = clips[_selected(clips, config)]
    for part in needed:
        if len(getattr(parts, part)):
            continue
        problem = f"The {part} part of {config.name} {protocol} holds no clip"
        rule = config.protocols.get(protocol)
        if rule is None or rule.by not in PROPERTIES:
            divided = rule is not None and rule.by != "list"
            advice = "; a class gives one to each part if it has at least two" if divided else ""
            return f"{problem} of the {len(selected)} there are{advice}."
        present = ", ".join(map(str, np.unique(selected[rule.by])[:40].tolist()))
        unknown = " (0: not known)" if (selected[rule.by] == 0).any() else ""
        left_out = f" that data.select keeps of {len(clips):,}" if len(selected) < len(clips) else ""
        among = f"among {counted(len(selected), 'clip')}{left_out}"
        return f"{problem}: {among} the values of '{rule.by}' are {present or 'none'}{unknown}."
    return ""


def divided_recording(clips: NDArray[np.void], config: DataConfig, protocol: str, parts: Split) -> str:
    """Return a sentence with the first recording that has clips in both parts, or an empty string."""
    recordings = recordings_of(clips)
    both = np.intersect1d(recordings[parts.train], recordings[parts.test])
    if not len(both):
        return ""
    names = [clips["name"][part[recordings[part] == both[0]][0]] for part in (parts.train, parts.test)]
    return (
        f"{config.name} {protocol} divides {counted(len(both), 'recording')}: {names[0]} trains, and {names[1]} of the "
        "same recording tests. Clips of one recording belong in one part: choose another --split, or divide by "
        "recording with --split_by recording --folds 5."
    )


def known_values(clips: NDArray[np.void], config: DataConfig, by: str) -> NDArray[np.int64]:
    """Return the known values of a property, or the recordings, of the selected clips, ascending."""
    keys = fold_keys(clips, by)
    return np.unique(keys[_selected(clips, config) & (keys >= 0)])


def _by_rule(
    clips: NDArray[np.void], rule: ProtocolConfig, selected: NDArray[np.bool_], what: str
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which clips train and which test, each (N,) bool; `what` names the protocol in errors."""
    _check(rule, what)
    if rule.by == "list":
        return listed_parts(clips, rule, selected, what)
    if rule.folds:
        numbers = fold_numbers(clips, rule.by, rule.folds, rule.seed, selected)
        return (numbers > 0) & (numbers != rule.fold), numbers == rule.fold
    return _by_property(clips, rule) if rule.by in PROPERTIES else _by_file(clips, rule, selected)


def _by_property(clips: NDArray[np.void], rule: ProtocolConfig) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    values = clips[rule.by]
    in_train, in_test = np.isin(values, rule.train), np.isin(values, rule.test)
    known = (values != 0) | (0 in [*rule.train, *rule.test])
    return in_train if rule.train else ~in_test & known, in_test if rule.test else ~in_train & known


def _by_file(
    clips: NDArray[np.void], rule: ProtocolConfig, selected: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Divide each class by a hash of (seed, name); clips of one recording stay together.

    Every class with at least two clips has one in both parts, if each clip is a recording of its own.
    """
    hashes, share = name_hashes(clips["name"], rule.seed), rule.test_share or DEFAULT_TEST_SHARE
    in_test = np.zeros(len(clips), np.bool_)
    used, recordings = np.flatnonzero(selected), recordings_of(clips)[selected]
    if len(np.unique(recordings)) < len(used):
        in_test[used] = share_of_recordings(clips["label"][used], recordings, hashes[used], share)
        return ~in_test, in_test
    for label in np.unique(clips["label"]):
        indices = np.flatnonzero((clips["label"] == label) & selected)
        count = min(max(round(share * len(indices)), 1), len(indices) - 1)
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
    Of long recordings, whole ones are held out, since neighbouring clips of one are too similar.

    Args:
        clips: the index of a store.
        indices: the clips to divide, such as `split(...).train`.
        share: the part held out, above 0 and below 1.
        seed: another seed holds out other clips; the same arguments always hold out the same.

    Raises:
        UserError: the share is outside 0..1, or there are too few clips to hold one out.
    """
    indices = np.sort(indices)
    recordings = recordings_of(clips)[indices]
    if len(np.unique(recordings)) == len(indices) or not 0.0 < share < 1.0:
        return _hold_out_clips(clips, indices, share, seed)
    order = np.random.default_rng(seed).random(len(clips))[indices]
    held = share_of_recordings(clips["label"][indices], recordings, order, share)
    if not held.any():
        raise UserError(
            f"The {len(indices)} training clips are of one recording, so none can be held out to validate on. Use "
            "validation: test."
        )
    return indices[~held], indices[held]


def _hold_out_clips(
    clips: NDArray[np.void], indices: NDArray[np.int64], share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the same as `hold_out`, whatever recording the clips are of."""
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
        return _hold_out_clips(clips, indices, 1.0 - share, seed=0)[0]
    except UserError as error:
        raise UserError(
            f"label_fraction {share:g} leaves none of {len(indices)} labels out. Lower it, or use all with "
            "label_fraction=1."
        ) from error


def _selected(clips: NDArray[np.void], config: DataConfig) -> NDArray[np.bool_]:
    keep = np.ones(len(clips), np.bool_)
    select = config.select
    values = {"setup": select.setups, "camera": select.cameras, "subject": select.subjects}
    for name, wanted in values.items():
        if wanted:
            keep &= np.isin(clips[name], wanted)
    if select.actions:
        keep &= np.isin(clips["label"] + 1, select.actions)
    return keep


def _check(rule: ProtocolConfig, what: str) -> None:
    """Refuse a rule whose keys do not belong together; `what` names the protocol."""
    lists, by = rule.train or rule.test, rule.by
    if by == "list":
        if lists or rule.test_share or rule.seed or rule.folds or rule.fold:
            raise UserError(f"{what} is a list of clips: it takes no other keys than `parts` and `names`.")
        return
    if rule.parts or rule.names:
        raise UserError(f"{what} divides by {by}: parts and names belong to `by: list`.")
    if rule.folds or rule.fold:
        _check_folds(rule, what)
        return
    if by not in PROPERTIES:
        if lists:
            raise UserError(f"{what} divides by {by}: it takes test_share and seed, not `train` or `test`.")
        return
    if rule.test_share or rule.seed:
        raise UserError(f"{what} divides by {by}: test_share and seed belong to `by: file`.")
    if not lists:
        raise UserError(f"{what} lists no {by}: give it a `train` or a `test` list.")
    if both := sorted(set(rule.train) & set(rule.test)):
        raise UserError(f"{what} has {by} {both[0]} in both its train and its test list.")


def _check_folds(rule: ProtocolConfig, what: str) -> None:
    if rule.train or rule.test or rule.test_share:
        raise UserError(f"{what} divides into folds: it takes folds, fold and seed, not train, test or test_share.")
    if rule.folds < _FEWEST_FOLDS or not 1 <= rule.fold <= rule.folds:
        raise UserError(
            f"{what} has folds: {rule.folds} and fold: {rule.fold}. It needs two folds or more, and the fold that "
            "tests is one of them, from 1."
        )
