"""Stochastic gradient descent with Nesterov momentum, the fused one of torch."""

from typing import Any

import torch

from ...settings.run import RunConfig


def build(groups: list[dict[str, Any]], rate: float, config: RunConfig, settings: object) -> torch.optim.SGD:  # noqa: ARG001
    """Return SGD over `groups`.

    Momentum starts at zero, which makes the same first step as starting at the first gradient does; torch would
    otherwise leave it uninitialised where the first step is left out.
    """
    optimizer = torch.optim.SGD(
        groups, lr=rate, momentum=config.momentum, nesterov=config.nesterov and config.momentum > 0, fused=True
    )
    if config.momentum > 0:
        for parameter in (each for group in groups for each in group["params"]):
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer
