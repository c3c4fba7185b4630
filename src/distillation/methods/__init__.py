"""Distillation methods beside kl, dkd, features and attention, one module each: `distillation.method: NAME`.

A module has

- `loss(student, teachers, context)`: returns the loss () of a batch, a mean over its clips, in place of the divergence
  between the student's and the teachers' probabilities;
- `COMPARES`: which teacher outputs the loss compares: `FEATURES`, `MAPS`, or `LOGITS` for the logits alone;
- `USES_LABELS`: whether the loss needs the labels; such a method cannot learn from clips without one;
- `Settings`, where it has configuration keys of its own: a dataclass, filled from `distillation.method_settings`.

Legend: N clips, W teachers.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ...settings.distillation import METHODS
from ...utils.plug_ins import SWITCH, Kind, function_of, one_of

if TYPE_CHECKING:
    from torch import Tensor

    from ...models.classifier import ForwardDetails
    from ..teacher_outputs import TeacherOutputs

LOGITS, FEATURES, MAPS = "logits", "features", "maps"
KIND = Kind(
    __name__,
    "distillation method",
    built_in=METHODS,
    needs={
        "COMPARES": one_of(LOGITS, FEATURES, MAPS),
        "USES_LABELS": SWITCH,
        "loss": function_of("student", "teachers", "context"),
    },
)
_COMPARED = {"features": FEATURES, "attention": MAPS}  # of our own methods; the others compare logits


@dataclass(frozen=True)
class Context:
    """Other inputs of a distillation loss.

    Attributes:
        weights: (W,), the weight of each teacher; their sum is one.
        tau: the temperature of this epoch.
        labels: (N,), the right classes; None where the method does not use them.
        settings: the method's own.
    """

    weights: "Tensor"
    tau: float
    labels: "Tensor | None"
    settings: Any


class MethodModule(Protocol):
    """What a method's module has."""

    COMPARES: str
    USES_LABELS: bool

    def loss(self, student: "ForwardDetails", teachers: "TeacherOutputs", context: Context) -> "Tensor": ...


def list_methods() -> list[str]:
    """Return the names that `distillation.method` accepts; no method is imported for it."""
    return KIND.names()


def find_method(name: str) -> MethodModule | None:
    """Return the module of a method by its name; None for one of our own.

    Raises:
        UserError: there is no such method, or its module cannot be used.
    """
    module: MethodModule | None = KIND.find(name)
    return module


def compared(name: str) -> str:
    """Return what a method compares: `LOGITS`, or beside them `FEATURES` or `MAPS`."""
    module = find_method(name)
    return _COMPARED.get(name, LOGITS) if module is None else module.COMPARES
