"""AdamW, torch's fused one, which skips a rejected step itself."""

from dataclasses import dataclass
from typing import Annotated, Any

import torch

from last.settings.optimization import OptimizationSettings
from last.utils.limits import Interval


@dataclass
class Settings:
    """Settings of AdamW."""

    beta1: Annotated[float, Interval(ge=0.0, lt=1.0)] = 0.9
    beta2: Annotated[float, Interval(ge=0.0, lt=1.0)] = 0.999


def build(
    groups: list[dict[str, Any]], rate: float, optimization: OptimizationSettings, settings: Settings
) -> torch.optim.Optimizer:
    """Return AdamW over `groups`."""
    return torch.optim.AdamW(groups, lr=rate, betas=(settings.beta1, settings.beta2), fused=True)
