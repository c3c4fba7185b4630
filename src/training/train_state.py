"""The training state: everything that the next step depends on. It saves and loads itself; a checkpoint holds it."""

import inspect
import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..runs.checkpoint import Checkpoint
from ..runs.checkpoint_model import load_weights
from ..runtime.distributed import World
from ..runtime.precision import Precision
from ..settings.run import EmaConfig, RunConfig
from ..tasks.task import Task
from ..utils.errors import UserError
from .computed_with import change, computed_with
from .ema import WeightAverage
from .epoch_metrics import EpochMetrics
from .gradient_accumulation import GradientAccumulator
from .guard import NanGuard, SkipCounts
from .last_epochs import LastEpochsAverage
from .optim import build_optimizer
from .resume_check import Sizes, refuse_other_state
from .run_progress import EpochState, RunProgress
from .schedule import build_schedule

_log = logging.getLogger(__name__)


class TrainState:
    """Model, optimizer, schedule, scaler, average, accumulated gradients, guard and progress of a run.

    Args:
        config: the run's configuration.
        task: the task, on `device`.
        device: the device of this process.
        world: the processes that train together.

    Attributes:
        optimization: the settings of updates and learning rates.
        forward: the task, wrapped for several processes.
        precision: the number format, with the scaler.
        accumulation: the gradients since the last update.
        computed_with: what the figures depend on beside this state.
        progress: the number of finished epochs, and the best of them.
        epoch: the progress within the present epoch.
        row: the logbook's row of the last finished epoch.
        statistics: BatchNorm statistics measured for the tests of that epoch.
    """

    def __init__(self, config: RunConfig, task: Task, device: torch.device, world: World) -> None:
        self.task, self.device, self.world = task, device, world
        self.optimization = config.optimization
        self.forward = _distributed(task, device, world, sync_batchnorm=config.distributed.sync_batchnorm)
        self.optimizer = build_optimizer(task, self.optimization)
        self.schedule = build_schedule(self.optimizer, self.optimization)
        self.precision = Precision(config.amp, config.hardware.amp_dtype, device)
        self.computed_with = computed_with(device, str(self.precision))
        self.guard = NanGuard(task, config.nan_guard, device, world)
        self.average = _average(task.model, config.ema, config.epochs)
        sums = config.gradient_accumulation_steps > 1 or self.precision.scaler.is_enabled()
        self.accumulation = GradientAccumulator(task.parameters(), sums, device)
        self.progress = RunProgress(task.measures.primary_metric.worst)
        self.row: Mapping[str, Any] = {}
        self.statistics: dict[str, Mapping[str, Tensor]] = {}
        self.begin_epoch()

    @property
    def has_best(self) -> bool:
        """Whether an epoch had a result."""
        return self.progress.best != self.task.measures.primary_metric.worst

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the best result; None if no epoch had one."""
        return self.progress.best_epoch if self.has_best else None

    def begin_epoch(self) -> None:
        """Start an epoch with empty counts."""
        metrics = EpochMetrics(self.device, self.task.measures, terms=len(self.task.terms))
        self.epoch = EpochState(metrics, skips=SkipCounts(**asdict(self.guard.skips)))

    def save(self, *, within: bool = False) -> dict[str, Any]:
        """Return the state as fields of a checkpoint, at the end of an epoch or `within` one."""
        epoch, scaler = self.epoch, self.precision.scaler
        counted: dict[str, Any] = {}
        if within:
            self.guard.read(everything=True)  # a request to stop is dropped here, and made again at the next step
            counted = {
                "clips": epoch.clips,
                "meter": epoch.metrics.state(self.world),
                "skips": asdict(epoch.skips),
                "waited": epoch.waited,
                "seconds": epoch.elapsed,
            }
        return {
            "model": self.task.model.state_dict(),
            "task": self.task.extra_state(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.schedule.state_dict(),
            "scaler": scaler.state_dict(),
            "window": self.accumulation.state(scaler.get_scale()),
            "guard": self.guard.state(),
            "ema": {} if self.average is None else self.average.state(),
            "ema_steps": 0 if self.average is None else self.average.steps,
            "epoch": self.progress.epoch - 1,
            "within": counted,
            "best_acc": self.progress.best,
            "best_epoch": self.progress.best_epoch,
            "metrics": self.row,
            "statistics": {} if within else dict(self.statistics),  # within an epoch the weights have moved on
            "measures": self.task.measures.facts(),
            "computed_with": self.computed_with,
        }

    def load(self, checkpoint: Checkpoint, own: Checkpoint, origin: str, clips: int, changed: Collection[str]) -> None:
        """Load a checkpoint of this run.

        Args:
            checkpoint: the state to load.
            own: the run's state at its beginning, which has the same form.
            origin: names the checkpoint in errors.
            clips: how many clips an epoch has.
            changed: keys of the configuration that are to be as they are now, not as in the checkpoint.

        Raises:
            UserError: it is of another model or run.
        """
        load_weights(self.task.model, checkpoint.model, origin)
        sizes = Sizes.of(self.task, clips, self.epoch.metrics.sums)
        refuse_other_state(checkpoint, own, origin, sizes, replay=bool(changed))
        self.task.load_extra_state(checkpoint.task)
        self._load_optimizer(checkpoint, replay=bool(changed))
        if checkpoint.scaler:  # empty where the run had none: in bf16, or on another device than now
            self.precision.scaler.load_state_dict(dict(checkpoint.scaler))
        if self.average is not None and checkpoint.ema:
            self.average.load_state(checkpoint.ema, checkpoint.ema_steps)
        # Its gradients were weighted for the batch size of then, and an update takes them as of the present one.
        resized = checkpoint.config.batch_size / self.optimization.batch_size
        self.accumulation.load_state(dict(checkpoint.window), self.precision.scaler.get_scale() * resized)
        self.guard.load_state(checkpoint.guard)
        self.progress = RunProgress(checkpoint.best_acc, checkpoint.epoch + 1, checkpoint.best_epoch)
        self.row, self.statistics = checkpoint.metrics, dict(checkpoint.statistics)
        self.begin_epoch()
        if changed_since := change(checkpoint.computed_with, self.computed_with):
            _log.warning(changed_since)
        if within := checkpoint.within:
            self.epoch.clips, self.epoch.skips = within["clips"], SkipCounts(**within["skips"])
            self.epoch.waited, self.epoch.seconds = within["waited"], within["seconds"]
            if self.world.is_first:  # the sums are those of all processes
                self.epoch.metrics.load_state(within["meter"])

    def _load_optimizer(self, checkpoint: Checkpoint, replay: bool) -> None:
        """Load the optimizer and its schedule; to `replay` is to compute the rates of the present configuration."""
        optimizer, groups = self.optimizer, self.optimizer.param_groups
        now = [{key: value for key, value in group.items() if key not in ("params", "lr")} for group in groups]
        optimizer.load_state_dict(dict(checkpoint.optimizer))
        for group, values in zip(optimizer.param_groups, now, strict=True):
            # Versions of torch write different flags, and None for False: those of this optimizer are the right ones.
            group.update({key: value for key, value in values.items() if value is None or isinstance(value, bool)})
        optimizer.step()  # of no gradient: only so that torch sees the schedule's steps after one of these
        if not replay:
            self.schedule.load_state_dict(dict(checkpoint.scheduler))
            return
        for group, values in zip(optimizer.param_groups, now, strict=True):
            group.update(values)
            group["lr"] = values["initial_lr"]
        self.schedule = build_schedule(optimizer, self.optimization)
        optimizer.step()
        for _ in range(checkpoint.epoch + 1):
            self.schedule.step()


def _average(model: nn.Module, how: EmaConfig, epochs: int) -> WeightAverage | None:
    """Return the average of a model's weights that the configuration asks for."""
    if how.decay > 0:
        return WeightAverage(model, how.decay)
    if warning := how.warning(epochs):
        _log.warning(warning)
    return LastEpochsAverage(model, how.first_averaged(epochs)) if how.last_epochs > 0 else None


def _distributed(task: Task, device: torch.device, world: World, *, sync_batchnorm: bool) -> nn.Module:
    """Return the task as the processes compute it together; alone as it is."""
    if world.size == 1:
        return task
    if sync_batchnorm:
        if device.type != "cuda":
            raise UserError("distributed.sync_batchnorm needs GPUs: torch has no SyncBatchNorm on the CPU.")
        task.model = nn.SyncBatchNorm.convert_sync_batchnorm(task.model)  # type: ignore[no-untyped-call]
    # Buffers are kept equal by the guard, which averages the running statistics of all processes. torch 2.13 has a new
    # name for the option and warns of the old one.
    known = inspect.signature(DistributedDataParallel.__init__).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    options: dict[str, Any] = {name: False}
    return DistributedDataParallel(task, **options)
