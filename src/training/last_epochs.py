"""Uniform average of the weights at the ends of the last epochs.

Weights at the end of a run move around a minimum; their mean lies nearer to it (Izmailov et al., Averaging Weights
Leads to Wider Optima and Better Generalization, UAI 2018). A moving average (`ema`) of a long memory does the same with
weights of every step. BatchNorm statistics are measured for the averaged weights, as for a moving average.
"""

import torch
from torch import Tensor, nn

from .ema import WeightAverage


class LastEpochsAverage(WeightAverage):
    """Average a model's parameters over the ends of the last epochs of a run, those from the epoch `first` on.

    Before these epochs the average is the weights of the last finished epoch. `steps` is the number of finished epochs,
    so that an epoch whose test was interrupted does not count twice when the run is resumed.

    Args:
        model: the model with the parameters.
        first: the first averaged epoch, counted from 0.
    """

    def __init__(self, model: nn.Module, first: int) -> None:
        super().__init__(model, decay=0.0)
        self.first = first

    def count_step(self) -> float:
        """Return that a step takes no share; no step counts."""
        return 0.0

    def update(self, made: Tensor, share: float | Tensor | None = None) -> None:
        """Do nothing after a step: only the ends of epochs count."""

    @torch.no_grad()
    def end_epoch(self, epoch: int) -> None:
        """Take the weights at the end of an epoch, counted from 0, into the average."""
        if epoch < self.steps:
            return
        self.steps = epoch + 1
        average, weights = list(self._average.values()), [each.detach() for each in self._parameters.values()]
        if epoch <= self.first:
            torch._foreach_copy_(average, weights)
            return
        difference = torch._foreach_sub(weights, average)
        torch._foreach_mul_(difference, 1 / (self.steps - self.first))
        torch._foreach_add_(average, difference)
