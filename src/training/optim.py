"""The optimizer, and which parameters weight decay may touch."""

import torch
from torch import nn

from ..settings.run import RunConfig
from .schedule import scaled

_STRUCTURAL = {"bias", "alpha", "A_learned"}


def split_for_decay(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the parameters with and without weight decay.

    Decay leaves alone biases, the weights of normalisations, every `alpha` (gates and blends) and `A_learned`: these
    start at zero or one and should be free to leave it.
    """
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            normalises = isinstance(module, nn.modules.batchnorm._BatchNorm | nn.LayerNorm | nn.GroupNorm)
            (free if normalises or name in _STRUCTURAL else decayed).append(parameter)
    return decayed, free


def build_optimizer(model: nn.Module, config: RunConfig) -> torch.optim.SGD:
    """Return SGD with Nesterov momentum over the two groups of parameters.

    It is the fused one, whose step can be left out on the device. Momentum starts at zero, which makes the same first
    step as starting at the first gradient does; torch would otherwise leave it uninitialised where the first step is
    left out.
    """
    decayed, free = split_for_decay(model)
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": config.weight_decay}, {"params": free, "weight_decay": 0.0}],
        lr=scaled(config.learning_rate, config),
        momentum=config.momentum,
        nesterov=config.nesterov and config.momentum > 0,
        fused=True,
    )
    if config.momentum > 0:
        for parameter in (*decayed, *free):
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer
