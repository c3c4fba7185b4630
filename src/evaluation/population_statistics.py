"""BatchNorm statistics for testing: measured over training clips with the weights that are tested.

Running statistics are an average over the last ten or so updates. They lag behind the weights if weights change
much within that time (short runs), and they do not belong to averaged weights at all. Tests with them can then give
chance accuracy for a well-trained model. Here the statistics of given weights are measured over a fixed sample of
training clips ("PreciseBN": Wu and Johnson, Rethinking "Batch" in BatchNorm, arXiv:2105.07576, section 3). They are
kept separate from the model: training, the guard and resuming never use them.

Legend: P running statistics (the mean and variance of every channel of every BatchNorm).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..data.loading.loader import Batch
from ..data.loading.pipeline import InputPipeline
from ..models.batchnorm_stats import BatchNorm, RunningStatistics
from ..models.classifier import unchecked
from ..runtime.distributed import ALONE, World
from ..runtime.precision import Precision
from .unusable_clips import LARGEST, with_zeros


class PopulationStatistics:
    """Measure the statistics of a model's current weights, and apply them to the model for testing.

    Args:
        model: the model. It may be compiled; the measurement runs it uncompiled.
        sample: the batches of training clips to measure over, the same ones in every process.
        pipeline: from batches to streams.
        device: where the model is.
        precision: the number format in which the model is tested.
        world: the processes that train together. Each measures the whole sample, and all take the mean.
        augmented: whether the clips are augmented as in training, or as they are in testing.
    """

    def __init__(
        self,
        model: nn.Module,
        sample: Iterable[Batch],
        pipeline: InputPipeline,
        device: torch.device,
        *,
        precision: Precision,
        world: World = ALONE,
        augmented: bool = True,
    ) -> None:
        self.model, self.sample, self.pipeline, self.device = model, sample, pipeline, device
        self.precision, self.world, self.augmented = precision, world, augmented
        self.running = RunningStatistics(model)

    def measure(self) -> dict[str, Tensor]:
        """Return the statistics by their names in the model's state; the model is unchanged afterwards."""
        if not len(self.running.neutral):
            return {}
        training, own, counts, batches = self.model.training, self.running.read(), self.running.counts(), 0
        sums = torch.zeros(0)
        with _normalising_by_batch(self.model), torch.no_grad():
            try:
                for batch in self.sample:
                    sums = self._moments(batch.to(self.device)) + (sums if batches else 0)
                    batches += 1
            finally:
                self.running.write(own)
                self.running.set_counts(counts)
                self.model.train(training)
        return self.running.named(self._averaged(sums)) if batches else {}

    @contextmanager
    def applied(self, statistics: Mapping[str, Tensor]) -> Iterator[None]:
        """Use `statistics` in the model while the block runs, then restore its own; empty ones change nothing."""
        own = self.running.read()
        if statistics:
            self.running.write(self.running.vector(statistics))
        try:
            yield
        finally:
            self.running.write(own)

    def _moments(self, batch: Batch) -> Tensor:
        """Return (2 P + 1,): first and second moments of a batch's inputs to each BatchNorm, and their weight.

        The last batch is smaller than the others, and batches have different numbers of bodies, so each is weighted by
        its number of bodies.
        """
        batch = self.pipeline.prepared(batch, training=self.augmented)
        with self.precision.autocast():
            options = {**batch.masks, **unchecked(self.model)}
            self.model.forward(with_zeros(batch.streams, LARGEST), batch.bodies, batch.body_slots, **options)
        values = self.running.read().to(_wide(self.device))  # (P,) of this batch alone
        means, variances = values.chunk(2)
        weight = len(batch.body_slots) * batch.bodies.any().to(values)  # none where no clip has a body
        return torch.cat([weight * means, weight * (variances + means**2), weight[None]])

    def _averaged(self, sums: Tensor) -> Tensor:
        """Return the statistics (P,) of the whole sample, the same in all processes."""
        self.world.all_reduce_sum(sums)
        means, squares = (sums[:-1] / sums[-1]).chunk(2)
        return torch.cat([means, (squares - means**2).clamp(min=0)]).to(self.running.neutral)


@contextmanager
def _normalising_by_batch(model: nn.Module) -> Iterator[None]:
    """Let each BatchNorm normalise by its batch and store only that batch's statistics; all else is as in testing."""
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def _wide(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64
