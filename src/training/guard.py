"""The NaN guard: bad data never reaches the model, a bad loss or gradient never reaches the weights."""

import logging
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..utils.errors import TrainingDiverged

_log = logging.getLogger(__name__)


class NanGuard:
    """Decide whether a batch may train the model, and count those that may not.

    Args:
        model: whose BatchNorm statistics are reset after a non-finite loss.
        max_consecutive: so many skipped batches in a row, or so many skipped steps, end the training.
    """

    def __init__(self, model: nn.Module, max_consecutive: int) -> None:
        self.model = model
        self.max_consecutive = max_consecutive
        self.skipped_inputs = 0
        self.skipped_losses = 0
        self.skipped_gradients = 0
        self._in_a_row = {"batches": 0, "steps": 0}  # a step may have several batches, and be skipped for all of them

    @property
    def skipped(self) -> int:
        """Return how many batches were skipped, whatever the cause."""
        return self.skipped_inputs + self.skipped_losses + self.skipped_gradients

    def accepts_input(self, streams: Mapping[str, Tensor]) -> bool:
        """Tell whether every value of every stream is finite; if not the batch must not reach the model.

        A forward pass over garbage would poison BatchNorm's running statistics even if its loss were thrown away.
        """
        finite = torch.stack([torch.isfinite(stream).all() for stream in streams.values()]).all()
        if bool(finite):
            return True
        self.skipped_inputs += 1
        self._count("batches", "a stream of the batch has non-finite values")
        return False

    def accepts_loss(self, loss: Tensor) -> bool:
        """Tell whether the loss is finite; if not reset the BatchNorm statistics that this forward pass has moved."""
        if bool(torch.isfinite(loss)):
            self._in_a_row["batches"] = 0
            return True
        reset_running_statistics(self.model)
        self.skipped_losses += 1
        self._count("batches", "the loss is not finite")
        return False

    def accepts_gradient(self, norm: Tensor) -> bool:
        """Tell whether the gradient's norm is finite; if not the step must not be made, for it would end the model.

        Where a GradScaler is at work it skips such a step by itself and this is not asked.
        """
        if bool(torch.isfinite(norm)):
            self._in_a_row["steps"] = 0
            return True
        self.skipped_gradients += 1
        self._count("steps", "its gradient is not finite")
        return False

    def _count(self, what: str, cause: str) -> None:
        self._in_a_row[what] += 1
        if self._in_a_row[what] == 1:
            _log.warning("A batch was skipped: %s.", cause)
        if self._in_a_row[what] >= self.max_consecutive:
            raise TrainingDiverged(
                f"{self._in_a_row[what]} {what} in a row were skipped, the last because {cause}. Lower learning_rate, "
                "check the data with `preprocess --strict`, or train without --amp."
            )


def reset_running_statistics(model: nn.Module) -> None:
    """Set every BatchNorm's running mean to 0 and variance to 1."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
