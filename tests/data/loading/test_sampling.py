"""From clips of any length to T frames."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from last.data.loading import counter_rng as counter
from last.data.loading.placement import TensorClipReader
from last.data.loading.sampling import ClipSpans, evaluation_positions, presence, read_positions, training_positions
from last.settings.data import SamplingConfig

CROP, UNIFORM = SamplingConfig(method="crop"), SamplingConfig(method="uniform")


def keys(count: int, epoch: int = 0) -> Tensor:
    return counter.clip_keys(0, epoch, torch.arange(count))


@given(
    frames=st.lists(st.integers(1, 400), min_size=1, max_size=6),
    target=st.integers(4, 80),
    method=st.sampled_from(["crop", "uniform"]),
)
def test_every_position_lies_within_its_own_clip_in_order(frames: list[int], target: int, method: str) -> None:
    lengths = torch.tensor(frames)
    config = SamplingConfig(method=method)
    for positions in (
        training_positions(lengths, target, config, keys(len(frames))),
        evaluation_positions(lengths, target, config, torch.arange(len(frames))),
        evaluation_positions(lengths, target, config, torch.arange(len(frames)), test_draw=3),
    ):
        assert positions.shape == (len(frames), target)
        assert (positions >= 0).all()
        assert (positions <= lengths[:, None] - 1).all()
        assert (positions.diff(dim=1) >= 0).all()


def test_training_crops_have_between_half_and_all_of_a_clip() -> None:
    positions = training_positions(torch.full((4000,), 101), 10, CROP, keys(4000))
    shares = (positions[:, -1] - positions[:, 0]) / 100
    assert 0.499 < shares.min() < 0.51
    assert 0.99 < shares.max() <= 1.0


def test_training_crops_are_never_longer_than_the_longest_one_that_is_set() -> None:
    config, clips = SamplingConfig(crop_max=0.3), torch.arange(200)  # less than the default of the shortest one
    frames = torch.full((200,), 101)
    positions = training_positions(frames, 8, config, keys(200))
    torch.testing.assert_close(positions[:, -1] - positions[:, 0], torch.full((200,), 30.0))
    second = evaluation_positions(frames, 8, config, clips, test_draw=1, test_draws=4)
    torch.testing.assert_close(second[:, -1] - second[:, 0], torch.full((200,), 30.0))


def test_training_crops_lie_anywhere_in_a_clip_whatever_their_length() -> None:
    positions = training_positions(torch.full((4000,), 101), 10, CROP, keys(4000))
    shares, starts = (positions[:, -1] - positions[:, 0]) / 100, positions[:, 0] / 100
    places = starts / (1 - shares)  # 0 at the beginning of the clip, 1 at its end
    assert places.min() < 0.01 and 0.99 < places.max() <= 1.001
    assert abs(torch.corrcoef(torch.stack([shares, places]))[0, 1]) < 0.05


def test_test_crop_is_the_centre_of_the_clip() -> None:
    positions = evaluation_positions(torch.tensor([101]), 11, CROP, torch.tensor([0]))
    torch.testing.assert_close(positions, torch.linspace(2.5, 97.5, 11)[None])


def test_uniform_sampling_takes_one_frame_of_each_segment() -> None:
    positions = training_positions(torch.full((50,), 80), 8, UNIFORM, keys(50))
    assert torch.equal(torch.div(positions, 10, rounding_mode="floor"), torch.arange(8.0).expand(50, 8))
    assert len(positions.unique(dim=0)) > 40


def test_test_draws_differ_and_are_fixed() -> None:
    lengths, numbers = torch.tensor([200, 90]), torch.tensor([4, 9])
    draws = [evaluation_positions(lengths, 16, UNIFORM, numbers, draw) for draw in (0, 1, 2, 1)]
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[1], draws[2])
    assert torch.equal(draws[1], draws[3])


def read(joints: np.ndarray, valid: np.ndarray, positions: list[float], bodies: int = 1) -> tuple[Tensor, Tensor]:
    """Read one clip that fills a whole store."""
    frames = len(valid) // bodies
    places = ClipSpans(torch.tensor([0]), torch.tensor([frames]), torch.tensor([bodies]))
    clips = TensorClipReader(torch.from_numpy(joints), torch.from_numpy(valid))
    found = read_positions(clips, places, torch.tensor([positions]), 2)
    assert torch.equal(presence(clips, places, torch.tensor([positions]), 2), found[1])
    assert found[2] is None
    return found[:2]


def ramp(rows: int) -> np.ndarray:
    return np.arange(rows, dtype=np.float32)[:, None, None] * np.ones((1, 25, 3), np.float32)


def test_reading_between_frames_interpolates() -> None:
    joints, present = read(ramp(4), np.ones(4, bool), [0.0, 0.25, 1.5, 3.0])
    torch.testing.assert_close(joints[0, 0, :, 0, 0], torch.tensor([0.0, 0.25, 1.5, 3.0]))
    assert present[0, 0].all()


def test_a_body_that_the_clip_does_not_have_is_zero_and_absent() -> None:
    joints, present = read(ramp(4) + 1, np.ones(4, bool), [0.0, 1.5])
    assert not joints[0, 1].any()
    assert not present[0, 1].any()


def test_second_body_is_read_from_its_own_rows() -> None:
    joints, _ = read(ramp(8), np.ones(8, bool), [0.5, 3.0], bodies=2)
    torch.testing.assert_close(joints[0, :, :, 0, 0], torch.tensor([[0.5, 3.0], [4.5, 7.0]]))


@pytest.mark.parametrize(("position", "value", "there"), [(0.4, 5.0, True), (0.6, 0.0, False), (1.7, 7.0, True)])
def test_absent_frames_are_never_interpolated_across(position: float, value: float, there: bool) -> None:
    joints = ramp(3) + 5
    joints[1] = 0.0
    read_joints, present = read(joints, np.array([True, False, True]), [position])
    assert bool(present[0, 0, 0]) == there
    torch.testing.assert_close(read_joints[0, 0, 0, 0, 0], torch.tensor(value))
