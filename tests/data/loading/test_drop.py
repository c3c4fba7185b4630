"""Joints, limbs and frames that are dropped."""

from typing import Any

import pytest
import torch
from torch import Tensor

from last.data.loading import counter_rng
from last.data.loading.drop import JointDropper
from last.skeleton import load_layout
from last.skeleton.limbs import limbs

NTU = load_layout("ntu25")
KEYS = torch.arange(400)
WHOLE = torch.ones(400, 1, 8, 25, dtype=torch.bool)


def test_nothing_is_dropped_without_a_probability() -> None:
    assert not JointDropper(NTU).drops and not JointDropper(NTU, joints=0.5, probability=0.0).drops
    assert torch.equal(JointDropper(NTU)(WHOLE, KEYS), WHOLE)


def test_a_body_keeps_everything_rather_than_nothing() -> None:
    assert torch.equal(JointDropper(NTU, joints=1.0)(WHOLE, KEYS), WHOLE)


def test_a_part_of_the_clips_stays_whole() -> None:
    kept = JointDropper(NTU, joints=0.5, random_shares=True, probability=0.25)(WHOLE, KEYS)
    touched = ~kept.flatten(1).all(dim=1)
    assert 0.15 < float(touched.float().mean()) < 0.3
    assert torch.equal(kept[:7], JointDropper(NTU, 0.5, random_shares=True, probability=0.25)(WHOLE[:7], KEYS[:7]))


def remaining(clips: int = 400, **shares: Any) -> Tensor:
    mask = torch.ones(clips, 2, 8, 25, dtype=torch.bool)
    return JointDropper(NTU, **shares)(mask, counter_rng.clip_keys(0, 0, torch.arange(clips)))


def test_joints_and_limbs_are_missing_in_the_whole_clip_and_frames_as_a_whole() -> None:
    joints = remaining(joints=0.3)
    assert torch.equal(joints, joints[:, :, :1].expand_as(joints))
    assert abs(1 - joints.float().mean() - 0.3) < 0.01
    frames = remaining(frames=0.3)
    assert torch.equal(frames, frames[..., :1].expand_as(frames))
    assert abs(1 - frames.float().mean() - 0.3) < 0.02
    by_limb = remaining(limbs=0.5)[:, :, 0]
    for limb in limbs(NTU):
        part = by_limb[..., list(limb)]
        assert torch.equal(part, part[..., :1].expand_as(part))
        assert abs(part.float().mean() - 0.5) < 0.06
    trunk = [joint for joint in range(25) if joint not in {each for limb in limbs(NTU) for each in limb}]
    assert len(limbs(NTU)) == 4 and by_limb[..., trunk].all()


def test_in_training_each_clip_draws_its_own_share() -> None:
    dropped = 1 - remaining(joints=0.8, random_shares=True)[:, 0, 0].float().mean(dim=1)
    assert abs(dropped.mean() - 0.4) < 0.04
    assert dropped.min() < 0.1 and dropped.max() > 0.7


def test_in_training_a_part_of_the_clips_stays_whole() -> None:
    whole = remaining(joints=0.8, random_shares=True, probability=0.5).all(dim=(1, 2, 3)).float().mean()
    assert 0.45 < whole < 0.56
    assert remaining(joints=0.5, probability=1.0).all(dim=(1, 2, 3)).float().mean() < 0.01
    assert not JointDropper(NTU, 0.5, probability=0.0).drops


def test_a_body_never_loses_all_of_its_joints() -> None:
    assert remaining(joints=0.9, limbs=0.9, frames=0.9).any(dim=(2, 3)).all()


def test_what_is_dropped_depends_on_the_clip_alone() -> None:
    keys = counter_rng.clip_keys(3, 1, torch.arange(20))
    dropper, mask = JointDropper(NTU, 0.3, 0.3, 0.3, random_shares=True), torch.ones(20, 2, 8, 25, dtype=torch.bool)
    order = torch.randperm(20)
    assert torch.equal(dropper(mask, keys)[order], dropper(mask, keys[order]))


@pytest.mark.parametrize("name", ["coco17", "hand21", "kinect20", "sbu15", "mediapipe33"])
def test_the_limbs_of_every_layout_are_disjoint_and_arms_are_not_legs(name: str) -> None:
    layout = load_layout(name)
    found = limbs(layout)
    joints = [joint for limb in found for joint in limb]
    assert len(joints) == len(set(joints)) and len(found) >= 4
    for limb in found:
        names = {layout.joints[joint] for joint in limb}
        assert not (any("elbow" in each for each in names) and any("knee" in each for each in names))
