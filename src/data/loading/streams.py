"""The multi-input branch: joint, velocity and bone streams, derived from augmented joints on the training device.

Legend: N clips, C coordinates, T frames, V joints, M bodies.
"""

import torch
from torch import Tensor

from ...skeleton import Layout
from .device_constants import constant


def by_joint(mask: Tensor) -> Tensor:
    """Return a mask (N, M, T), or (N, M, T, V) where single joints may be missing, as (N, 1, T, 1 or V, M)."""
    return (mask if mask.dim() == 4 else mask[..., None]).permute(0, 2, 3, 1)[:, None]


def derive_streams(joints: Tensor, mask: Tensor, layout: Layout) -> dict[str, Tensor]:
    """Return the streams `joint`, `velocity` and `bone`, each (N, C, T, V, M).

    Velocity is `x[t + 1] - x[t]`, zero in the last frame and wherever the joint is missing in either frame. A bone is
    the joint minus its parent, zero at the root and wherever either end is missing.

    Args:
        joints: (N, C, T, V, M).
        mask: (N, M, T), or (N, M, T, V) where single joints may be missing, bool: what was measured.
        layout: the joint layout, with each joint's parent.
    """
    present = by_joint(mask)
    joint = joints.masked_fill(~present, 0.0)
    moving = present[:, :, 1:] & present[:, :, :-1]
    velocity = torch.zeros_like(joint)
    velocity[:, :, :-1] = (joint[:, :, 1:] - joint[:, :, :-1]).masked_fill(~moving, 0.0)
    parents = constant(layout.parents, torch.int64, joint.device)
    bone = joint - joint.index_select(3, parents)
    if present.shape[3] > 1:  # otherwise both ends are zero where either is missing
        bone = bone.masked_fill(~(present & present.index_select(3, parents)), 0.0)
    return {"joint": joint, "velocity": velocity, "bone": bone}
