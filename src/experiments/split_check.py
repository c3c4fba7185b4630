"""Checks of a run's clips before it trains: copies, no shape, one frame, not centred, and those of its split."""

import logging
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..data.loading.run_data import clips_used, training_clips
from ..data.store.clip_faults import clips_at_one_point, clips_off_center, fault_message, still_clips
from ..data.store.copies import copies_message, find_copies
from ..data.store.protocols import Split, hold_out, labelled, split
from ..data.store.reader import Store
from ..data.store.suitability import split_warnings
from ..runtime.distributed import World
from ..settings.data import DataConfig
from ..settings.run import RunConfig
from ..utils.errors import UserError
from ..utils.program import program

_log = logging.getLogger(__name__)


def check_split(config: RunConfig, store: Store, world: World, *, is_resumed: bool) -> None:
    """Refuse a split that measures or teaches nothing, and warn of other faults; the first process does it for all.

    A run that is resumed is only warned, since earlier versions trained it without this check. So are held-out clips,
    which only choose an epoch.

    Raises:
        UserError: test clips are copies, and `data.copies` does not allow it, or the joints of every training clip are
            at one point.
    """
    world.agree(lambda: _check(config, store, is_resumed=is_resumed))


def divided_with_warnings(store: Store, data: DataConfig) -> Split:
    """Return the parts of a data set's protocol, and warn of its faults that the index of the clips shows.

    Raises:
        UserError: a part is empty, or recordings are divided.
    """
    parts = split(store.clips, data)
    for warning in split_warnings(store.clips, data, data.split, parts):
        _log.warning("%s", warning)
    return parts


def refuse_too_few_clips(config: RunConfig, store: Store, parts: Split, title: str) -> None:
    """Refuse training clips of which none could be held out, or left without a label, as a training asks for.

    This depends on the numbers of clips alone, so that it is the same with every seed.

    Args:
        config: that of the training.
        store: its data.
        parts: those of its protocol.
        title: names the training in the message.

    Raises:
        UserError: there are too few clips.
    """
    train = parts.train
    try:
        if config.validation == "split":
            train = hold_out(store.clips, train, config.validation_fraction, config.seed)[0]
        labelled(store.clips, train, config.label_fraction)
    except UserError as error:
        raise UserError(f"{title}: {error}") from error


def _check(config: RunConfig, store: Store, *, is_resumed: bool) -> None:
    parts = divided_with_warnings(store, config.data)
    train, held_out = training_clips(config, store, parts, warns=False)
    tested = {"test": parts.test, "validation": held_out}
    used = clips_used(store, train, config.label_fraction, unlabelled=config.trains_unlabelled)
    _check_shapes(store, used, tested, refuses=not is_resumed)
    _check_movement(store, used, tested)
    _check_centers(store, used)
    if config.data.copies != "allow":
        refuses = config.data.copies == "refuse" and not is_resumed
        _check_copies(store, train, tested, refuses=refuses)


def _check_shapes(
    store: Store, train: NDArray[np.int64], tested: Mapping[str, NDArray[np.int64]], *, refuses: bool
) -> None:
    for what, clips in {"training": train, **tested}.items():
        found = clips_at_one_point(store, clips)
        if not len(found):
            continue
        fault = "have all joints at one point in every frame, such as zeros"
        message = fault_message(store, found, len(clips), what, fault)
        if refuses and what == "training" and len(found) == len(clips):
            raise UserError(
                f"{message} Nothing can be learned from them. Look at the recordings and at the program that wrote "
                f"{store.path}: `{program()} inspect {store.path}` shows its clips."
            )
        _log.warning("%s Nothing can be learned from such clips, or be recognised in them.", message)


def _check_movement(store: Store, train: NDArray[np.int64], tested: Mapping[str, NDArray[np.int64]]) -> None:
    for what, clips in {"training": train, **tested}.items():
        if message := still_clips(store.clips[clips], f"{what} clip"):
            _log.warning("%s", message)


def _check_centers(store: Store, train: NDArray[np.int64]) -> None:
    found = clips_off_center(store, train)
    if not len(found):
        return
    fault = f"do not begin with {store.skeleton.joints[store.skeleton.center]} of the first body at the origin"
    _log.warning(
        "%s Recordings are moved there before they are recognised, so the model would be given others than it was "
        "trained on. Move the clips, as `preprocess` does, before they are written into %s.",
        *(fault_message(store, found, len(train), "training", fault), store.path),
    )


def _check_copies(
    store: Store, train: NDArray[np.int64], parts: Mapping[str, NDArray[np.int64]], *, refuses: bool
) -> None:
    for what, tested in parts.items():
        copies = find_copies(store, train, tested)
        if not len(copies):
            continue
        message = copies_message(store.clips["name"].tolist(), copies, len(tested), what)
        if refuses and what == "test":
            raise UserError(
                f"{message} Such a test measures memory instead of recognition. `{program()} split --dataset D --out "
                f"DIR` lists them all, to leave them out with `{program()} preprocess --ignore FILE`; or choose a "
                "split that has both of a pair in one part; or train anyway with --set data.copies=warn."
            )
        _log.warning("%s", message)
