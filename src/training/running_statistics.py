"""BatchNorm's running statistics as one vector, so that a few operations save, average and put back all of them.

Legend: P numbers (the running mean and variance of every channel of every BatchNorm).
"""

import torch
from torch import Tensor, nn

BatchNorm = nn.modules.batchnorm._BatchNorm  # what all of them are, the synchronised one too


class RunningStatistics:
    """Read and write the running statistics of a model."""

    def __init__(self, model: nn.Module) -> None:
        self._values: list[Tensor] = []
        self._counts: list[Tensor] = []
        neutral: list[Tensor] = []
        for module in model.modules():
            if isinstance(module, BatchNorm) and module.running_mean is not None and module.running_var is not None:
                self._values += [module.running_mean, module.running_var]
                neutral += [torch.zeros_like(module.running_mean), torch.ones_like(module.running_var)]
                if module.num_batches_tracked is not None:
                    self._counts.append(module.num_batches_tracked)
        device = next((each.device for each in model.parameters()), None)
        self.neutral = torch.cat(neutral) if neutral else torch.empty(0, device=device)  # (P,) mean 0, variance 1
        self._sizes = [each.numel() for each in self._values]

    def read(self) -> Tensor:
        """Return all means and variances, (P,)."""
        return torch.cat(self._values) if self._values else self.neutral

    def write(self, values: Tensor) -> None:
        """Set all means and variances to `values` (P,)."""
        if self._values:
            torch._foreach_copy_(self._values, list(torch.split(values, self._sizes)))

    def uncount(self, batches: Tensor) -> None:
        """Take back `batches` (a whole number, 0-dim) that were counted."""
        if self._counts:
            torch._foreach_sub_(self._counts, [batches.to(torch.int64)] * len(self._counts))
