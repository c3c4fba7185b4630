"""Copies and near copies of training clips among test clips are found, and different clips are not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from last.data.store.clip import Clip
from last.data.store.copies import Copies, copies_message, find_copies
from last.data.store.reader import Store, write_store

Array = np.ndarray


def movement(seed: int, frames: int = 20, bodies: int = 1) -> Array:
    """Return a smooth movement of bodies of 25 joints, in metres."""
    random = np.random.default_rng(seed)
    posture = random.normal(size=(bodies, 1, 25, 3)) * 0.4
    phase = np.linspace(0, np.pi, frames)[None, :, None, None]
    swing = random.normal(size=(bodies, 1, 25, 3)) * 0.2
    return posture + swing * np.sin(phase) + np.array([0.0, 0.0, 3.0])


def still(seed: int, noise: float = 0.002) -> Array:
    """Return a person who stands still, measured with noise; the posture is always the same."""
    return movement(7, frames=1).repeat(15, axis=1) + np.random.default_rng(seed).normal(size=(1, 15, 25, 3)) * noise


def store_of(folder: Path, *clips: Array) -> Store:
    """Return a store of clips, of which the first is to be tested."""
    made = [
        Clip(f"clip{number}", joints.astype(np.float32), np.ones(joints.shape[:2], np.bool_), 0)
        for number, joints in enumerate(clips)
    ]
    return write_store(folder / "store", made, name="tiny", layout="ntu25", classes=["move"])


def copied(folder: Path, tested: Array, *trained: Array) -> list[int]:
    """Return the training clips of which the tested clip is a copy."""
    store = store_of(folder, tested, *trained)
    return find_copies(store, np.arange(1, len(store)), np.array([0])).train.tolist()


def slower(clip: Array) -> Array:
    """Return a clip with twice the frames, interpolated."""
    between = (clip[:, :-1] + clip[:, 1:]) / 2
    return np.concatenate([np.stack([clip[:, :-1], between], axis=2).reshape(1, -1, 25, 3), clip[:, -1:]], axis=1)


CHANGES: dict[str, Callable[[Array], Array]] = {
    "nothing": lambda clip: clip,
    "another place": lambda clip: clip + np.array([1.0, -2.0, 0.5]),
    "millimetres": lambda clip: clip * 1000,
    "three decimals": lambda clip: clip.round(3),
    "another frame rate": slower,
    "little noise": lambda clip: clip + np.random.default_rng(1).normal(size=clip.shape) * 0.0015,
    "a second body": lambda clip: np.concatenate([clip, movement(9)]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found_whatever_was_done_to_it(tmp_path: Path, change: str) -> None:
    others = [movement(seed) for seed in range(20, 30)]
    assert copied(tmp_path, CHANGES[change](movement(1)), *others, movement(1)) == [11]


def test_different_movements_and_two_recordings_of_a_still_person_are_no_copies(tmp_path: Path) -> None:
    assert not copied(tmp_path / "a", movement(1), *(movement(seed) for seed in range(2, 30)))
    assert not copied(tmp_path / "b", still(1), still(2), still(3))
    assert copied(tmp_path / "c", still(1), still(2), still(1)) == [2]


def test_a_second_body_that_moves_otherwise_makes_another_clip(tmp_path: Path) -> None:
    pair = movement(1, bodies=2)
    other = np.concatenate([pair[:1], movement(5)])
    assert not copied(tmp_path, pair, other)


def test_clips_of_a_single_point_and_empty_parts_have_no_copies(tmp_path: Path) -> None:
    assert not copied(tmp_path / "point", np.zeros((1, 4, 25, 3)), np.zeros((1, 4, 25, 3)))
    store = store_of(tmp_path / "none", movement(1))
    assert not len(find_copies(store, np.array([], int), np.array([0])))
    assert not len(find_copies(store, np.array([0]), np.array([], int)))


def test_among_many_copies_each_tested_clip_is_named_once(tmp_path: Path) -> None:
    store = store_of(tmp_path, *(movement(number % 3) for number in range(200)))
    found = find_copies(store, np.arange(100, 200), np.arange(100))
    assert found.test.tolist() == list(range(100))
    assert all(train % 3 == test % 3 for test, train in zip(found.test, found.train, strict=True))


def test_noisy_copies_are_found_on_every_side_of_the_grid(tmp_path: Path) -> None:
    trained = [movement(seed) for seed in range(60)]
    tested = [CHANGES["little noise"](clip) for clip in trained]
    store = store_of(tmp_path, *tested, *trained)
    found = find_copies(store, np.arange(60, 120), np.arange(60))
    assert (found.train - found.test == 60).all() and len(found) == 60


def test_the_message_names_the_first_pairs() -> None:
    copies = Copies(np.array([0, 1, 2, 3]), np.array([4, 4, 5, 5]))
    message = copies_message(["a", "b", "c", "d", "e", "f"], copies, 9, "test")
    assert (
        message == "4 of 9 test clips are copies, or nearly so, of training clips: a of e, b of e, c of f and 1 more."
    )
