"""Varying and normalising clips."""

import math

import pytest
import torch
from torch import Tensor

from last.data.loading import counter_rng as counter
from last.data.loading.augment import augment, mirror, rotation_matrices
from last.data.loading.streams import derive_streams
from last.settings.data import AugmentConfig
from last.skeleton import load_layout

LAYOUT = load_layout("ntu25")
PICTURE = load_layout("coco17_2d")
STILL = AugmentConfig(rotation_degrees=[0.0, 0.0, 0.0])


def clips(count: int = 4, bodies: int = 2) -> Tensor:
    return torch.randn(count, 3, 6, 25, bodies)


def pictures(count: int = 4, bodies: int = 2) -> Tensor:
    return torch.randn(count, 2, 6, 17, bodies)


def keys(count: int = 4, epoch: int = 0) -> Tensor:
    return counter.clip_keys(0, epoch, torch.arange(count))


def test_everything_off_changes_nothing() -> None:
    joints = clips()
    assert augment(joints, STILL, LAYOUT, keys()) is joints


def test_rotation_keeps_every_distance() -> None:
    joints = clips()
    turned = augment(joints, AugmentConfig(rotation_degrees=[60.0, 60.0, 60.0]), LAYOUT, keys())
    assert not torch.allclose(turned, joints)
    torch.testing.assert_close(turned.norm(dim=1), joints.norm(dim=1))


def test_one_rotation_serves_all_frames_and_bodies_of_a_clip() -> None:
    joints = clips(1)
    joints[:, :, 1], joints[..., 1] = joints[:, :, 0], joints[..., 0]
    turned = augment(joints, AugmentConfig(), LAYOUT, keys(1))
    torch.testing.assert_close(turned[:, :, 1], turned[:, :, 0])
    torch.testing.assert_close(turned[..., 1], turned[..., 0])


def test_rotation_turns_the_bones_as_it_turns_the_joints() -> None:
    joints, valid = clips(1, bodies=1), torch.ones(1, 1, 6, dtype=torch.bool)
    turn = rotation_matrices(torch.tensor([[0.3, -0.5, 0.1]]))
    turned = torch.einsum("nij,njtvm->nitvm", turn, joints)
    bones = derive_streams(joints, valid, LAYOUT)["bone"]
    expected = torch.einsum("nij,njtvm->nitvm", turn, bones)
    torch.testing.assert_close(derive_streams(turned, valid, LAYOUT)["bone"], expected)


@pytest.mark.parametrize(
    ("axis", "start", "end"), [(0, [0, 1, 0], [0, 0, 1]), (1, [0, 0, 1], [1, 0, 0]), (2, [1, 0, 0], [0, 1, 0])]
)
def test_quarter_turns_follow_the_right_hand_rule(axis: int, start: list[float], end: list[float]) -> None:
    angles = torch.zeros(1, 3)
    angles[0, axis] = math.pi / 2
    turned = rotation_matrices(angles)[0] @ torch.tensor(start, dtype=torch.float32)
    torch.testing.assert_close(turned, torch.tensor(end, dtype=torch.float32), atol=1e-6, rtol=0)


def test_the_augmentation_of_a_clip_depends_on_the_epoch_and_not_on_its_batch() -> None:
    config = AugmentConfig(scale=0.2, shear=0.1, jitter_metres=0.01, mirror_probability=0.5)
    joints = clips()
    together = augment(joints, config, LAYOUT, keys())
    alone = augment(joints[2:3], config, LAYOUT, keys()[2:3])
    torch.testing.assert_close(together[2:3], alone)
    assert not torch.allclose(together, augment(joints, config, LAYOUT, keys(epoch=1)))


def test_scale_stays_within_its_bounds() -> None:
    joints = torch.ones(500, 3, 1, 25, 1)
    config = AugmentConfig(rotation_degrees=[0.0, 0.0, 0.0], scale=0.5)
    scaled = augment(joints, config, LAYOUT, keys(500))
    assert 0.5 <= scaled.min() < 0.52
    assert 1.48 < scaled.max() <= 1.5


def test_mirroring_twice_gives_the_clip_back_and_swaps_left_with_right() -> None:
    joints = clips()
    reflected = mirror(joints, LAYOUT)
    assert torch.equal(mirror(reflected, LAYOUT), joints)
    assert torch.equal(reflected[:, 0, :, 4], -joints[:, 0, :, 8])  # left shoulder from the right one
    assert torch.equal(reflected[:, 1, :, 4], joints[:, 1, :, 8])


def test_clips_are_mirrored_as_often_as_configured() -> None:
    joints = torch.ones(2000, 3, 1, 25, 1)
    config = AugmentConfig(rotation_degrees=[], mirror_probability=0.3)
    mirrored = augment(joints, config, LAYOUT, keys(2000))[:, 0, 0, 0, 0] < 0
    assert 0.27 < mirrored.float().mean() < 0.33


def test_a_picture_turns_in_its_plane_alone_by_no_more_than_the_degrees_about_z() -> None:
    joints = torch.zeros(500, 2, 1, 17, 1)
    joints[:, 0] = 1.0
    turned = augment(joints, AugmentConfig(rotation_degrees=[90.0, 90.0, 30.0]), PICTURE, keys(500))
    torch.testing.assert_close(turned.norm(dim=1), joints.norm(dim=1))
    degrees = torch.atan2(turned[:, 1], turned[:, 0]) * 180 / math.pi
    assert 29 < degrees.max() <= 30.001 and -30.001 <= degrees.min() < -29


def test_turning_about_x_and_y_leaves_a_picture_as_it_is() -> None:
    joints = pictures()
    turned = augment(joints, AugmentConfig(rotation_degrees=[60.0, 60.0, 0.0]), PICTURE, keys())
    torch.testing.assert_close(turned, joints)


def test_both_axes_of_a_picture_are_scaled_on_their_own() -> None:
    config = AugmentConfig(rotation_degrees=[0.0, 0.0, 0.0], scale=0.5)
    scaled = augment(torch.ones(500, 2, 1, 17, 1), config, PICTURE, keys(500))[:, :, 0, 0, 0]  # (N, 2)
    assert 0.5 <= scaled.min() < 0.52 and 1.48 < scaled.max() <= 1.5
    assert abs(torch.corrcoef(scaled.T)[0, 1]) < 0.15


def test_shear_moves_each_axis_of_a_picture_along_the_other_alone() -> None:
    config = AugmentConfig(rotation_degrees=[0.0, 0.0, 0.0], shear=0.3)
    joints = torch.zeros(1, 2, 1, 17, 1)
    joints[:, 1] = 1.0
    sheared = augment(joints, config, PICTURE, keys(1))
    assert torch.equal(sheared[:, 1], joints[:, 1])
    assert 0 < sheared[:, 0].abs().max() <= 0.3


def test_mirroring_a_picture_turns_left_into_right() -> None:
    joints = pictures()
    left, right = PICTURE.joints.index("left_wrist"), PICTURE.joints.index("right_wrist")
    reflected = mirror(joints, PICTURE)
    assert torch.equal(reflected[:, 0, :, left], -joints[:, 0, :, right])
    assert torch.equal(reflected[:, 1, :, left], joints[:, 1, :, right])


def test_no_degrees_at_all_mean_no_rotation() -> None:
    joints = clips()
    none, zeros = (AugmentConfig(rotation_degrees=degrees, scale=0.2) for degrees in ([], [0.0, 0.0, 0.0]))
    assert torch.equal(augment(joints, none, LAYOUT, keys()), augment(joints, zeros, LAYOUT, keys()))
