"""What teachers say of a batch, and the one row of numbers a clip that it can be kept as.

Legend: N clips, W teachers, K classes, D features, T frames, V joints, F numbers of a row.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ..data.loading.loader import Batch
from ..utils.errors import UserError


@dataclass(frozen=True)
class Form:
    """Say how large what teachers say is.

    Attributes:
        teachers, classes: W and K.
        features: D of each teacher, empty where nobody asks for features.
        maps: T and V of each stage, empty where nobody asks for maps.
    """

    teachers: int
    classes: int
    features: list[int] = field(default_factory=list)
    maps: list[list[int]] = field(default_factory=list)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Return the shapes of a clip's parts: logits, each teacher's features, each stage's maps."""
        maps = [(self.teachers, *each) for each in self.maps]
        return [(self.teachers, self.classes), *((each,) for each in self.features), *maps]

    @property
    def width(self) -> int:
        """Return F, the numbers of a clip."""
        return sum(map(math.prod, self.shapes))


@dataclass(frozen=True)
class Lesson:
    """What teachers say of a batch.

    Attributes:
        logits: (N, W, K).
        features: (N, D) for each teacher, pooled; empty where nobody asks.
        maps: (N, W, T, V) for each stage, the activity of frames and joints; empty where nobody asks.
    """

    logits: Tensor
    features: list[Tensor] = field(default_factory=list)
    maps: list[Tensor] = field(default_factory=list)

    @property
    def form(self) -> Form:
        """Return how large it is."""
        maps = [list(each.shape[2:]) for each in self.maps]
        return Form(self.logits.shape[1], self.logits.shape[2], [each.shape[1] for each in self.features], maps)

    def packed(self) -> Tensor:
        """Return it as (N, F)."""
        return torch.cat([each.flatten(1) for each in (self.logits, *self.features, *self.maps)], dim=1)


def refuse_broken(lesson: Lesson, paths: Sequence[str] = (), excused: Tensor | None = None) -> None:
    """Refuse what a model says that is not a number: a student would learn nothing from it.

    Args:
        lesson: what the teachers say of a batch; the host reads it.
        paths: the teachers' checkpoints, to name the one at fault.
        excused: (N,) bool, clips that are at fault themselves: the trainer's guard skips their batches.

    Raises:
        UserError: a number is not finite.
    """
    counted = slice(None) if excused is None else ~excused
    if bool(lesson.packed()[counted].isfinite().all()):
        return
    broken = (~lesson.logits[counted].isfinite()).flatten(2).any(dim=2).any(dim=0).tolist()  # (W,)
    at_fault = [path for path, bad in zip(paths, broken, strict=False) if bad]
    named = f" ({', '.join(at_fault)})" if at_fault else ""
    raise UserError(f"A teacher's outputs are not finite{named}. Choose another checkpoint of its run.")


def unpacked(rows: Tensor, form: Form) -> Lesson:
    """Return the lesson that is kept as `rows` (N, F)."""
    parts = torch.split(rows, [math.prod(shape) for shape in form.shapes], dim=1)
    logits, *others = (part.view(-1, *shape) for part, shape in zip(parts, form.shapes, strict=True))
    return Lesson(logits, others[: len(form.features)], others[len(form.features) :])


class Source(Protocol):
    """Where a task has its lessons from: the teachers themselves, or what was kept of them."""

    form: Form

    def __call__(self, streams: Mapping[str, Tensor], batch: Batch) -> Lesson:
        """Return what the teachers say of the clips as the student sees them; `streams` are (N, C, T, V, M)."""
