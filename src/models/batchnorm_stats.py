"""BatchNorm's running statistics as one vector, so that a few operations save, average and restore all of them.

`statistics_lag` tells whether they lag behind the weights.

Legend: P statistics (the running mean and variance of every channel of every BatchNorm), the means first.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..settings.optimization import OptimizationSettings

BatchNorm = nn.modules.batchnorm._BatchNorm  # base class of all BatchNorms, including SyncBatchNorm

SETTLED_UPDATES = 1000  # from this length on, the ten updates averaged by running statistics are at most 1% of a run
UNKNOWN_BATCHES = 1 << 20  # replaces a number that older checkpoints lack
SETTLED_BATCHES = 100  # after this many batches the initial running statistics have no more influence


class RunningStatistics:
    """The running statistics of a model, read and written as one vector."""

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
        """Return copies of the numbers of batches that each BatchNorm has counted."""
        return [each.clone() for each in self._counts]

    def set_counts(self, counts: Sequence[Tensor]) -> None:
        """Set the numbers of batches that each BatchNorm has counted."""
        if self._counts:
            torch._foreach_copy_(self._counts, list(counts))

    def uncount(self, batches: Tensor) -> None:
        """Subtract `batches` (), a whole number, from every count."""
        if self._counts:
            torch._foreach_sub_(self._counts, [batches.to(torch.int64)] * len(self._counts))

    def named(self, values: Tensor) -> dict[str, Tensor]:
        """Return `values` (P,) by the names of their buffers in the model's state."""
        return {name: each.clone() for name, each in zip(self._names, torch.split(values, self._sizes), strict=True)}

    def vector(self, named: Mapping[str, Tensor]) -> Tensor:
        """Return the vector (P,) of statistics given by the names of their buffers."""
        return torch.cat([named[name].to(self.neutral) for name in self._names]) if self._names else self.neutral


def updates_of(settings: OptimizationSettings, clips_per_epoch: int) -> int:
    """Return the number of updates of a whole run."""
    batches = -(-clips_per_epoch // settings.batch_size)
    return settings.epochs * -(-batches // settings.gradient_accumulation_steps)


def statistics_lag(settings: OptimizationSettings, clips_per_epoch: int, batches_since_reset: int) -> bool:
    """Tell whether running statistics lag behind the weights of their model.

    Args:
        settings: the run's epochs and batches.
        clips_per_epoch: number of clips in an epoch.
        batches_since_reset: number of batches averaged since the statistics were neutral, at the beginning of the run
            or after a reset by the guard.
    """
    return updates_of(settings, clips_per_epoch) < SETTLED_UPDATES or batches_since_reset < SETTLED_BATCHES
