"""Noise, another camera and fewer frames: what is done to tested clips, and that it is the same every time."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from last.data.loading.disturbance import Disturbance, body_size, thinned
from last.data.loading.loader import Batch, ClipDataset
from last.data.loading.placement import FileClipReader
from last.data.loading.samplers import BatchIndices
from last.data.store.find_store import find_store
from last.data.store.reader import Store
from last.settings.data import SamplingConfig
from last.settings.run import RunConfig
from last.skeleton import load_layout

NTU = load_layout("ntu25")
WHOLE = SamplingConfig(test_crop=1.0)


@pytest.fixture
def store(tiny_config: Callable[..., RunConfig]) -> Store:
    config = tiny_config()
    return find_store(config.data, Path(config.data_root))


def batch_of(store: Store, clips: list[int], frames: int = 8) -> Batch:
    numbers = torch.tensor(clips)
    return ClipDataset(store, frames, WHOLE, training=False)[BatchIndices(numbers, numbers)]


def test_a_camera_is_turned_to_both_sides_and_every_joint_keeps_its_height_and_distance(store: Store) -> None:
    batch = batch_of(store, list(range(12)))
    turned = Disturbance(NTU, turn=30.0)(batch).joints
    torch.testing.assert_close(turned[:, 1], batch.joints[:, 1])
    torch.testing.assert_close(turned.square().sum(dim=1), batch.joints.square().sum(dim=1))
    x, z = (batch.joints[:, axis, 0, 0, 0] for axis in (0, 2))
    angles = torch.atan2(turned[:, 2, 0, 0, 0], turned[:, 0, 0, 0, 0]) - torch.atan2(z, x)
    degrees = (torch.rad2deg(angles) + 180) % 360 - 180
    torch.testing.assert_close(degrees.abs(), torch.full((12,), 30.0), atol=1e-2, rtol=0)
    assert len(degrees.sign().unique()) == 2


def test_jitter_has_the_deviation_that_it_states_and_leaves_absent_bodies_alone(store: Store) -> None:
    batch = batch_of(store, list(range(24)))
    noisy = Disturbance(NTU, jitter=0.1)(batch).joints
    size = body_size(batch.joints, batch.mask)[:, None, None, None, None]
    there = batch.frame_mask.permute(0, 2, 1)[:, None, :, None, :].expand(noisy.shape)
    noise = ((noisy - batch.joints) / size)[there]
    assert noise.std().item() == pytest.approx(0.1, rel=0.05)
    assert torch.equal(noisy[~there], batch.joints[~there])


def test_a_disturbance_is_the_same_in_every_batch(store: Store) -> None:
    disturb = Disturbance(NTU, jitter=0.05, turn=45.0)
    together, alone = disturb(batch_of(store, [3, 4, 5])), disturb(batch_of(store, [4]))
    torch.testing.assert_close(together.joints[1:2], alone.joints)


def test_the_size_of_a_body_is_that_of_its_measured_joints() -> None:
    joints = torch.zeros(1, 3, 2, 2, 1)
    joints[0, 0, :, 0], joints[0, 0, :, 1] = 3.0, -3.0
    joints[0, 0, 1] = 100.0  # not measured
    mask = torch.tensor([[[[True, True], [False, False]]]])
    assert body_size(joints, mask).tolist() == [3.0]


@pytest.mark.parametrize("step", [2, 3, 100])
def test_a_thinned_store_has_every_few_frames_of_each_body(store: Store, step: int) -> None:
    view, reader = thinned(store, FileClipReader(store), step)
    for number in (0, 1, 23):
        clip, row = store[number], view.clips[number]
        kept = clip.joints[:, ::step]
        assert (int(row["frames"]), int(row["bodies"])) == (kept.shape[1], kept.shape[0])
        rows = torch.arange(int(row["offset"]), int(row["offset"]) + kept.shape[0] * kept.shape[1])
        assert np.array_equal(reader.joints_at(rows).numpy().reshape(kept.shape), kept)


def test_a_thinned_store_is_read_between_the_frames_that_it_has(store: Store) -> None:
    view, reader = thinned(store, FileClipReader(store), 2)
    numbers = torch.tensor([0])
    frames = len(range(0, store[0].joints.shape[1], 2))
    dataset = ClipDataset(view, 2 * frames - 1, WHOLE, training=False, clips=reader)
    joints = dataset[BatchIndices(numbers, numbers)].joints[0, ..., 0].permute(1, 2, 0).numpy()
    kept = store[0].joints[0, ::2]
    np.testing.assert_allclose(joints[::2], kept, atol=1e-5)
    np.testing.assert_allclose(joints[1::2], (kept[1:] + kept[:-1]) / 2, atol=1e-5)
