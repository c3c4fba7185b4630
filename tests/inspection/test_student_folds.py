"""Which clips students are trained and tested on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from last.data.store.clip import Clip
from last.data.store.reader import Store, write_store
from last.data.store.recordings import RECORDING
from last.inspection.student_folds import FOLDS, divide, parts_of
from last.utils.errors import UserError


def store_of(
    folder: Path, labels: Sequence[int], subjects: Sequence[int] = (), copies: Sequence[tuple[int, int]] = ()
) -> Store:
    """Return a store of clips of two frames with these labels; the second clip of each pair is a copy of the first."""
    generator = np.random.default_rng(0)
    joints = generator.normal(size=(len(labels), 1, 2, 20, 3)).astype(np.float32)
    for first, second in copies:
        joints[second] = joints[first]
    clips = [
        Clip(
            name=f"clip{number:03}",
            joints=joints[number],
            frame_mask=np.ones((1, 2), np.bool_),
            label=label,
            subject=subjects[number] if subjects else 0,
        )
        for number, label in enumerate(labels)
    ]
    classes = [f"class {label}" for label in range(max(labels) + 1)]
    return write_store(folder / "tiny", clips, name="tiny", layout="kinect20", classes=classes)


def test_clips_of_a_subject_are_in_one_fold_and_every_fold_has_every_class(tmp_path: Path) -> None:
    subjects = [1 + number // 10 for number in range(80)]
    division = divide(store_of(tmp_path, [number % 2 for number in range(80)], subjects), seed=0)
    assert division.by == "subject"
    for subject in range(1, 9):
        assert len(set(division.folds[np.array(subjects) == subject])) == 1
    assert all(set(division.labels[division.of_fold(fold)]) == {0, 1} for fold in range(1, FOLDS + 1))


@pytest.mark.parametrize(
    "subjects",
    [[0] * 5 + [1 + number % 8 for number in range(75)], [1 + number % 3 for number in range(80)]],
    ids=["some unknown", "too few"],
)
def test_subjects_that_are_too_few_or_partly_unknown_are_not_used(tmp_path: Path, subjects: list[int]) -> None:
    assert divide(store_of(tmp_path, [number % 2 for number in range(80)], subjects), seed=0).by == "clip"


def test_subjects_are_not_used_where_only_one_of_them_shows_a_class(tmp_path: Path) -> None:
    labels = [0, 1] * 36 + [2] * 8
    division = divide(store_of(tmp_path, labels, [1 + number // 8 for number in range(80)]), seed=0)
    assert division.by == "clip"
    assert len(set(division.folds[division.labels == 2])) > 1


def test_all_copies_of_a_clip_are_in_one_fold(tmp_path: Path) -> None:
    copies = [(0, 21), (0, 42), (0, 63), (5, 70), (5, 11)]
    division = divide(store_of(tmp_path, [number % 2 for number in range(80)], copies=copies), seed=0)
    assert len(set(division.folds[[0, 21, 42, 63]])) == 1
    assert len(set(division.folds[[5, 70, 11]])) == 1


def test_classes_with_few_clips_are_left_out_with_a_remark(tmp_path: Path) -> None:
    division = divide(store_of(tmp_path, [0, 1] * 20 + [2]), seed=0)
    assert division.clips.tolist() == list(range(40))
    assert division.remarks == ("1 class with fewer than 8 clips could not be judged.",)


def test_a_large_set_is_sampled_class_by_class_with_a_remark(tmp_path: Path) -> None:
    division = divide(store_of(tmp_path, [0] * 120 + [1] * 30 + [2] * 10), seed=0, most=80)
    assert np.bincount(division.labels).tolist() == [60, 15, 8]
    assert division.remarks == ("83 of 160 clips, a share of every class, were used.",)


@pytest.mark.parametrize(
    "labels", [[0] * 50, [0] * 50 + [1], list(range(10)), [0]], ids=["one", "a clip", "one each", "one clip"]
)
def test_sets_without_two_classes_of_some_clips_are_refused_with_the_reason(tmp_path: Path, labels: list[int]) -> None:
    with pytest.raises(UserError, match=r"two classes with 8 clips or more, and the data set has [01] class"):
        divide(store_of(tmp_path, labels), seed=0)


def test_a_set_that_is_mostly_copies_is_refused(tmp_path: Path) -> None:
    copies = [(0, number) for number in range(2, 40, 2)] + [(1, number) for number in range(3, 40, 2)]
    with pytest.raises(UserError, match="Without copies"):
        divide(store_of(tmp_path, [0, 1] * 20, copies=copies), seed=0)


def test_windows_of_one_long_recording_are_refused_and_recordings_are_not_divided(tmp_path: Path) -> None:
    store = store_of(tmp_path, [0, 1] * 20)
    columns = np.zeros(40, [*store.clips.dtype.descr, (RECORDING, "<i8")])
    for name in store.clips.dtype.names or ():
        columns[name] = store.clips[name]
    store.clips = columns
    with pytest.raises(UserError, match="parts of 1 recording, and students need 4"):
        divide(store, seed=0)
    store.clips[RECORDING] = np.arange(40) // 5
    division = divide(store, seed=0)
    assert division.by == RECORDING
    assert all(len(set(division.folds[store.clips[RECORDING] == number])) == 1 for number in range(8))


def test_a_smaller_part_has_its_share_of_every_class_and_lies_in_a_larger_one() -> None:
    labels, train = np.array([0] * 40 + [1] * 8 + [2]), np.arange(49)
    quarter, half = (parts_of(labels, train, share, seed=3) for share in (0.25, 0.5))
    assert np.bincount(labels[quarter]).tolist() == [10, 2, 1]
    assert set(quarter) <= set(half)
    assert parts_of(labels, train, 1.0, seed=3).tolist() == train.tolist()
