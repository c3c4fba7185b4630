"""Normalisation of clips to a common frame of reference, for training and evaluation.

Legend: N clips, C coordinates, T frames, V joints, M bodies.
"""

import math

import torch
from torch import Tensor

from ...skeleton import Layout
from .augment import rotation_matrices
from .device_constants import constant
from .streams import by_joint


def face_camera(joints: Tensor, mask: Tensor, layout: Layout) -> Tensor:
    """Turn each clip about the vertical axis until its first actor faces the camera in the first frame.

    Facing the camera means that hips and shoulders are parallel to x, with the body's right side on the left. This
    removes the camera position, and most of the difference between views. Two-dimensional clips are not rotated. Where
    joints are missing, the first frame is the first with a hip or shoulder pair, and only such pairs count.

    Args:
        joints: (N, C, T, V, M), y upwards.
        mask: (N, M, T), or (N, M, T, V) where single joints may be missing, bool: what was measured.
        layout: the joint layout, with the pairs of left and right joints at the trunk.
    """
    if layout.flat or not layout.trunk_pairs:
        return joints
    clips = torch.arange(joints.shape[0], device=joints.device)
    left, right = (constant(side, torch.int64, joints.device) for side in zip(*layout.trunk_pairs, strict=True))
    actor = mask[:, 0] if mask.dim() == 4 else mask[:, 0, :, None]  # (N, T, 1 or V)
    single = actor.shape[2] > 1
    pairs = actor.index_select(2, left) & actor.index_select(2, right) if single else actor  # (N, T, 1 or P)
    first = pairs.any(dim=2).int().argmax(dim=1)  # (N,)
    frame = joints[clips, :, first, :, 0]  # (N, C, V)
    across = frame.index_select(2, right) - frame.index_select(2, left)  # (N, C, P)
    if single:
        there = pairs[clips, first][:, None]  # (N, 1, P)
        across = (across * there).sum(dim=2) / there.sum(dim=2).clamp(min=1)
    else:
        across = across.mean(dim=2)
    angles = torch.zeros(joints.shape[0], 3, device=joints.device)
    angles[:, 1] = torch.atan2(across[:, 2], across[:, 0])
    return torch.einsum("nij,njtvm->nitvm", rotation_matrices(angles), joints)


def scale_to_unit(joints: Tensor, mask: Tensor) -> Tensor:
    """Map each coordinate of a clip to [-1, 1] over all that was measured of its frames, joints and bodies.

    Args:
        joints: (N, C, T, V, M).
        mask: (N, M, T), or (N, M, T, V) where single joints may be missing, bool: what was measured.
    """
    absent = ~by_joint(mask)
    axes = (2, 3, 4)
    low = joints.masked_fill(absent, math.inf).amin(axes, keepdim=True)
    high = joints.masked_fill(absent, -math.inf).amax(axes, keepdim=True)
    return 2 * (joints - low) / (high - low).clamp(min=1e-6) - 1
