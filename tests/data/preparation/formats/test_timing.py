"""Frames at equal intervals, from timestamps or another frame rate."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from last.data.preparation.formats import BadClip
from last.data.preparation.formats.timing import Timing, clip_frames, timing_of_rate
from last.settings.data import FASTEST, SLOWEST


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


def test_of_a_missing_and_a_measured_neighbour_the_nearer_one_decides() -> None:
    frames = clip_frames("clip", 2, Timing(fps=10.0), 40.0)
    assert frames is not None
    np.testing.assert_allclose(frames.of(np.array([1.0, np.nan])[None, :, None])[0, :, 0], [1, 1, 1, np.nan, np.nan])
    np.testing.assert_allclose(frames.of(np.array([np.nan, 1.0])[None, :, None])[0, :, 0], [np.nan] * 3 + [1, 1])


def test_beside_a_gap_a_frame_within_half_an_interval_is_the_recorded_one() -> None:
    found, _ = values_at([0.0, 0.1, 0.2, 0.7, 0.8], fps=30.0)
    assert found[7] == 0.2 and np.isnan(found[8])  # 0.03 s and 0.07 s after 0.2
    assert np.isnan(found[19]) and found[20] == 0.7  # 0.07 s and 0.03 s before 0.7


@pytest.mark.parametrize("fps", [7.0, 12.5, 15.0, 24.0, 25.0, 29.97, 30.0, 59.94, 60.0, 120.0])
@pytest.mark.parametrize("unit", [0.001, 0.0001, 1e-6])
@pytest.mark.parametrize("rounded", [np.round, np.floor])
@pytest.mark.parametrize("start", [0.0, 12.345, 1_700_000_000.0])
def test_rounded_timestamps_of_a_constant_rate_give_this_rate_and_every_frame(
    fps: float, unit: float, rounded: Callable[[np.ndarray], np.ndarray], start: float
) -> None:
    times = rounded((start + np.arange(400) / fps) / unit) * unit
    for wanted in (0.0, fps):
        frames = clip_frames("clip", len(times), Timing(times=times), wanted)
        assert frames is not None and (frames.weight == 0).all() and not frames.repairs
        np.testing.assert_array_equal(frames.before, np.arange(400))
        assert frames.fps == pytest.approx(fps, rel=1e-5)


def test_few_timestamps_in_milliseconds_give_the_whole_rate_that_fits_them() -> None:
    assert values_at([0.0, 0.033, 0.067, 0.1])[1] == 30
    assert values_at([0.0, 0.016, 0.033, 0.05, 0.067])[1] == 60


def test_frames_dropped_from_a_constant_rate_leave_the_others_unmixed() -> None:
    times = np.delete(np.round(np.arange(100) / 30, 3), [10, 50, 51, 52])
    frames = clip_frames("clip", len(times), Timing(times=times), 0.0)
    assert frames is not None and (frames.fps, frames.gaps, len(frames.before)) == (30, 2, 100)
    assert np.flatnonzero(frames.absent).tolist() == [10, 50, 51, 52]
    assert frames.repairs == "2 gaps"
    assert (frames.weight == np.round(frames.weight)).all()


def test_times_that_vary_by_more_than_their_unit_are_not_those_of_a_constant_rate() -> None:
    times = np.array([0.0, 0.030, 0.070, 0.097, 0.140, 0.164, 0.200])
    frames = clip_frames("clip", len(times), Timing(times=times), 0.0)
    assert frames is not None and frames.weight.any()


@pytest.mark.parametrize("fps", [0.0, 0.49, 1000.5, np.nan, np.inf, -30.0])
def test_an_implausible_rate_is_refused_with_its_line(fps: float) -> None:
    with pytest.raises(BadClip, match=r"line 7.*`fps` should be a number from 0\.5 to 1000, not"):
        timing_of_rate("clip", fps, 7)
    assert timing_of_rate("clip", 0.5) == Timing(fps=0.5)


REGULAR = np.arange(50) / 25


@pytest.mark.parametrize("frame", [0, 1, 5, 30, 47])
def test_one_frame_of_a_far_later_time_is_left_out_and_counted_and_no_other(frame: int) -> None:
    times = REGULAR.copy()
    times[frame] = 500.0
    frames = clip_frames("clip", 50, Timing(times=times), 0.0)
    assert frames is not None and (frames.ahead, frames.backward, frames.repeated) == (1, 0, 0)
    assert frames.repairs.startswith("1 frame of a time after the next ones")
    assert frame not in frames.before.tolist() and frames.fps == pytest.approx(25)
    found = frames.of(times[None, :, None])[0, :, 0]
    np.testing.assert_allclose(found[~frames.absent], np.delete(REGULAR, frame), atol=1e-9)
    assert frames.recorded is not None and (np.delete(frames.recorded, frame) >= 0).all()


@pytest.mark.parametrize(("frame", "where"), [(0, "between frames 1 and 2"), (49, "between frames 49 and 50")])
def test_a_recording_that_is_mostly_one_gap_is_refused_with_its_place(frame: int, where: str) -> None:
    times = REGULAR.copy()
    times[frame] = -500.0 if frame == 0 else 500.0
    with pytest.raises(BadClip, match=f"nothing was recorded for 50[0-9] s {where}|for 498 s {where}"):
        clip_frames("clip", 50, Timing(times=times), 0.0)


def test_a_long_gap_between_longer_parts_is_kept_and_its_length_is_in_the_report() -> None:
    times = np.r_[np.arange(500) / 25, 35 + np.arange(500) / 25]
    frames = clip_frames("clip", 1000, Timing(times=times), 0.0)
    assert frames is not None and frames.repairs == "1 gap, the longest of 15 s"


@pytest.mark.parametrize("last", [1e9, 1e300, 1.7e308])
def test_an_absurd_time_is_refused_in_a_short_message(last: float) -> None:
    with pytest.raises(BadClip, match="look for a wrong timestamp") as caught:
        clip_frames("clip", 50, Timing(times=np.r_[REGULAR[:-1], last]), 1000.0)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("times", "fps", "frames", "repeated"),
    [
        ([0.0, 2.6e-7, 0.066666], 15.0, 2, 1),
        ([0.0, 3e-7, 0.0666], 15.0, 2, 1),
        (np.repeat(np.arange(31) / 30, 2) + np.tile([0.0, 1e-6], 31), 30.0, 31, 31),  # each frame written twice
        (np.repeat(np.arange(31) / 30, 2) + np.tile([0.0, 1e-4], 31), 30.0, 31, 31),
    ],
)
def test_a_frame_taken_almost_at_the_same_time_as_the_one_before_is_one_of_a_repeated_time(
    times: list[float], fps: float, frames: int, repeated: int
) -> None:
    found = clip_frames("clip", len(times), Timing(times=np.array(times)), 0.0)
    assert found is not None
    assert (found.fps, len(found.before), found.repeated) == (pytest.approx(fps, rel=0.01), frames, repeated)


@given(st.lists(st.floats(0, 60), min_size=2, max_size=40))
def test_whatever_the_times_the_rate_is_plausible_or_they_are_refused(times: list[float]) -> None:
    try:
        found = clip_frames("clip", len(times), Timing(times=np.array(times)), 0.0)
    except BadClip:
        return
    assert found is None or found.fps == 0 or SLOWEST <= found.fps <= FASTEST
