"""One training step: forward, guard, backward, update.

Nothing in it makes the host wait for the device.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.loading.loader import Batch
from ..tasks.task import TaskOutput
from .epoch_metrics import EpochMetrics
from .guard import BatchId, Requests
from .optim import step_unless
from .train_state import TrainState


@dataclass(frozen=True)
class LocalBatch:
    """The part of a batch in this process.

    Attributes:
        clips: the number of clips of the whole batch.
        own: the number of clips in this process; a process without clips gets one that does not count, since all
            processes have to take part in a step.
    """

    clips: int
    own: int


@dataclass(frozen=True)
class StepNumbers:
    """What a step takes from the host and what differs from step to step.

    Attributes:
        requests: the requests of this process, or as a tensor what the guard's `sent` made of them.
        average_share: the share of the new weights in their average; the average's own count decides if it is None.
    """

    requests: Requests | Tensor
    average_share: Tensor | None = None


class TrainingStep:
    """One step of a training: forward, guard, backward, update.

    Args:
        state: the training state, which a step changes.
    """

    def __init__(self, state: TrainState) -> None:
        self.state, self.optimization, self.world = state, state.optimization, state.world
        self.requests = Requests()

    def __call__(
        self, streams: Mapping[str, Tensor], batch: Batch, local: LocalBatch, *, closes: bool, metrics: EpochMetrics
    ) -> None:
        """Train on one batch.

        Args:
            streams: the streams of this process's clips, each (N, C, T, V, M).
            batch: the rest of the batch, on the device.
            local: the part of the whole batch in this process.
            closes: whether an update follows, with the gradients since the last one.
            metrics: sums the batch's loss and metrics.

        The step also sends `requests` to all processes.
        """
        numbers = StepNumbers(self.requests)
        self.compute(streams, batch, local, closes=closes, metrics=metrics, numbers=numbers)

    def compute(
        self,
        streams: Mapping[str, Tensor],
        batch: Batch,
        local: LocalBatch,
        *,
        closes: bool,
        metrics: EpochMetrics,
        numbers: StepNumbers,
    ) -> None:
        """Compute all of a step on the device; apart from `numbers` the arguments are those of a call."""
        state, guard = self.state, self.state.guard
        streams = guard.sanitize_inputs(streams, batch.bodies)
        with state.precision.autocast():
            output: TaskOutput = state.forward(batch.with_streams(streams))
        good = guard.check_loss(output.loss, local.own / local.clips, numbers.requests)
        # DistributedDataParallel divides the sum of all processes' gradients by their number.
        weight = local.own * self.world.size / self.optimization.batch_size
        state.precision.scaler.scale(output.loss * weight).backward()  # type: ignore[no-untyped-call]
        guard.restore_batchnorm()
        state.accumulation.add(good, local.clips)
        counts = good if local.own else torch.zeros_like(good)
        sums = state.task.sums(output.predictions, batch)
        metrics.add(output.loss, len(batch), sums, counts, output.terms.values())
        if closes:
            self._update(metrics, numbers.average_share)

    def note(self, batch: BatchId) -> None:
        """Pass the identity of the batch to the guard."""
        self.state.guard.note(batch)
        self.requests = Requests()

    def _update(self, metrics: EpochMetrics, average_share: Tensor | None) -> None:
        """Make an optimizer step with the mean gradient over the accumulated clips, unless it is not finite."""
        state, scaler, clips = self.state, self.state.precision.scaler, self.state.accumulation.clips
        gradients = state.accumulation.close()
        scaler.unscale_(state.optimizer)
        factor = self.optimization.batch_size / clips.clamp(min=1)
        norm = torch.nn.utils.get_total_norm(gradients) * factor
        if self.optimization.grad_clip > 0:
            factor = factor * torch.clamp(self.optimization.grad_clip / (norm + 1e-6), max=1.0)
        torch._foreach_mul_(gradients, factor)
        made = state.guard.check_gradient(norm, clips, scaled=scaler.is_enabled())
        step_unless(~made, state.optimizer)
        state.precision.update_scale(clips > 0)
        if state.average is not None:
            state.average.update(made, average_share)
        metrics.add_update(norm, made)
        state.accumulation.reset()


def seed_step(seed: int, epoch: int, clips_before: int, rank: int) -> None:
    """Seed torch's generators, which dropout uses, as a function of the position of a step in a run.

    There is therefore no random state to save, for any number of processes.
    """
    text = f"{seed} {epoch} {clips_before} {rank}"
    torch.manual_seed(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1)
