"""Normalisation of clips to a common frame of reference, for training and evaluation.

Legend: N clips, C coordinates, T frames, V joints, M bodies.
"""

import math

import torch
from torch import Tensor

from ...skeleton import Layout
from .augment import rotation_matrices
from .device_constants import constant


def face_camera(joints: Tensor, frame_mask: Tensor, layout: Layout) -> Tensor:
    """Turn each clip about the vertical axis until its first actor faces the camera in the first frame.

    Facing the camera means that hips and shoulders are parallel to x, with the body's right side on the left. This
    removes the camera position, and most of the difference between views. Two-dimensional clips are not rotated.

    Args:
        joints: (N, C, T, V, M), y upwards.
        frame_mask: (N, M, T) bool.
        layout: the joint layout, with the pairs of left and right joints at the trunk.
    """
    if layout.flat or not layout.trunk_pairs:
        return joints
    clips = torch.arange(len(joints), device=joints.device)
    first = frame_mask[:, 0].int().argmax(dim=1)  # (N,) the first frame with the actor
    frame = joints[clips, :, first, :, 0]  # (N, C, V)
    left, right = (constant(side, torch.int64, joints.device) for side in zip(*layout.trunk_pairs, strict=True))
    across = (frame.index_select(2, right) - frame.index_select(2, left)).mean(dim=2)  # (N, C)
    angles = torch.zeros(len(joints), 3, device=joints.device)
    angles[:, 1] = torch.atan2(across[:, 2], across[:, 0])
    return torch.einsum("nij,njtvm->nitvm", rotation_matrices(angles), joints)


def scale_to_unit(joints: Tensor, frame_mask: Tensor) -> Tensor:
    """Map each coordinate of a clip to [-1, 1] over all frames, joints and bodies that are present.

    Args:
        joints: (N, C, T, V, M).
        frame_mask: (N, M, T) bool.
    """
    absent = ~frame_mask.permute(0, 2, 1)[:, None, :, None, :]  # (N, 1, T, 1, M)
    axes = (2, 3, 4)
    low = joints.masked_fill(absent, math.inf).amin(axes, keepdim=True)
    high = joints.masked_fill(absent, -math.inf).amax(axes, keepdim=True)
    return 2 * (joints - low) / (high - low).clamp(min=1e-6) - 1
