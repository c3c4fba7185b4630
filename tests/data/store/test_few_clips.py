"""Choosing clips: a few that are spread over the classes, or those that are named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from last.data.store.few_clips import clips_named, clips_of_classes, spread_over_classes
from last.utils.errors import UserError


@given(labels=st.lists(st.integers(-1, 6), max_size=60), most=st.integers(1, 70))
def test_as_many_as_possible_are_chosen_and_every_class_that_has_room(labels: list[int], most: int) -> None:
    array = np.array(labels, np.int64)
    chosen = spread_over_classes(array, most)
    assert chosen == sorted(set(chosen)) and len(chosen) <= min(most, len(labels))
    assert len(set(array[chosen].tolist())) == min(most, len(set(labels)))
    assert len(chosen) == min(most, len(labels))


def test_a_large_class_gives_what_small_ones_cannot() -> None:
    chosen = spread_over_classes(np.array([0] * 20 + [1]), 12)
    assert len(chosen) == 12 and 20 in chosen


def test_chosen_clips_lie_at_equal_distances() -> None:
    assert spread_over_classes(np.zeros(100, np.int64), 4) == [0, 25, 50, 75]


def test_named_clips_come_in_the_order_of_their_names_and_once() -> None:
    assert clips_named(["b", "a", "b"], ["a", "b", "c"]) == [1, 0]


def test_an_unknown_name_has_the_nearest_ones() -> None:
    with pytest.raises(UserError, match=r"no clip 'walk_3'. The nearest: walk_2, walk_1\."):
        clips_named(["walk_3"], ["walk_1", "walk_2", "sit"])
    with pytest.raises(UserError, match=r"no clip '\?\[31m'. There are 1, such as sit\."):
        clips_named(["\x1b[31m"], ["sit"])


def test_classes_choose_their_clips() -> None:
    assert clips_of_classes(["b"], ["a", "b"], np.array([0, 1, -1, 1])).tolist() == [1, 3]
