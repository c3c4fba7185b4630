"""Partner: from each joint to the same joint of the others in the clip.

A backbone computes each body on its own, and every body is placed relative to the first body's first position, so that
the first body's streams say nothing about where the second is. This one does. It is ours.

Legend: N clips, C coordinates, T frames, V joints, M bodies.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ....settings.model import STREAMS
from ....skeleton import Layout


def derive(
    streams: Mapping[str, Tensor],
    frame_mask: Tensor,  # noqa: ARG001 - every stream has these arguments
    settings: Any,  # noqa: ARG001 - every stream has these arguments
    layout: Layout,  # noqa: ARG001 - every stream has these arguments
) -> Tensor:
    """Return the mean position of the joint in the other bodies of the frame minus its own, (N, C, T, V, M).

    It is zero in frames without another body. A joint that is zero in all three streams counts as missing: the joint
    stream alone is also zero where the first body's centre is the origin, as in the first frame of a recording.
    """
    joint = streams["joint"]
    size = torch.stack([streams[name].abs().sum(dim=1, keepdim=True) for name in STREAMS]).sum(dim=0)
    measured = (size > 0).to(joint.dtype)  # (N, 1, T, V, M)
    others = measured.sum(dim=-1, keepdim=True) - measured
    mean = (joint.sum(dim=-1, keepdim=True) - joint) / others.clamp(min=1.0)  # what is missing adds zeros
    return (mean - joint) * (others > 0)
