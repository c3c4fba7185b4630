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
from .epoch_metrics import Meter
from .guard import BatchId, Requests
from .optim import step_unless
from .train_state import TrainState


@dataclass(frozen=True)
class Share:
    """How much of a batch a process has.

    Attributes:
        clips: how many clips the whole batch has.
        own: how many of them are this process's; where it has none it is given one that does not count, since all
            processes have to take part in a step.
    """

    clips: int
    own: int


class TrainingStep:
    """One step of a training: forward, guard, backward, update.

    Args:
        state: what a step changes.
    """

    def __init__(self, state: TrainState) -> None:
        self.state, self.config, self.world = state, state.config, state.world
        self.requests = Requests()

    def __call__(
        self, streams: Mapping[str, Tensor], batch: Batch, share: Share, *, closes: bool, meter: Meter
    ) -> None:
        """Learn from one batch.

        Args:
            streams: of this process's clips, each (N, C, T, V, M).
            batch: what else the task needs, on the device.
            share: how much of the whole batch this is.
            closes: whether an update follows, of the gradients since the last one.
            meter: what counts the batch's loss and metrics.

        What `requests` holds is asked of all processes with it.
        """
        state, guard = self.state, self.state.guard
        streams = guard.examine(streams)
        with state.precision.autocast():
            output: TaskOutput = state.forward(batch.with_streams(streams))
        good = guard.judge(output.loss, share.own / share.clips, self.requests)
        # DistributedDataParallel divides the sum of all processes' gradients by their number.
        weight = share.own * self.world.size / self.config.batch_size
        state.precision.scaler.scale(output.loss * weight).backward()  # type: ignore[no-untyped-call]
        guard.mend()
        state.accumulation.add(good, share.clips)
        counts = good if share.own else torch.zeros_like(good)
        sums = state.task.sums(output.predictions, batch)
        meter.add(output.loss, len(batch), sums, counts, output.terms.values())
        if closes:
            self._update(meter)

    def note(self, batch: BatchId) -> None:
        """Tell the guard which batch the step was about."""
        self.state.guard.note(batch)
        self.requests = Requests()

    def _update(self, meter: Meter) -> None:
        """Step along the mean gradient over the clips that the window really had, unless it is not finite."""
        state, scaler, clips = self.state, self.state.precision.scaler, self.state.accumulation.clips
        gradients = state.accumulation.close()
        scaler.unscale_(state.optimizer)
        factor = self.config.batch_size / clips.clamp(min=1)
        norm = torch.nn.utils.get_total_norm(gradients) * factor
        if self.config.grad_clip > 0:
            factor = factor * torch.clamp(self.config.grad_clip / (norm + 1e-6), max=1.0)
        torch._foreach_mul_(gradients, factor)
        made = state.guard.judge_gradient(norm, clips, scaled=scaler.is_enabled())
        step_unless(~made, state.optimizer)
        state.precision.update_scale(clips > 0)
        if state.average is not None:
            state.average.update(made)
        meter.add_update(norm, made)
        state.accumulation.reset()


def seed_step(seed: int, epoch: int, clips_before: int, rank: int) -> None:
    """Seed torch's generators, from which dropout draws, as a function of where in a run a step is.

    So there is no random state to save, whichever number of processes goes on.
    """
    text = f"{seed} {epoch} {clips_before} {rank}"
    torch.manual_seed(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1)
