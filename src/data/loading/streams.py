"""The multi-input branch: joint, velocity and bone streams, derived from augmented joints on the training device.

Legend: N clips, C coordinates, T frames, V joints, M bodies.
"""

import torch
from torch import Tensor

from ...skeleton import Layout
from .device_constants import constant


def derive_streams(joints: Tensor, frame_mask: Tensor, layout: Layout) -> dict[str, Tensor]:
    """Return the streams `joint`, `velocity` and `bone`, each (N, C, T, V, M).

    Velocity is `x[t + 1] - x[t]`, zero in the last frame and wherever the body is missing on either side. A bone is
    the joint minus its parent, zero at the root.

    Args:
        joints: (N, C, T, V, M).
        frame_mask: (N, M, T) bool; where it is false every stream is zero.
        layout: the joint layout, with each joint's parent.
    """
    present = frame_mask.permute(0, 2, 1)[:, None, :, None, :]  # (N, 1, T, 1, M)
    joint = joints.masked_fill(~present, 0.0)
    moving = present[:, :, 1:] & present[:, :, :-1]
    velocity = torch.zeros_like(joint)
    velocity[:, :, :-1] = (joint[:, :, 1:] - joint[:, :, :-1]).masked_fill(~moving, 0.0)
    parents = constant(layout.parents, torch.int64, joint.device)
    return {"joint": joint, "velocity": velocity, "bone": joint - joint.index_select(3, parents)}
