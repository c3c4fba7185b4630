"""Hide joints: in some clips, some joints stay where the centre of the body is.

Legend: N clips, C coordinates, T frames, V joints, M bodies.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from last.data.loading.augmentations import Draws
from last.skeleton import Layout
from last.utils.limits import Interval


@dataclass
class Settings:
    """Settings of hidden joints: in how many of the clips, and how many of the joints, both as shares."""

    probability: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.5
    share: Annotated[float, Interval(ge=0.0, le=0.9)] = 0.2


def augment(joints: Tensor, draws: Draws, settings: Settings, layout: Layout, frame_mask: Tensor) -> Tensor:
    """Return joints (N, C, T, V, M) of which some are at the centre."""
    numbers = draws.uniform(1 + layout.num_joints)
    hidden = (numbers[:, :1] < settings.probability) & (numbers[:, 1:] < settings.share)  # (N, V)
    return torch.where(hidden[:, None, None, :, None], joints[:, :, :, [layout.center]], joints)
