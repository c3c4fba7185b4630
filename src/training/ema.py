"""Exponential moving average of the weights, which often tests better than the last weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Keep an exponential moving average of a model's parameters.

    After n steps the average takes `1 - min(decay, (1 + n) / (10 + n))` of the new weights, so that the
    first, random weights have little influence (the rule of TensorFlow's ExponentialMovingAverage). Buffers, such as
    BatchNorm's statistics, are averages or counts already, so the model's own are used.

    Args:
        model: the model with the parameters.
        decay: the weight of the previous average in a step.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self._parameters = dict(model.named_parameters())
        self._average = {name: each.detach().clone() for name, each in self._parameters.items()}

    def count_step(self) -> float:
        """Count a step, and return the share of the new weights in the average after it."""
        self.steps += 1
        return 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))

    @torch.no_grad()
    def update(self, made: Tensor, share: float | Tensor | None = None) -> None:
        """Update the average with the parameters, if the step was `made`, a bool ().

        Their `share` is that of the next step if it is None.
        """
        weight = made * (self.count_step() if share is None else share)
        average = list(self._average.values())
        difference = torch._foreach_sub([each.detach() for each in self._parameters.values()], average)
        torch._foreach_mul_(difference, weight)
        torch._foreach_add_(average, difference)

    def end_epoch(self, epoch: int) -> None:
        """Note the end of an epoch, counted from 0; a moving average follows the steps alone."""

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Set the model's parameters to the average while the block runs."""
        own = [each.detach().clone() for each in self._parameters.values()]
        self._put(list(self._average.values()))
        try:
            yield
        finally:
            self._put(own)

    def state(self) -> dict[str, Tensor]:
        """Return the averages by the parameters' names."""
        return dict(self._average)

    def load_state(self, average: Mapping[str, Tensor], steps: int) -> None:
        """Load an average over `steps` steps."""
        self.steps = steps
        for name, own in self._average.items():
            own.copy_(average[name])

    @torch.no_grad()
    def _put(self, values: list[Tensor]) -> None:
        torch._foreach_copy_(list(self._parameters.values()), values)
