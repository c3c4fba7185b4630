"""Joints that leave their place slowly."""

import pytest
import torch

from last.data.loading import counter_rng
from last.data.loading.drift import drifting
from last.data.loading.loader import Batch
from last.data.loading.pipeline import InputPipeline
from last.settings.data import AugmentConfig, DataConfig
from last.utils.config import Layer, merge
from last.utils.errors import UserError

KEYS = counter_rng.clip_keys(0, 0, torch.arange(200))


@pytest.mark.parametrize("frames", [2, 9, 64])
@pytest.mark.parametrize("coordinates", [2, 3])
def test_the_displacement_has_the_size_that_was_set_and_no_mean(frames: int, coordinates: int) -> None:
    still = torch.zeros(200, coordinates, frames, 25, 1)
    moved = drifting(still, 0.03, KEYS)
    assert float(moved.square().mean().sqrt()) == pytest.approx(0.03, rel=0.05)
    torch.testing.assert_close(moved.mean(dim=2), torch.zeros(200, coordinates, 25, 1), atol=1e-6, rtol=0)


def test_it_is_slow_and_each_joint_drifts_on_its_own() -> None:
    moved = drifting(torch.zeros(200, 3, 65, 25, 2), 0.03, KEYS)
    assert float(moved.diff(dim=2).square().mean().sqrt()) < 0.004  # of noise in every frame: 0.042
    paths = moved.permute(3, 1, 4, 0, 2).reshape(150, -1)  # of 25 joints, 3 coordinates and 2 bodies
    apart = torch.corrcoef(paths) - torch.eye(150)
    assert float(apart.abs().max()) < 0.3
    kinks = moved.diff(dim=2).diff(dim=2).abs().amax(dim=(0, 1, 3, 4)) > 1e-5
    assert (1 + kinks.nonzero().squeeze(1)).tolist() == [8, 16, 24, 32, 40, 48, 56]


def test_the_drift_of_a_clip_depends_on_nothing_but_its_key() -> None:
    joints = torch.randn(200, 3, 8, 25, 1)
    assert torch.allclose(drifting(joints, 0.1, KEYS)[3:5], drifting(joints[3:5], 0.1, KEYS[3:5]), atol=1e-6)
    assert drifting(joints[:, :, :1], 0.1, KEYS) is not None and torch.equal(
        drifting(joints[:, :, :1], 0.1, KEYS), joints[:, :, :1]
    )


def test_missing_joints_stay_missing_and_tests_see_no_drift() -> None:
    joint_mask = torch.rand(20, 1, 8, 25) < 0.7
    joints = torch.randn(20, 3, 8, 25, 1) * joint_mask.permute(0, 2, 3, 1)[:, None]
    clips = torch.arange(20)
    batch = Batch(joints, joint_mask.any(dim=3), clips, clips, clips, KEYS[:20], joint_mask)
    pipeline = InputPipeline(DataConfig(augment=AugmentConfig(rotation_degrees=[], drift_metres=0.1)))
    drifted = pipeline(batch, training=True)["joint"]
    assert torch.equal(drifted != 0, (joints != 0))
    assert not torch.equal(drifted, joints) and torch.equal(pipeline(batch, training=False)["joint"], joints)


@pytest.mark.parametrize("value", [-0.01, 1001.0])
def test_an_impossible_size_is_refused(value: float) -> None:
    with pytest.raises(UserError, match="drift_metres"):
        merge(AugmentConfig(), [Layer("test", {"drift_metres": value})])
