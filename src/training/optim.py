"""The optimizer of a run: its parameters, its first state, and a step that can be rejected on the device."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..settings.optimization import OptimizationSettings
from ..utils.errors import UserError
from ..utils.plug_ins import settings_from
from .optimizers import get_optimizer
from .schedule import scaled

_STRUCTURAL = {"bias", "alpha", "alpha_added", "A_learned", "joint_embedding"}


def split_for_decay(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the parameters with and without weight decay.

    Weight decay is not applied to biases, the weights of normalisations, every `alpha` (gates and blends), also of
    added graph subsets, `A_learned` and `joint_embedding`: these start at a neutral value and must be free to move away
    from it.
    """
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            normalises = isinstance(module, nn.modules.batchnorm._BatchNorm | nn.LayerNorm | nn.GroupNorm)
            (free if normalises or name in _STRUCTURAL else decayed).append(parameter)
    return decayed, free


def build_optimizer(model: nn.Module, settings: OptimizationSettings) -> Optimizer:
    """Return the optimizer of the settings over the two groups of parameters, with its initial state.

    Raises:
        UserError: there is no such optimizer, or its state has values that a rejected step could not be undone for.
    """
    module = get_optimizer(settings.optimizer)
    decayed, free = split_for_decay(model)
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": free, "weight_decay": 0.0}]
    own = settings_from(module, settings.optimizer_settings, "optimizer_settings")
    optimizer = module.build(groups, scaled(settings.learning_rate, settings), settings, own)
    if not optimizer.state:
        _create_state(optimizer)
    for state in optimizer.state.values():
        if plain := [name for name, value in state.items() if not isinstance(value, Tensor | None)]:
            raise UserError(
                f"The optimizer {settings.optimizer} keeps {', '.join(plain)} as a plain value, so a rejected "
                "step could not be undone: it should be a tensor."
            )
    return optimizer


def step_unless(skip: Tensor, optimizer: Optimizer) -> None:
    """Make an optimizer's step unless `skip`, a bool () on the device; parameters and state stay as they are then.

    The fused optimizers skip the step themselves, as when a GradScaler reports an overflow. The step of any other is
    undone.
    """
    if not getattr(optimizer, "_step_supports_amp_scaling", False):
        _step_and_undo(skip, optimizer)
        return
    optimizer.found_inf = skip.float()  # type: ignore[attr-defined]
    optimizer.step()
    del optimizer.found_inf  # type: ignore[attr-defined]


def skips_on_the_device(optimizer: Optimizer) -> bool:
    """Tell whether an optimizer skips a step itself, and takes its rate as a tensor: one of torch's fused ones."""
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False)) and all(
        group.get("fused") for group in optimizer.param_groups
    )


@contextmanager
def rates_as_tensors(optimizer: Optimizer, rates: Sequence[Tensor]) -> Iterator[None]:
    """Let a fused optimizer read the rate of each group of parameters from a tensor () while the block runs."""
    numbers = [group["lr"] for group in optimizer.param_groups]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    try:
        yield
    finally:
        for group, number in zip(optimizer.param_groups, numbers, strict=True):
            group["lr"] = number


@torch.no_grad()
def _step_and_undo(skip: Tensor, optimizer: Optimizer) -> None:
    """Make a step, and put back what it changed where `skip`; state that it created becomes zero then."""
    parameters = _parameters(optimizer)
    weights = [each.clone() for each in parameters]
    before = {key: value.clone() for key, value in _state_tensors(optimizer).items()}
    optimizer.step()
    for parameter, weight in zip(parameters, weights, strict=True):
        parameter.copy_(torch.where(skip, weight, parameter))
    for key, value in _state_tensors(optimizer).items():
        value.copy_(torch.where(skip.to(value.device), before.get(key, torch.zeros_like(value)), value))


def _create_state(optimizer: Optimizer) -> None:
    """Have an optimizer create its state now, not in its first step: a checkpoint's state is compared with it."""
    parameters = _parameters(optimizer)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    step_unless(torch.ones((), dtype=torch.bool, device=parameters[0].device), optimizer)
    for parameter in parameters:
        parameter.grad = None


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _state_tensors(optimizer: Optimizer) -> dict[tuple[Any, str], Tensor]:
    """Return the tensors of an optimizer's state by parameter and name."""
    return {
        (parameter, name): value
        for parameter, state in optimizer.state.items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }
