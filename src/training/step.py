"""One training step: forward, guard, backward, update.

Nothing in it makes the host wait for the device.
"""

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..data.loading.loader import Batch
from ..runtime.distributed import World
from ..runtime.precision import Precision
from ..settings.run import RunConfig
from ..utils.errors import UserError
from .ema import WeightAverage
from .epoch_metrics import Meter
from .gradient_accumulation import GradientWindow
from .guard import BatchId, NanGuard, Requests
from .optim import build_optimizer
from .task import Classification


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
    """Hold what a step changes: the task's model, the optimizer, the scaler, the average, the guard, the window.

    Args:
        config: the run's configuration.
        task: what a step minimises, on `device`.
        device: where it computes.
        world: the processes that train together.
    """

    def __init__(self, config: RunConfig, task: Classification, device: torch.device, world: World) -> None:
        self.config, self.world = config, world
        self.task = task
        self.forward = _distributed(task, config, device, world)
        self.optimizer = build_optimizer(task, config)
        self.precision = Precision(config.amp, config.hardware.amp_dtype, device)
        self.guard = NanGuard(task, config.nan_guard, device, world)
        self.average = WeightAverage(task.model, config.ema.decay) if config.ema.decay > 0 else None
        sums = config.gradient_accumulation_steps > 1 or self.precision.scaler.is_enabled()
        self.window = GradientWindow(task.parameters(), sums, device)
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
            meter: what counts the batch's loss and hits.

        What `requests` holds is asked of all processes with it.
        """
        streams = self.guard.examine(streams)
        with self.precision.autocast():
            outcome = self.forward(streams, batch)
        good = self.guard.judge(outcome.loss, share.own / share.clips, self.requests)
        # DistributedDataParallel divides the sum of all processes' gradients by their number.
        weight = share.own * self.world.size / self.config.batch_size
        self.precision.scaler.scale(outcome.loss * weight).backward()
        self.guard.mend()
        self.window.add(good, share.clips)
        counts = good if share.own else torch.zeros_like(good)
        meter.add(outcome.loss, outcome.logits, batch.labels, counts, outcome.parts.values())
        if closes:
            self._update(meter)

    def note(self, batch: BatchId) -> None:
        """Tell the guard which batch the step was about."""
        self.guard.note(batch)
        self.requests = Requests()

    def state(self) -> dict[str, Any]:
        """Return what the next step depends on, beside the weights."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
            "window": self.window.state(self.precision.scaler.get_scale()),
            "guard": self.guard.state(),
            "ema": {} if self.average is None else self.average.state(),
            "ema_steps": 0 if self.average is None else self.average.steps,
        }

    def _update(self, meter: Meter) -> None:
        """Step along the mean gradient over the clips that the window really had, unless it is not finite."""
        scaler, clips = self.precision.scaler, self.window.clips
        gradients = self.window.close()
        scaler.unscale_(self.optimizer)
        factor = self.config.batch_size / clips.clamp(min=1)
        norm = torch.nn.utils.get_total_norm(gradients) * factor
        if self.config.grad_clip > 0:
            factor = factor * torch.clamp(self.config.grad_clip / (norm + 1e-6), max=1.0)
        torch._foreach_mul_(gradients, factor)
        made = self.guard.judge_gradient(norm, clips, scaled=scaler.is_enabled())
        step_unless(~made, self.optimizer)
        self.precision.update_scale(clips > 0)
        if self.average is not None:
            self.average.update(made)
        meter.add_update(norm, made)
        self.window.reset()


def step_unless(skip: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Make an optimizer's step unless `skip`, a bool () on the device; the fused optimizers leave all as it is then.

    It is the way in which torch's GradScaler tells them of overflows.
    """
    optimizer.found_inf = skip.float()  # type: ignore[attr-defined]
    optimizer.step()
    del optimizer.found_inf  # type: ignore[attr-defined]


def seed_step(seed: int, epoch: int, clips_before: int, rank: int) -> None:
    """Seed torch's generators, from which dropout draws, as a function of where in a run a step is.

    So there is no random state to save, whichever number of processes goes on.
    """
    text = f"{seed} {epoch} {clips_before} {rank}"
    torch.manual_seed(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1)


def _distributed(task: Classification, config: RunConfig, device: torch.device, world: World) -> nn.Module:
    """Return the task as the processes compute it together; alone as it is."""
    if world.size == 1:
        return task
    if config.distributed.sync_batchnorm:
        if device.type != "cuda":
            raise UserError("distributed.sync_batchnorm needs GPUs: torch has no SyncBatchNorm on the CPU.")
        task.model = nn.SyncBatchNorm.convert_sync_batchnorm(task.model)  # type: ignore[no-untyped-call]
    # Buffers are kept equal by the guard, which averages the running statistics of all processes. torch 2.13 has a new
    # name for the option and warns of the old one.
    known = inspect.signature(DistributedDataParallel.__init__).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    options: dict[str, Any] = {name: False}
    return DistributedDataParallel(task, **options)
