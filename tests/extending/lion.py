"""Lion (Chen et al., NeurIPS 2023): each weight moves by the learning rate, in the direction of its momentum's sign."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from last.settings.optimization import OptimizationSettings
from last.utils.limits import Interval


@dataclass
class Settings:
    """Settings of Lion."""

    beta1: Annotated[float, Interval(ge=0.0, lt=1.0)] = 0.9
    beta2: Annotated[float, Interval(ge=0.0, lt=1.0)] = 0.99


class Lion(torch.optim.Optimizer):
    """Step along the sign of a mean of gradients."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Make a step; a parameter without a gradient stays as it is."""
        for group in self.param_groups:
            for weight in (each for each in group["params"] if each.grad is not None):
                state = self.state[weight]
                momentum: Tensor = state.setdefault("momentum", torch.zeros_like(weight))
                direction = torch.lerp(weight.grad, momentum, group["beta1"]).sign()
                weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(group["lr"] * direction)
                momentum.lerp_(weight.grad, 1 - group["beta2"])


def build(
    groups: list[dict[str, Any]], rate: float, optimization: OptimizationSettings, settings: Settings
) -> torch.optim.Optimizer:
    """Return Lion over `groups`."""
    return Lion(groups, {"lr": rate, **asdict(settings)})
