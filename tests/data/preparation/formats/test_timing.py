"""Frames at equal intervals, from timestamps or another frame rate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from last.data.preparation.formats import BadClip
from last.data.preparation.formats.timing import Timing, clip_frames


def values_at(times: list[float] | np.ndarray, fps: float = 0.0) -> tuple[np.ndarray, float]:
    """Return what a recording whose values are its times has at the frames of its clip, and their rate."""
    frames = clip_frames("clip", len(times), Timing(times=np.array(times)), fps)
    assert frames is not None
    return frames.of(np.array(times)[None, :, None])[0, :, 0], frames.fps


def test_a_recording_without_times_stays_as_it_is() -> None:
    for timing, fps in ((Timing(), 30.0), (Timing(fps=25.0), 0.0), (Timing(fps=25.0), 25.0)):
        assert clip_frames("clip", 9, timing, fps) is None


@given(st.integers(1, 60), st.sampled_from([5.0, 12.5, 24.0, 29.97, 30.0, 60.0]), st.sampled_from([10.0, 30.0, 50.0]))
def test_another_rate_samples_the_same_movement(count: int, own: float, wanted: float) -> None:
    frames = clip_frames("clip", count, Timing(fps=own), wanted)
    if own == wanted:
        assert frames is None
        return
    assert frames is not None and frames.fps == wanted
    found = frames.of((np.arange(count) / own)[None, :, None])[0, :, 0]
    np.testing.assert_allclose(found, np.arange(len(found)) / wanted, atol=1e-9)
    assert len(found) == int(np.floor((count - 1) / own * wanted + 1e-6)) + 1


def test_regular_times_keep_every_frame_and_give_the_rate() -> None:
    times = np.arange(20) / 30 + 1700000000  # as of a clock
    found, fps = values_at(times)
    np.testing.assert_array_equal(found, times)
    assert fps == pytest.approx(30, rel=1e-4)


def test_uneven_times_are_interpolated_to_even_ones() -> None:
    random = np.random.default_rng(0)
    found, fps = values_at(np.cumsum(random.uniform(0.03, 0.04, 50)) - 0.02)
    assert 25 < fps < 34
    np.testing.assert_allclose(np.diff(found), 1 / fps, atol=1e-9)


def test_frames_within_a_gap_are_missing_and_their_number_is_that_of_the_time() -> None:
    found, fps = values_at([0.0, 0.1, 0.2, 0.7, 0.8])
    assert fps == pytest.approx(10)
    np.testing.assert_allclose(found, [0, 0.1, 0.2, np.nan, np.nan, np.nan, np.nan, 0.7, 0.8], atol=1e-9)


def test_frames_whose_time_repeats_or_runs_backwards_are_left_out_and_counted() -> None:
    times = np.array([0.0, 0.1, 0.1, 0.2, 0.15, 0.3, 0.4])
    frames = clip_frames("clip", len(times), Timing(times=times), 0.0)
    assert frames is not None
    assert (frames.repeated, frames.backward, frames.gaps) == (1, 1, 0)
    np.testing.assert_allclose(frames.of(times[None, :, None])[0, :, 0], [0, 0.1, 0.2, 0.3, 0.4], atol=1e-9)


@pytest.mark.parametrize(
    ("times", "problem"),
    [
        (np.arange(9) * 33.3, "0.03003 frames per second: they should be in seconds"),
        (np.arange(9) * 33333.0, "in seconds"),
        (np.arange(9) * 1e-5, "1e\\+05 frames per second"),
        (np.arange(9)[::-1] * 0.1, "run backwards"),
        (np.zeros(9), "repeat or run backwards"),
        (np.arange(8) * 0.1, r"shape \(8,\) for 9 frames"),
        (np.r_[np.arange(8) * 0.1, np.nan], "frame 9 has no finite timestamp"),
        (np.r_[np.arange(8) * 0.1, 1e9], "frames at 10 frames per second, at most"),
    ],
)
def test_times_that_cannot_be_are_refused_with_the_reason(times: np.ndarray, problem: str) -> None:
    with pytest.raises(BadClip, match=problem):
        clip_frames("clip", 9, Timing(times=times), 0.0)


def test_a_single_frame_has_no_rate() -> None:
    frames = clip_frames("clip", 1, Timing(times=np.array([3.0])), 30.0)
    assert frames is not None and frames.fps == 0 and len(frames.before) == 1


def test_a_missing_value_is_taken_from_the_nearer_frame() -> None:
    frames = clip_frames("clip", 3, Timing(fps=10.0), 15.0)
    assert frames is not None
    values = np.array([1.0, np.nan, 3.0])[None, :, None]
    np.testing.assert_allclose(frames.of(values)[0, :, 0], [1.0, np.nan, np.nan, 3.0])


def test_a_mixed_frame_has_the_lower_confidence_of_its_neighbours() -> None:
    frames = clip_frames("clip", 3, Timing(fps=10.0), 20.0)
    assert frames is not None
    certain = np.array([0.9, 0.0, 0.9])[None, :, None]
    np.testing.assert_allclose(frames.confidence_of(certain)[0, :, 0], [0.9, 0.0, 0.0, 0.0, 0.9])


def test_two_frames_before_an_earlier_one_are_counted_as_two() -> None:
    times = np.array([0.0, 0.1, 0.2, 0.3, 0.12, 0.17, 0.4, 0.5])
    frames = clip_frames("clip", len(times), Timing(times=times), 0.0)
    assert frames is not None and (frames.backward, frames.repeated) == (2, 0)
    assert frames.repairs == "2 frames before an earlier one"
