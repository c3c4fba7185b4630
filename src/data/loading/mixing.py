"""Mixing: a clip takes a share of another clip of its batch, and of that clip's label.

There are three ways, of which a clip gets one at most:

- `mix_add`: a weighted sum of both (mixup: Zhang et al., ICLR 2018; for skeletons, of the same camera: Ding et al.,
  LSTC-MDA, arXiv:2509.14619);
- `mix_splice`: the first frames of one and the last of the other (CutMix: Yun et al., ICCV 2019; for skeletons, in
  time: Xiang and Wang, Joint Mixing Data Augmentation, ACM TOMM 2024);
- `mix_axes`: one coordinate of the other clip (without a source known to us).

The partner is of the same camera, so that both are seen from the same side, and has the same bodies. It is chosen by
the RNG keys of both clips, not by their places in the batch. A clip without a possible partner stays as it is. With
several processes, partners are in the same process's part of a batch. Clips of an unknown camera are partners of each
other.

Legend: N clips, M bodies, C coordinates, T frames, V joints.
"""

from dataclasses import replace

import torch
from torch import Tensor

from ...settings.data import AugmentConfig
from . import counter_rng
from .loader import Batch

_PARTNER, _MIX = 18, 19  # `purpose` in `counter_rng`


def mixed(batch: Batch, config: AugmentConfig) -> Batch:
    """Return a batch whose clips are mixed as configured, with their partners and the partners' shares.

    A joint of a mixed clip is missing where it is missing in a clip that it is made of.

    Args:
        batch: with `cameras`; its joints (N, C, T, V, M) face the camera already, if they are to.
        config: the probabilities, and the largest share of the partner.
    """
    clips, coordinates, frames = batch.joints.shape[:3]
    partners, found = _partners(batch)
    draws = counter_rng.uniform(batch.rng_keys, _MIX, 4)  # which way, its share, the axis, which part
    adds, splices, axes = _ways(draws[:, 0], config)
    share = config.mix_share * draws[:, 1]
    count = (share * frames + 0.5).floor()  # the partner's frames
    numbers = torch.arange(frames, device=share.device)
    begins, ends = numbers < count[:, None], numbers >= (frames - count)[:, None]
    theirs = splices[:, None] & torch.where(draws[:, 3:] < 1 / 2, begins, ends)  # (N, T)
    axis = (draws[:, 2:3] * coordinates).long() == torch.arange(coordinates, device=share.device)  # (N, C)
    weights = torch.where(theirs[:, None], 1.0, (adds * share)[:, None, None].expand(clips, coordinates, frames))
    weights = torch.where((axes[:, None] & axis)[..., None], 1.0, weights)  # (N, C, T)
    mask, usable = _mask(batch, partners, theirs, adds | axes)
    chosen = found & usable & (adds | splices | axes)
    others = batch.joints.index_select(0, partners)
    joints = torch.lerp(batch.joints, others, weights[..., None, None].to(batch.joints.dtype))
    shares = torch.where(splices, count / frames, torch.where(axes, 1 / coordinates, share))
    changed = replace(
        batch,
        joints=torch.where(chosen[:, None, None, None, None], joints, batch.joints),
        partners=torch.where(chosen, partners, torch.arange(clips, device=partners.device)),
        partner_shares=torch.where(chosen, shares, 0.0),
    )
    if batch.joint_mask is None:
        return changed  # partners have a body in the same frames
    mask = torch.where(chosen[:, None, None, None], mask, batch.joint_mask)
    absent = batch.absent
    if absent is not None:
        both = absent | absent.index_select(0, partners)
        spliced = torch.where(theirs[:, None], absent.index_select(0, partners), absent)
        absent = torch.where(chosen[:, None, None], torch.where(splices[:, None, None], spliced, both), absent)
    return replace(changed, joint_mask=mask, frame_mask=mask.any(dim=3), absent=absent)


def _ways(draw: Tensor, config: AugmentConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Return which clips are to be added to, spliced, and given an axis of another, (N,) bool each."""
    first, second = config.mix_add, config.mix_add + config.mix_splice
    adds, before_axes = draw < first, draw < second
    return adds, before_axes & ~adds, (draw < second + config.mix_axes) & ~before_axes


def _partners(batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the position (N,) in the batch of a partner of each clip, and whether there is one, (N,) bool."""
    assert batch.cameras is not None
    bodies = batch.frame_mask.any(dim=2) if batch.joint_mask is not None else batch.frame_mask.flatten(1)
    present = bodies.float()
    differing = present @ (1 - present).t()  # what the one has and the other has not
    possible = (differing + differing.t() == 0) & (batch.cameras[:, None] == batch.cameras[None, :])
    possible = possible & ~torch.eye(len(batch), dtype=torch.bool, device=possible.device)
    ranks = counter_rng.pairs(batch.rng_keys, _PARTNER).masked_fill(~possible, torch.iinfo(torch.int64).min)
    return ranks.argmax(dim=1), possible.any(dim=1)


def _mask(batch: Batch, partners: Tensor, theirs: Tensor, together: Tensor) -> tuple[Tensor, Tensor]:
    """Return which joints of mixed clips were measured, (N, M, T, 1 or V), and whether no body is lost, (N,) bool.

    Args:
        batch: the clips.
        partners: (N,) the position of each clip's partner.
        theirs: (N, T) bool, the frames that are the partner's alone.
        together: (N,) bool, the clips whose other frames are made of both.
    """
    own, other = batch.mask, batch.mask.index_select(0, partners)
    mask = torch.where(together[:, None, None, None], own & other, own)
    mask = torch.where(theirs[:, None, :, None], other, mask)
    return mask, (mask.any(dim=(2, 3)) == batch.bodies).all(dim=1)
