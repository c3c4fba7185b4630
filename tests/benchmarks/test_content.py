"""Made-up clips have the sizes, names and parts of NTU RGB+D 60."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from last.benchmarks.content import clips, lengths, ntu60, planned_clips, write_clips
from last.data.store.protocols import split
from last.utils.errors import UserError


def test_lengths_are_spread_as_real_ones() -> None:
    drawn = lengths(20_000, seed=0)
    assert 82 < drawn.mean() < 87
    assert drawn.min() >= 32
    assert drawn.max() <= 300


def test_every_take_has_a_name_of_its_own_and_there_are_enough_for_the_whole_set() -> None:
    names = [clip.name for clip in planned_clips(40_091, ntu60().protocols["xsub"].train)]
    assert len(set(names)) == 40_091
    assert names[0] == "S001C001P001R001A001"
    with pytest.raises(UserError, match="too many"):
        planned_clips(1_000_000, [1])


def test_a_store_divides_into_the_requested_numbers_of_clips(tmp_path: Path) -> None:
    store = write_clips(tmp_path, train=61, test=7, seed=0)
    parts = split(store.clips, ntu60(), "xsub")
    assert (len(parts.train), len(parts.test)) == (61, 7)
    assert store.clips["label"].tolist()[:61] == [*range(60), 0]


def test_the_same_seed_makes_the_same_clips_and_a_fifth_has_two_bodies() -> None:
    first, second = (list(clips(300, 1, seed=5)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.joints, other.joints)
    assert 30 < Counter(len(clip.joints) for clip in first)[2] < 80


def test_classes_move_differently_and_alike_within_a_class() -> None:
    made = list(clips(240, 1, seed=0))
    moved = {number: np.ptp(clip.joints[0], axis=0).ravel() for number, clip in enumerate(made)}
    assert np.corrcoef(moved[0], moved[60])[0, 1] > 0.9
    assert np.corrcoef(moved[0], moved[1])[0, 1] < 0.7
