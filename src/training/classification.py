"""The task of classification: cross-entropy, top-1, top-5 and the metrics that a configuration adds.

Legend: N clips, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data.loading.class_balance import ClassWeights, class_weights
from ..data.loading.loader import Batch
from ..data.loading.run_data import TrainingData
from ..evaluation.clip_metrics import clip_metrics
from ..evaluation.scoring import class_scores, has_no_score
from ..models.layers import widened
from ..models.registry import build_model
from ..runtime.precision import Precision
from ..runtime.run_context import RunContext
from ..settings.run import RunConfig
from ..tasks.measures import CLASSIFICATION, TOP
from ..tasks.recipe import TaskRecipe
from ..tasks.task import Task, TaskOutput, TestOutput


class Classification(Task):
    """Minimise the cross-entropy of a model's logits, with label smoothing and perhaps with weights of the classes.

    Args:
        model: takes streams, `body_mask` and `body_slots`, and `joint_mask` if joints are missing; returns logits.
        label_smoothing: the share of each target spread over all classes.
        metrics: further metrics by name, each with its settings.
        class_weights: (K,) how much a clip of each class counts; None if all count equally.
    """

    measures = CLASSIFICATION
    classifies = True
    class_weights: Tensor | None

    def __init__(
        self,
        model: nn.Module,
        label_smoothing: float,
        metrics: Mapping[str, Mapping[str, Any]] = {},
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(model)
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.label_smoothing, self.added = label_smoothing, clip_metrics(metrics)
        named = (*CLASSIFICATION.metrics, *(each.metric for each in self.added))
        self.measures = replace(CLASSIFICATION, metrics=named)

    def forward(self, batch: Batch) -> TaskOutput:
        """Return the loss over a batch and the logits (N, K)."""
        logits = self.model(batch.streams, batch.bodies, batch.body_slots, **batch.masks)
        return TaskOutput(self.label_loss(logits, batch), logits)

    def label_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of logits (N, K) over the clips of a batch, mixed or not."""
        if batch.partners is None:
            return self.cross_entropy(logits, batch.labels)
        return self.mixed_losses(logits, batch).mean()

    def mixed_losses(self, logits: Tensor, batch: Batch, counts: Tensor | None = None) -> Tensor:
        """Return the weighted cross-entropy of each clip, (N,).

        A mixed clip has two labels, each with its share, the weight of its class and label smoothing. This equals the
        cross-entropy with the sum of both smoothed labels, since it is linear in them.

        Args:
            logits: (N, K).
            batch: the clips.
            counts: (N,) bool, the clips whose labels count; None if all do.
        """
        own = self.clip_losses(logits, batch.labels)
        own = own if counts is None else own * counts
        if batch.partners is None or batch.partner_shares is None:
            return own
        other = self.clip_losses(logits, batch.labels[batch.partners])
        other = other if counts is None else other * counts[batch.partners]
        return (1 - batch.partner_shares) * own + batch.partner_shares * other

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy of logits (N, K), in float32 at least."""
        if self.class_weights is None:
            return functional.cross_entropy(widened(logits), labels, label_smoothing=self.label_smoothing)
        return self.clip_losses(logits, labels).mean()

    def clip_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the weighted cross-entropy of each clip, (N,).

        A clip's weight is that of its class. torch's own `weight` would divide by the weights of the batch, so that a
        clip's weight would depend on its batch mates, and would weight the smoothed part by the other classes.
        """
        losses = functional.cross_entropy(
            widened(logits), labels, label_smoothing=self.label_smoothing, reduction="none"
        )
        return losses if self.class_weights is None else losses * self.class_weights[labels]

    def sums(self, predictions: Tensor, batch: Batch) -> Sequence[Tensor]:
        """Return how many clips of a batch are right in top-1 and in top-5, and the sums of further metrics."""
        hits = _hits(predictions, batch.labels)[0]
        if not self.added:
            return hits
        scores = widened(predictions.detach()).softmax(dim=1)
        return (*hits, *(each.total(scores, batch.labels) for each in self.added))

    def predict(self, batch: Batch, precision: Precision | None = None) -> Tensor:
        """Return the probabilities (N, K), `NO_SCORE` for a clip that is unusable."""
        return class_scores(self.model, batch, precision)

    def test(self, predictions: Tensor, batch: Batch) -> TestOutput:
        """Return the loss without label smoothing, the metrics and the predicted classes; see `measure_scores`."""
        output = measure_scores(predictions, batch.labels)
        added = [each.total(predictions, batch.labels) for each in self.added]
        return replace(output, sums=(*output.sums, *added))


class ClassificationRecipe(TaskRecipe):
    """Set up the classification of a run's clips."""

    def build_model(self, config: RunConfig, data: TrainingData) -> nn.Module:
        """Return the model of the configuration."""
        return build_model(config.model, len(data.classes), config.data.skeleton)

    def build(
        self,
        model: nn.Module,
        config: RunConfig,
        data: TrainingData,
        run_context: RunContext,  # noqa: ARG002
    ) -> Task:
        """Return the task."""
        return Classification(
            model, config.label_smoothing, config.metrics, weights_of_classes(config.class_weights, data)
        )


def weights_of_classes(weights: ClassWeights, data: TrainingData) -> Tensor | None:
    """Return the weights (K,) that the key `class_weights` gives the classes, from the labels that may be used."""
    labels = data.source.store.clips["label"][data.labelled]
    return class_weights(labels, weights, len(data.classes))


def measure_scores(scores: Tensor, labels: Tensor) -> TestOutput:
    """Return the measurements of a tested batch from its probabilities (N, K) and labels (N,).

    NaN makes the loss NaN. A clip that cannot be scored counts as wrong and has no part in the loss.
    """
    unusable = has_no_score(scores)
    logs = scores.clamp(min=torch.finfo(scores.dtype).tiny).log()
    losses = functional.nll_loss(logs, labels, reduction="none")
    hits, predicted_classes = _hits(scores, labels)
    return TestOutput(torch.where(unusable, 0.0, losses).sum() / len(labels), hits, unusable, predicted_classes)


def _hits(scores: Tensor, labels: Tensor) -> tuple[Sequence[Tensor], Tensor]:
    """Return the numbers () of top-1 and top-5 hits, and the predicted classes (N,), K for a clip without one.

    A clip with a score that is not finite never counts as a hit. Of equal scores, which half precision often has, the
    first class counts as the highest, as in `evaluation.metrics`; `topk` would take any of them.
    """
    best = scores.detach().argsort(dim=1, descending=True, stable=True)[:, :TOP]
    finite = scores.detach().isfinite().all(dim=1, keepdim=True)
    hits = (best == labels[:, None]) & finite
    predicted_classes = torch.where(finite[:, 0], best[:, 0], scores.shape[1])
    return (hits[:, 0].sum(), hits.any(dim=1).sum()), predicted_classes
