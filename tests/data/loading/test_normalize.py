"""Bringing clips into one frame of reference."""

import pytest
import torch
from torch import Tensor

from last.data.loading.augment import rotation_matrices
from last.data.loading.normalize import face_camera, scale_to_unit
from last.skeleton import load_layout

LAYOUT = load_layout("ntu25")
LEFT_SHOULDER, RIGHT_SHOULDER = LAYOUT.joints.index("left_shoulder"), LAYOUT.joints.index("right_shoulder")


def standing(clips: int = 1, frames: int = 4, bodies: int = 1) -> Tensor:
    """Return people whose shoulders and hips are parallel to x, the right side at larger x."""
    joints = torch.randn(clips, 3, frames, 25, bodies)
    for side, place in (("left", -0.2), ("right", 0.2)):
        for part in ("shoulder", "hip"):
            joints[:, 0, :, LAYOUT.joints.index(f"{side}_{part}")] = place
            joints[:, 2, :, LAYOUT.joints.index(f"{side}_{part}")] = 0.0
    return joints


def turned(joints: Tensor, degrees: float) -> Tensor:
    turn = rotation_matrices(torch.tensor([[0.0, torch.deg2rad(torch.tensor(degrees)), 0.0]]))
    return torch.einsum("nij,njtvm->nitvm", turn.expand(len(joints), -1, -1), joints)


def everywhere(joints: Tensor) -> Tensor:
    return torch.ones(len(joints), joints.shape[4], joints.shape[2], dtype=torch.bool)


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0, 179.0, -120.0])
def test_a_clip_seen_from_any_side_faces_the_camera(degrees: float) -> None:
    joints = standing()
    faced = face_camera(turned(joints, degrees), everywhere(joints), LAYOUT)
    torch.testing.assert_close(faced, joints, atol=1e-5, rtol=0)


def test_facing_keeps_height_and_distances() -> None:
    joints = torch.randn(3, 3, 4, 25, 2)
    faced = face_camera(joints, everywhere(joints), LAYOUT)
    torch.testing.assert_close(faced[:, 1], joints[:, 1])
    torch.testing.assert_close(faced.norm(dim=1), joints.norm(dim=1))


def test_a_turn_within_the_clip_stays_a_turn() -> None:
    joints = standing(frames=2)
    joints[:, :, 1:] = turned(joints[:, :, 1:], 90.0)
    faced = face_camera(turned(joints, 40.0), everywhere(joints), LAYOUT)
    torch.testing.assert_close(faced, joints, atol=1e-5, rtol=0)


def test_the_first_frame_is_the_first_that_has_the_actor() -> None:
    joints = turned(standing(frames=3), 70.0)
    joints[:, :, 0] = 0.0
    valid = torch.tensor([[[False, True, True]]])
    faced = face_camera(joints, valid, LAYOUT)
    shoulders = faced[0, :, 1, RIGHT_SHOULDER, 0] - faced[0, :, 1, LEFT_SHOULDER, 0]
    torch.testing.assert_close(shoulders[2], torch.tensor(0.0), atol=1e-5, rtol=0)
    assert shoulders[0] > 0


def test_a_clip_without_its_first_actor_stays_finite() -> None:
    joints = torch.zeros(1, 3, 4, 25, 2)
    valid = torch.zeros(1, 2, 4, dtype=torch.bool)
    valid[:, 1] = True
    assert torch.isfinite(face_camera(joints, valid, LAYOUT)).all()


def test_a_picture_is_not_turned() -> None:
    joints = torch.randn(1, 2, 4, 17, 1)
    assert face_camera(joints, everywhere(joints), load_layout("coco17_2d")) is joints


def test_unit_scale_brings_every_axis_to_one_over_the_bodies_present() -> None:
    joints = torch.randn(4, 3, 6, 25, 2)
    joints[..., 1] *= 1000
    valid = everywhere(joints)
    valid[:, 1] = False
    scaled = scale_to_unit(joints, valid)[..., 0]
    torch.testing.assert_close(scaled.amin(dim=(2, 3)), torch.full((4, 3), -1.0))
    torch.testing.assert_close(scaled.amax(dim=(2, 3)), torch.full((4, 3), 1.0))


def test_a_flat_clip_is_scaled_to_finite_numbers() -> None:
    joints = torch.zeros(1, 3, 6, 25, 1)
    assert torch.isfinite(scale_to_unit(joints, everywhere(joints))).all()
