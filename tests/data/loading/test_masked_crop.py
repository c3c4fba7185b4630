"""Frames before and after a part of a clip that are missing instead of being cut off."""

import torch

from last.data.loading import counter_rng
from last.data.loading.drop import JointDropper
from last.data.loading.masked_crop import frames_that_stay
from last.data.loading.missing import MissingJoints
from last.skeleton import load_layout

NTU = load_layout("ntu25")
KEYS = counter_rng.clip_keys(0, 0, torch.arange(600))
WHOLE = torch.ones(600, 2, 10, 25, dtype=torch.bool)


def test_one_part_of_the_wanted_length_stays_anywhere_in_the_clip() -> None:
    stays = frames_that_stay(torch.full((600,), 0.3), 10, KEYS)
    assert (stays.sum(dim=1) == 7).all()
    starts = stays.int().argmax(dim=1)
    assert torch.bincount(starts).shape == (4,) and (torch.bincount(starts) > 110).all()
    assert ((stays[:, 1:] & ~stays[:, :-1]).sum(dim=1) == (starts > 0)).all()  # in one piece


def test_a_frame_stays_whatever_the_share() -> None:
    assert (frames_that_stay(torch.full((600,), 1.0), 10, KEYS).sum(dim=1) == 1).all()
    assert frames_that_stay(torch.full((600,), 0.9), 1, KEYS).all()
    assert frames_that_stay(torch.zeros(600), 10, KEYS).all()


def test_a_dropper_masks_the_same_frames_of_both_bodies_and_of_a_clip_alone() -> None:
    dropper = JointDropper(NTU, crop=0.6, random_shares=True, probability=0.5)
    kept = dropper(WHOLE, KEYS)
    assert torch.equal(kept, kept[:, :1, :, :1].expand_as(kept))
    touched = ~kept.flatten(1).all(dim=1)
    assert 0.33 < float(touched.float().mean()) < 0.5  # half of them, and of these those that lose a frame
    assert torch.equal(kept[5:9], dropper(WHOLE[5:9], KEYS[5:9]))
    assert not JointDropper(NTU, crop=0.5).at(0.0).drops


def test_the_draws_of_other_losses_stay_as_they_are() -> None:
    plain = JointDropper(NTU, 0.5, 0.3, 0.4, random_shares=True, probability=0.5)
    cropping = JointDropper(NTU, 0.5, 0.3, 0.4, random_shares=True, probability=0.5, crop=0.5)
    whole = plain(WHOLE, KEYS)
    assert not (cropping(WHOLE, KEYS) & ~whole).any()


def test_masked_frames_are_not_interpolated_and_have_no_body() -> None:
    joints = torch.randn(600, 3, 10, 25, 2)
    missing = MissingJoints(max_gap=5, dropper=JointDropper(NTU, crop=0.5))
    found, frame_mask, joint_mask = missing(joints, WHOLE[..., 0], None, KEYS)
    assert joint_mask is not None and (frame_mask.sum(dim=2) == 5).all()
    assert torch.equal(found, joints * frame_mask.permute(0, 2, 1)[:, None, :, None, :])
