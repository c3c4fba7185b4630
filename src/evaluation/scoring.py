"""A model's probabilities for the clips of a part, batch by batch.

Legend: N clips.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from ..data.loading.loader import Batch
from ..data.loading.pipeline import InputPipeline
from ..data.loading.run_data import TestPart
from ..models.classifier import unchecked
from ..runtime.precision import Precision
from .unusable_clips import unusable

# The scores of an unusable clip; those of a diverged model are NaN.
NO_SCORE = -math.inf


def score_batches(
    model: nn.Module,
    part: TestPart,
    pipeline: InputPipeline,
    device: torch.device,
    precision: Precision | None = None,
) -> Iterator[tuple[Batch, Tensor]]:
    """Yield each batch on the device with its probabilities (N, classes), averaged over the test draws.

    An unusable clip has `NO_SCORE` for every class and does not affect other clips. The model
    should be in evaluation mode. It computes in `precision`; the streams are always derived in float32.
    """
    return predict_batches(lambda batch: class_scores(model, batch, precision), part, pipeline, device)


def predict_batches(
    predict: Callable[[Batch], Tensor],
    part: TestPart,
    pipeline: InputPipeline,
    device: torch.device,
) -> Iterator[tuple[Batch, Tensor]]:
    """Yield each batch on the device with the result of `predict`, averaged over the test draws."""
    for draws in zip(*part.loaders, strict=True):
        moved = [batch.to(device) for batch in draws]
        with torch.no_grad():
            predictions = [predict(batch.with_streams(pipeline(batch, training=False))) for batch in moved]
        yield moved[0], torch.stack(predictions).mean(dim=0)


def has_no_score(scores: Tensor) -> Tensor:
    """Return which clips are unusable, (N,) bool, from their scores (N, classes)."""
    return (scores == NO_SCORE).all(dim=1)


def class_scores(model: nn.Module, batch: Batch, precision: Precision | None = None) -> Tensor:
    """Return the probabilities (N, classes) of a batch with its streams, `NO_SCORE` for an unusable clip."""
    with nullcontext() if precision is None else precision.autocast():
        logits: Tensor = model(batch.streams, batch.bodies, batch.body_slots, **unchecked(model))
    bad = unusable(batch.streams, batch.bodies, logits)
    return torch.where(bad[:, None], NO_SCORE, logits.float().softmax(dim=1))
