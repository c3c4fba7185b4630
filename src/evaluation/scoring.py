"""A model's probabilities for the clips of a part, batch by batch.

Legend: N clips.
"""

import math
from collections.abc import Iterator
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from ..data.loading.loader import Batch
from ..data.loading.pipeline import InputPipeline
from ..data.loading.run_data import TestPart
from ..models.classifier import trusted
from ..runtime.precision import Precision
from .unusable_clips import unusable

# The scores of a clip with values that no model can take; those of a model that fails are NaN.
NO_SCORE = -math.inf


def score_batches(
    model: nn.Module,
    part: TestPart,
    pipeline: InputPipeline,
    device: torch.device,
    precision: Precision | None = None,
) -> Iterator[tuple[Batch, Tensor]]:
    """Yield each batch on the device with its probabilities (N, classes), averaged over the test draws.

    A clip with values that no model can take has `NO_SCORE` for every class; it changes no other clip's scores. The
    model should be in evaluation mode. It computes in `precision`, the streams are derived in float32 always.
    """
    for draws in zip(*part.loaders, strict=True):
        moved = [batch.to(device) for batch in draws]
        with torch.no_grad(), trusted(model):
            scores = [_scores(model, batch, pipeline, precision) for batch in moved]
        yield moved[0], torch.stack(scores).mean(dim=0)


def has_no_score(scores: Tensor) -> Tensor:
    """Tell which clips have values that no model can take, (N,) bool, by their scores (N, classes)."""
    return (scores == NO_SCORE).all(dim=1)


def _scores(model: nn.Module, batch: Batch, pipeline: InputPipeline, precision: Precision | None) -> Tensor:
    streams = pipeline(batch, training=False)
    with nullcontext() if precision is None else precision.autocast():
        logits: Tensor = model(streams, batch.bodies, batch.body_slots)
    bad = unusable(streams, batch.bodies, logits)
    return torch.where(bad[:, None], NO_SCORE, logits.float().softmax(dim=1))
