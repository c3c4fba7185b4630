"""What a training step minimises. The trainer knows no more of a model than its task.

Legend: N clips.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from ..data.loading.loader import Batch
from ..models.layers import widened


@dataclass
class Outcome:
    """What a task makes of a batch.

    Attributes:
        loss: the mean over the batch.
        logits: (N, classes), counted as its answer.
        parts: what the loss is made of, means too, by the names that the task's `parts` tell.
    """

    loss: Tensor
    logits: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)


class Classification(nn.Module):
    """Minimise the cross-entropy of a model's logits, with label smoothing.

    Args:
        model: takes streams, `body_mask` and `body_slots`, returns logits.
        label_smoothing: the share of each target spread over all classes.

    Attributes:
        parts: the names of the parts of its loss that a logbook should tell, each a column `train_<name>_loss`.
    """

    parts: tuple[str, ...] = ()

    def __init__(self, model: nn.Module, label_smoothing: float) -> None:
        super().__init__()
        self.model = model
        self.label_smoothing = label_smoothing

    def forward(self, streams: Mapping[str, Tensor], batch: Batch) -> Outcome:
        """Return the loss over a batch."""
        logits = self.model(streams, batch.bodies, batch.body_slots)  # (N, classes)
        return Outcome(self.cross_entropy(logits, batch.labels), logits)

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy of logits (N, classes), in float32 at least."""
        return functional.cross_entropy(widened(logits), labels, label_smoothing=self.label_smoothing)

    def begin_epoch(self, epoch: int) -> None:
        """Learn which epoch it is, counted from 0; what is minimised may depend on it."""

    def description(self) -> str:
        """Return lines for people about what is minimised, nothing where it is the cross-entropy alone."""
        return ""

    def facts(self) -> dict[str, Any]:
        """Return what a run's summary says of the task beside the model's figures, as JSON values."""
        return {}

    def own_state(self) -> dict[str, Tensor]:
        """Return what the task holds beside the model."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("model.")}

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `own_state` returned."""
        self.load_state_dict({**self.state_dict(), **state})
