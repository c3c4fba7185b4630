"""Joints, limbs and frames that are dropped."""

import torch

from last.data.loading.drop import JointDropper
from last.skeleton import load_layout
from last.skeleton.limbs import limbs

NTU = load_layout("ntu25")
KEYS = torch.arange(400)
WHOLE = torch.ones(400, 1, 8, 25, dtype=torch.bool)


def test_nothing_is_dropped_without_a_probability() -> None:
    assert not JointDropper(NTU).drops and not JointDropper(NTU, joints=0.5, probability=0.0).drops
    assert torch.equal(JointDropper(NTU)(WHOLE, KEYS), WHOLE)


def test_a_joint_is_dropped_in_the_whole_clip_with_its_probability() -> None:
    kept = JointDropper(NTU, joints=0.3)(WHOLE, KEYS)
    assert (kept == kept[:, :, :1]).all()
    assert abs(float((~kept).float().mean()) - 0.3) < 0.02


def test_the_joints_of_a_limb_are_dropped_together() -> None:
    kept = JointDropper(NTU, limbs=0.4)(WHOLE, KEYS)[:, 0, 0]
    for group in limbs(NTU):
        assert (kept[:, group] == kept[:, group[:1]]).all()
        assert abs(float((~kept[:, group[0]]).float().mean()) - 0.4) < 0.1


def test_a_frame_is_dropped_with_all_its_joints() -> None:
    kept = JointDropper(NTU, frames=0.5)(WHOLE, KEYS)
    assert (kept == kept[..., :1]).all() and (kept.any(dim=3).any(dim=2)).all()


def test_a_body_keeps_everything_rather_than_nothing() -> None:
    assert torch.equal(JointDropper(NTU, joints=1.0)(WHOLE, KEYS), WHOLE)


def test_a_part_of_the_clips_stays_whole() -> None:
    kept = JointDropper(NTU, joints=0.5, random_shares=True, probability=0.25)(WHOLE, KEYS)
    touched = ~kept.flatten(1).all(dim=1)
    assert 0.15 < float(touched.float().mean()) < 0.3
    assert torch.equal(kept[:7], JointDropper(NTU, 0.5, random_shares=True, probability=0.25)(WHOLE[:7], KEYS[:7]))
