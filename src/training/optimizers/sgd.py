"""Stochastic gradient descent with Nesterov momentum, torch's fused one."""

from typing import Any

import torch

from ...settings.optimization import OptimizationSettings


def build(
    groups: list[dict[str, Any]],
    rate: float,
    optimization: OptimizationSettings,
    settings: object,  # noqa: ARG001
) -> torch.optim.SGD:
    """Return SGD over `groups`.

    Momentum starts at zero, which makes the same first step as starting at the first gradient does; torch would
    otherwise leave it uninitialised where the first step is left out.
    """
    momentum = optimization.momentum
    nesterov = optimization.nesterov and momentum > 0
    optimizer = torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=nesterov, fused=True)
    if momentum > 0:
        for parameter in (each for group in groups for each in group["params"]):
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer
