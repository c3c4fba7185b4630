"""What a training step minimises. The trainer knows no more of a model than its task.

Legend: N clips.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from ..data.loader import Batch


@dataclass
class Outcome:
    """What a task makes of a batch: the mean loss, and the logits (N, classes) that are counted as its answer."""

    loss: Tensor
    logits: Tensor


class Classification(nn.Module):
    """Minimise the cross-entropy of a model's logits, with label smoothing.

    Args:
        model: takes streams, `valid` and `rows`, returns logits.
        label_smoothing: the share of each target spread over all classes.
    """

    def __init__(self, model: nn.Module, label_smoothing: float) -> None:
        super().__init__()
        self.model = model
        self.label_smoothing = label_smoothing

    def forward(self, streams: Mapping[str, Tensor], batch: Batch) -> Outcome:
        """Return the loss over a batch."""
        logits = self.model(streams, batch.bodies, batch.rows)  # (N, classes)
        loss = functional.cross_entropy(logits.float(), batch.labels, label_smoothing=self.label_smoothing)
        return Outcome(loss, logits)
