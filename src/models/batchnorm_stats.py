"""BatchNorm's running statistics as one vector, so that a few operations save, average and restore all of them.

`statistics_lag` tells when they lag behind the weights.

Legend: P numbers (the running mean and variance of every channel of every BatchNorm), the means first.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..settings.optimization import OptimizationSettings

BatchNorm = nn.modules.batchnorm._BatchNorm  # what all of them are, the synchronised one too

SETTLED_UPDATES = 1000  # from here on, the ten updates that running statistics span are at most 1% of a run
UNKNOWN_BATCHES = 1 << 20  # stands for a number that older checkpoints do not tell
SETTLED_BATCHES = 100  # after this many batches the initial running statistics have no influence left


class RunningStatistics:
    """Read and write the running statistics of a model."""

    def __init__(self, model: nn.Module) -> None:
        means: dict[str, Tensor] = {}
        variances: dict[str, Tensor] = {}
        self._counts: list[Tensor] = []
        for name, module in model.named_modules():
            if isinstance(module, BatchNorm) and module.running_mean is not None and module.running_var is not None:
                prefix = f"{name}." if name else ""
                means[f"{prefix}running_mean"] = module.running_mean
                variances[f"{prefix}running_var"] = module.running_var
                if module.num_batches_tracked is not None:
                    self._counts.append(module.num_batches_tracked)
        self._names = [*means, *variances]
        self._values = [*means.values(), *variances.values()]
        self._sizes = [each.numel() for each in self._values]
        neutral = [torch.zeros_like(each) for each in means.values()]
        neutral += [torch.ones_like(each) for each in variances.values()]
        device = next((each.device for each in model.parameters()), None)
        self.neutral = torch.cat(neutral) if neutral else torch.empty(0, device=device)  # (P,) mean 0, variance 1

    def read(self) -> Tensor:
        """Return all means and variances, (P,)."""
        return torch.cat(self._values) if self._values else self.neutral

    def write(self, values: Tensor) -> None:
        """Set all means and variances to `values` (P,)."""
        if self._values:
            torch._foreach_copy_(self._values, list(torch.split(values, self._sizes)))

    def counts(self) -> list[Tensor]:
        """Return how many batches each BatchNorm has counted, as copies."""
        return [each.clone() for each in self._counts]

    def set_counts(self, counts: Sequence[Tensor]) -> None:
        """Set how many batches each BatchNorm has counted."""
        if self._counts:
            torch._foreach_copy_(self._counts, list(counts))

    def uncount(self, batches: Tensor) -> None:
        """Take back `batches` (a whole number, 0-dim) that were counted."""
        if self._counts:
            torch._foreach_sub_(self._counts, [batches.to(torch.int64)] * len(self._counts))

    def named(self, values: Tensor) -> dict[str, Tensor]:
        """Return `values` (P,) by the names of their buffers in the model's state."""
        return {name: each.clone() for name, each in zip(self._names, torch.split(values, self._sizes), strict=True)}

    def vector(self, named: Mapping[str, Tensor]) -> Tensor:
        """Return (P,) what `named` holds by the buffers' names."""
        return torch.cat([named[name].to(self.neutral) for name in self._names]) if self._names else self.neutral


def updates_of(settings: OptimizationSettings, clips: int) -> int:
    """Return how many updates a whole run makes, of which an epoch draws `clips` clips."""
    batches = -(-clips // settings.batch_size)
    return settings.epochs * -(-batches // settings.gradient_accumulation_steps)


def statistics_lag(settings: OptimizationSettings, clips: int, batches_since_reset: int) -> bool:
    """Tell whether running statistics are behind the weights that they belong to.

    Args:
        settings: the run's epochs and batches.
        clips: how many clips an epoch draws.
        batches_since_reset: how many batches have entered the statistics since they were neutral: since the run began,
            or since the guard reset them.
    """
    return updates_of(settings, clips) < SETTLED_UPDATES or batches_since_reset < SETTLED_BATCHES
