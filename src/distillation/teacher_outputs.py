"""Teacher outputs for a batch, and their packed form for the cache: one row of numbers per clip.

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
class OutputShapes:
    """Shapes of teacher outputs for one clip.

    Attributes:
        teachers, classes: W and K.
        features: D of each teacher; empty if the method needs no features.
        maps: T and V of each stage; empty if the method needs no maps.
    """

    teachers: int
    classes: int
    features: list[int] = field(default_factory=list)
    maps: list[list[int]] = field(default_factory=list)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Return the shapes of the parts: logits, each teacher's features, each stage's maps."""
        maps = [(self.teachers, *each) for each in self.maps]
        return [(self.teachers, self.classes), *((each,) for each in self.features), *maps]

    @property
    def width(self) -> int:
        """Return F, the numbers per clip."""
        return sum(map(math.prod, self.shapes))


@dataclass(frozen=True)
class TeacherOutputs:
    """Teacher outputs for a batch.

    Attributes:
        logits: (N, W, K).
        features: (N, D) for each teacher, pooled; empty if the method needs none.
        maps: (N, W, T, V) for each stage, activation maps over frames and joints; empty if the method needs none.
    """

    logits: Tensor
    features: list[Tensor] = field(default_factory=list)
    maps: list[Tensor] = field(default_factory=list)

    @property
    def clip_shapes(self) -> OutputShapes:
        """Return the shapes for one clip."""
        maps = [list(each.shape[2:]) for each in self.maps]
        return OutputShapes(self.logits.shape[1], self.logits.shape[2], [each.shape[1] for each in self.features], maps)

    def packed(self) -> Tensor:
        """Return the outputs as one tensor (N, F)."""
        return torch.cat([each.flatten(1) for each in (self.logits, *self.features, *self.maps)], dim=1)


def refuse_non_finite(
    teacher_outputs: TeacherOutputs, paths: Sequence[str] = (), unusable_clips: Tensor | None = None
) -> None:
    """Refuse teacher outputs that are not finite.

    Args:
        teacher_outputs: the outputs for a batch; the host reads them.
        paths: the teachers' checkpoints, for the message.
        unusable_clips: (N,) bool, clips that are invalid themselves: the trainer's guard skips their batches.

    Raises:
        UserError: an output is not finite.
    """
    counted = slice(None) if unusable_clips is None else ~unusable_clips
    if bool(teacher_outputs.packed()[counted].isfinite().all()):
        return
    broken = (~teacher_outputs.logits[counted].isfinite()).flatten(2).any(dim=2).any(dim=0).tolist()  # (W,)
    at_fault = [path for path, bad in zip(paths, broken, strict=False) if bad]
    named = f" ({', '.join(at_fault)})" if at_fault else ""
    raise UserError(f"A teacher's outputs are not finite{named}. Choose another checkpoint of its run.")


def unpacked(rows: Tensor, clip_shapes: OutputShapes) -> TeacherOutputs:
    """Return the outputs of packed `rows` (N, F)."""
    parts = torch.split(rows, [math.prod(shape) for shape in clip_shapes.shapes], dim=1)
    logits, *others = (part.view(-1, *shape) for part, shape in zip(parts, clip_shapes.shapes, strict=True))
    return TeacherOutputs(logits, others[: len(clip_shapes.features)], others[len(clip_shapes.features) :])


class OutputSource(Protocol):
    """Source of teacher outputs: the teachers themselves, or the cache."""

    clip_shapes: OutputShapes

    def __call__(self, streams: Mapping[str, Tensor], batch: Batch) -> TeacherOutputs:
        """Return the teacher outputs for the student's input; `streams` are (N, C, T, V, M)."""
