"""The last frames of a person: order, size, and regular times."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from last.live.frame_history import History


def frame(value: float) -> np.ndarray:
    return np.full((2, 3), value, np.float32)


def history(*times: float, capacity: int = 8) -> History:
    made = History(capacity, 2, 3)
    for time in times:
        made.add(time, frame(time))
    return made


@given(st.lists(st.integers(0, 400), min_size=1, max_size=60))
def test_frames_of_any_order_lie_in_the_order_of_their_times_and_the_newest_stay(times: list[int]) -> None:
    made = history(*map(float, times), capacity=10)
    kept = made._times[: len(made)]
    assert len(made) <= 20 and (np.diff(kept) > 0).all()
    assert (made._joints[: len(made), 0, 0] == kept).all()
    newest = sorted(set(times))[-1]
    assert made.newest == newest


def test_a_second_frame_of_the_same_time_is_dropped() -> None:
    made = history(1.0, 2.0)
    assert not made.add(1.0, frame(7)) and made.add(1.5, frame(1.5))
    assert len(made) == 3


def test_its_memory_does_not_grow() -> None:
    made = history()
    before = made.nbytes
    for number in range(1000):
        made.add(float(number), frame(number))
    assert made.nbytes == before and len(made) <= 16
    assert made.newest == 999


def test_regular_times_are_interpolated_and_end_at_the_newest_frame() -> None:
    made = history(0.0, 0.1, 0.3, 0.4)
    found = made.resampled(0.0, 0.4, 10.0, 0.5)
    np.testing.assert_allclose(found[:, 0, 0], [0.0, 0.1, 0.2, 0.3, 0.4], atol=1e-6)
    assert len(made.resampled(0.25, 0.4, 10.0, 0.5)) == 2  # from the first frame after the start


@pytest.mark.parametrize("rate", [15.0, 60.0])
def test_another_frame_rate_gives_as_many_frames_as_are_asked_for(rate: float) -> None:
    made = history(*np.arange(0, 1.0001, 1 / rate), capacity=100)
    assert len(made.resampled(0.0, made.newest, 30.0, 0.5)) == 31


def test_where_nobody_was_seen_for_long_the_person_is_absent() -> None:
    made = history(0.0, 0.1, 2.0, 2.1)
    found = made.resampled(0.0, 2.1, 10.0, 0.5)
    absent = np.isnan(found).all(axis=(1, 2))
    assert absent[7:15].all() and not absent[:6].any() and not absent[-6:].any()  # further than 0.5 s from a frame


def test_a_joint_that_one_of_two_frames_lacks_is_that_of_the_nearer_frame() -> None:
    made = History(8, 2, 3)
    lacking = frame(1.0)
    lacking[1] = np.nan
    made.add(0.0, frame(0.0))
    made.add(1.0, lacking)
    found = made.resampled(0.0, 1.0, 4.0, 2.0)
    np.testing.assert_allclose(found[:, 0, 0], [0, 0.25, 0.5, 0.75, 1.0])
    np.testing.assert_array_equal(np.isnan(found[:, 1, 0]), [False, False, True, True, True])


def test_one_frame_and_none_are_recordings_too() -> None:
    assert history(3.0).resampled(0.0, 3.0, 30.0, 0.5).shape == (1, 2, 3)
    assert history().resampled(0.0, 3.0, 30.0, 0.5).shape == (0, 2, 3)
    assert history(3.0).resampled(0.0, 2.0, 30.0, 0.5).shape == (0, 2, 3)
