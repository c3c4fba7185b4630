"""Joint, velocity and bone streams, worked by hand."""

import torch

from last.data.loading.streams import derive_streams
from last.skeleton import load_layout

LAYOUT = load_layout("ntu25")


def test_velocity_is_the_step_to_the_next_frame_and_zero_in_the_last() -> None:
    joints = torch.randn(2, 3, 5, 25, 1)
    velocity = derive_streams(joints, torch.ones(2, 1, 5, dtype=torch.bool), LAYOUT)["velocity"]
    torch.testing.assert_close(velocity[:, :, 1], joints[:, :, 2] - joints[:, :, 1])
    assert not velocity[:, :, -1].any()


def test_bone_is_the_joint_minus_its_parent_and_zero_at_the_root() -> None:
    joints = torch.randn(1, 3, 2, 25, 1)
    bone = derive_streams(joints, torch.ones(1, 1, 2, dtype=torch.bool), LAYOUT)["bone"]
    torch.testing.assert_close(bone[:, :, :, 3], joints[:, :, :, 3] - joints[:, :, :, 2])  # head - neck
    assert not bone[:, :, :, 20].any()


def test_every_stream_is_zero_where_the_body_is_absent() -> None:
    joints = torch.randn(1, 3, 4, 25, 2)
    valid = torch.tensor([[[True, True, False, True], [False] * 4]])
    streams = derive_streams(joints, valid, LAYOUT)
    for stream in streams.values():
        assert not stream[..., 1].any()
        assert not stream[0, :, 2, :, 0].any()


def test_velocity_does_not_reach_across_a_missing_frame() -> None:
    joints = torch.randn(1, 3, 4, 25, 1)
    valid = torch.tensor([[[True, True, False, True]]])
    velocity = derive_streams(joints, valid, LAYOUT)["velocity"]
    assert velocity[0, :, 0].any()
    assert not velocity[0, :, 1:].any()


def test_non_finite_values_of_absent_bodies_vanish() -> None:
    joints = torch.full((1, 3, 4, 25, 2), float("nan"))
    joints[..., 0] = 1.0
    valid = torch.tensor([[[True] * 4, [False] * 4]])
    assert all(torch.isfinite(stream).all() for stream in derive_streams(joints, valid, LAYOUT).values())
