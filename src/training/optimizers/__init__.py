"""Optimizers, one module each, found by its name: `optimizer: sgd` is the module `sgd`.

A module has

- `build(groups, rate, optimization, settings)`: returns a `torch.optim.Optimizer` over `groups`, two dicts with
  `params` and `weight_decay`, at the learning rate `rate`, which the schedule changes; `optimization` has the keys that
  all optimizers share, such as `momentum`;
- `Settings`, where it has configuration keys of its own: a dataclass, filled from `optimizer_settings`.

An optimizer's whole state must be tensors in `optimizer.state`: they are saved, and a rejected step does not change
them. State created in the first step must start at zero; create other state in `build`. torch's fused optimizers
(`fused=True`) skip a rejected step on the device; the step of any other is undone, at the cost of a copy of the weights
and of the state.
"""

from typing import TYPE_CHECKING, Any, Protocol

from ...utils.plug_ins import Kind, function_of

if TYPE_CHECKING:
    import torch

    from ...settings.optimization import OptimizationSettings


KIND = Kind(__name__, "optimizer", needs={"build": function_of("groups", "rate", "optimization", "settings")})


class OptimizerModule(Protocol):
    """What an optimizer's module has."""

    def build(
        self, groups: list[dict[str, Any]], rate: float, optimization: "OptimizationSettings", settings: Any
    ) -> "torch.optim.Optimizer": ...


def get_optimizer(name: str) -> OptimizerModule:
    """Return the module of an optimizer by its name.

    Raises:
        UserError: there is no such optimizer, or its module cannot be used.
    """
    module: OptimizerModule = KIND.find(name)
    return module
