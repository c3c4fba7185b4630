"""Acceleration: how the velocity changes from one frame to the next.

Legend: N clips, C coordinates, T frames, V joints, M bodies.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from last.skeleton import Layout
from last.utils.limits import Interval


@dataclass
class Settings:
    """Settings of the acceleration: what it is multiplied by."""

    scale: Annotated[float, Interval(gt=0.0, le=1000.0)] = 1.0


def derive(streams: Mapping[str, Tensor], frame_mask: Tensor, settings: Settings, layout: Layout) -> Tensor:
    """Return the stream (N, C, T, V, M), zero in the last two frames that a body is there."""
    velocity = streams["velocity"]
    acceleration = torch.zeros_like(velocity)
    acceleration[:, :, :-1] = velocity[:, :, 1:] - velocity[:, :, :-1]
    ends = ~frame_mask.roll(-2, dims=2)  # (N, M, T), no body two frames later
    ends[:, :, -2:] = True
    return settings.scale * acceleration.masked_fill(ends.permute(0, 2, 1)[:, None, :, None, :], 0.0)
