"""The protocol of a task: its loss and its metrics. The trainer knows nothing of a model except its task.

Legend: N clips.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from .measures import Measures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..data.loading.loader import Batch
    from ..runtime.precision import Precision


@dataclass
class TaskOutput:
    """The result of a forward pass over a batch.

    Attributes:
        loss: (), the mean over the batch, which is minimised.
        predictions: (N, ...), from which `Task.sums` computes the metrics.
        terms: the terms of the loss by the names in `Task.terms`, also means.
    """

    loss: Tensor
    predictions: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class TestOutput:
    """The measurements of a tested batch; none of them was read on the host.

    Attributes:
        loss: (), the mean over the batch, in which an unusable clip counts as zero.
        sums: one number () per metric, summed over the clips.
        unusable: (N,) bool, the unusable clips.
        predicted_classes: (N,) the predicted class of each clip, or the number of classes for an unusable clip; None
            for a task that does not classify. The confusion matrix is computed from them.
    """

    __test__ = False  # not a test class, despite its name

    loss: Tensor
    sums: Sequence[Tensor]
    unusable: Tensor
    predicted_classes: Tensor | None = None


class Task(nn.Module):
    """A model together with its loss and its metrics; a subclass defines both.

    Args:
        model: the model to train. Its `forward` takes streams, `body_mask` and `body_slots`, and `joint_mask` if
            joints are missing, so that BatchNorm statistics can be measured.

    Attributes:
        measures: the metrics, and which one decides the best epoch.
        terms: the names of the loss terms for the logbook, each a column `train_<name>_loss`. Runs are compared by the
            first one; for a run without loss terms this is `train_loss`.
        classifies: whether `test` returns `predicted_classes`.
    """

    measures: Measures
    terms: tuple[str, ...] = ()
    classifies = False

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: "Batch") -> TaskOutput:
        """Return the loss over a batch, whose `streams` are each (N, C, T, V, M)."""
        raise NotImplementedError

    def sums(self, predictions: Tensor, batch: "Batch") -> Sequence[Tensor]:
        """Return one number () per metric, summed over the clips of a training batch."""
        raise NotImplementedError

    def predict(self, batch: "Batch", precision: "Precision | None" = None) -> Tensor:
        """Return the predictions that are averaged over the test draws of a clip, (N, ...), in float32.

        It is called in evaluation mode without gradients. The model computes in `precision`.
        """
        raise NotImplementedError

    def test(self, predictions: Tensor, batch: "Batch") -> TestOutput:
        """Return the measurements of a tested batch from its averaged predictions."""
        raise NotImplementedError

    def begin_epoch(self, epoch: int) -> None:
        """Set the values that depend on the epoch, counted from 0."""

    def description(self) -> str:
        """Return a description of the objective for the log; empty if the task's name is sufficient."""
        return ""

    def facts(self) -> dict[str, Any]:
        """Return facts about the task for a run's summary, in addition to its metrics, as JSON values."""
        return {}

    def extra_state(self) -> dict[str, Tensor]:
        """Return the state of the task in addition to the model."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("model.")}

    def load_extra_state(self, state: "Mapping[str, Tensor]") -> None:
        """Load what `extra_state` returned."""
        self.load_state_dict({**self.state_dict(), **state})
