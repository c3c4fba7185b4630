"""Similarity-preserving distillation (Tung and Mori, ICCV 2019): clips alike for a teacher are alike for the student.

Legend: N clips, D features.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from last.distillation.losses import ensemble_log_probabilities, kd_loss
from last.distillation.methods import FEATURES, Context
from last.distillation.teacher_outputs import TeacherOutputs
from last.models.classifier import ForwardDetails
from last.utils.limits import Interval

COMPARES = FEATURES
USES_LABELS = False


@dataclass
class Settings:
    """Settings of similarity-preserving distillation: its weight beside the divergence of probabilities."""

    weight: Annotated[float, Interval(ge=0.0, le=1e6)] = 1.0


def loss(student: ForwardDetails, teachers: TeacherOutputs, context: Context) -> Tensor:
    """Return the divergence of probabilities, and the distance of similarities, a mean over pairs of clips."""
    divergence = kd_loss(
        student.logits, ensemble_log_probabilities(teachers.logits, context.weights, context.tau), context.tau
    )
    own = similarities(student.features)
    distances = torch.stack([(own - similarities(theirs)).square().sum(dim=1).mean() for theirs in teachers.features])
    weight: float = context.settings.weight
    return divergence + weight * (distances * context.weights).sum()


def similarities(features: Tensor) -> Tensor:
    """Return the products of features (N, D) of all pairs of clips, (N, N), each row of length one."""
    return functional.normalize(features @ features.t(), dim=1)
