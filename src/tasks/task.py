"""What a training step minimises, and how it is measured. The trainer knows no more of a model than its task.

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
        terms: the parts of the loss by the names in `Task.terms`, means too.
    """

    loss: Tensor
    predictions: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class TestOutput:
    """The measurements of a batch that is tested; nothing in it was read on the host.

    Attributes:
        loss: (), the mean over the batch, in which an unusable clip counts as zero.
        sums: one number () a metric, summed over the clips.
        unusable: (N,) bool, clips with values that no model can take.
        answers: (N,) the predicted class of each clip, the number of classes for no answer; None for a task that does
            not classify. A confusion matrix is counted of them.
    """

    __test__ = False  # not a test class, whatever pytest makes of its name

    loss: Tensor
    sums: Sequence[Tensor]
    unusable: Tensor
    answers: Tensor | None = None


class Task(nn.Module):
    """A model together with its loss and its metrics; a subclass defines both.

    Args:
        model: what is trained. Its `forward` takes streams, `body_mask` and `body_slots`, so that BatchNorm statistics
            can be measured for it.

    Attributes:
        measures: the metrics, and which one decides the best epoch.
        terms: the names of the parts of its loss that the logbook should have, each a column `train_<name>_loss`. Runs
            are compared in the first one, which a run whose loss has no parts has as `train_loss`.
        classifies: whether `test` returns `answers`.
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
        """Return one number () a metric, summed over the clips of a training batch."""
        raise NotImplementedError

    def predict(self, batch: "Batch", precision: "Precision | None" = None) -> Tensor:
        """Return what is averaged over the test draws of a clip, (N, ...), in float32.

        It is called without gradients in evaluation mode. The model computes in `precision`.
        """
        raise NotImplementedError

    def test(self, predictions: Tensor, batch: "Batch") -> TestOutput:
        """Return the measurements of a tested batch from the mean of its predictions."""
        raise NotImplementedError

    def begin_epoch(self, epoch: int) -> None:
        """Set what depends on the epoch, counted from 0."""

    def description(self) -> str:
        """Return lines for people about what is minimised; empty where the task's name says it."""
        return ""

    def facts(self) -> dict[str, Any]:
        """Return what a run's summary holds about the task beside the model's metrics, as JSON values."""
        return {}

    def extra_state(self) -> dict[str, Tensor]:
        """Return the state of the task beside the model."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("model.")}

    def load_extra_state(self, state: "Mapping[str, Tensor]") -> None:
        """Load what `extra_state` returned."""
        self.load_state_dict({**self.state_dict(), **state})
