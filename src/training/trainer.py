"""The training loop: epochs of guarded steps, an evaluation after each, a checkpoint after that."""

import logging
import math
import sys
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..data.loader import Batch, TrainOrder
from ..data.pipeline import InputPipeline
from ..models.registry import count_parameters
from ..utils.progress import SILENT, Progress
from .checkpoint import Checkpoint, load_weights, save_checkpoint
from .config import RunConfig
from .guard import NanGuard
from .logbook import Logbook
from .meter import Figures, Meter
from .optim import build_optimizer
from .precision import Precision
from .run_folder import RunFolder
from .schedule import build_schedule
from .scoring import TestPart, score_batches
from .task import Classification

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from and is measured on.

    Attributes:
        loader, order: the training batches and what decides their order.
        test: the protocol's test part.
        validation: held-out training clips that choose the best epoch; None where the test part does.
        pipeline: from batches to streams.
        classes: the class names in the order of their labels.
    """

    loader: DataLoader[Batch]
    order: TrainOrder
    test: TestPart
    validation: TestPart | None
    pipeline: InputPipeline
    classes: list[str]


@dataclass
class Progression:
    """How far a run has come."""

    epoch: int = 0
    best_acc: float = -1.0
    best_epoch: int = 0


class Trainer:
    """Train a task's model and keep the run's folder up to date.

    Args:
        config: the run's configuration.
        task: what a step minimises.
        data: what it learns from and is measured on.
        run: where its files go.
        device: where it computes.
        progress: who is told how far it is.
    """

    def __init__(
        self,
        config: RunConfig,
        task: Classification,
        data: TrainingData,
        *,
        run: RunFolder,
        device: torch.device,
        progress: Progress = SILENT,
    ) -> None:
        self.config, self.data, self.run, self.device, self.progress = config, data, run, device, progress
        self.task = task.to(device)
        self.model: nn.Module = task.model
        self.optimizer = build_optimizer(self.task, config)
        self.schedule = build_schedule(self.optimizer, config)
        self.precision = Precision(config.amp, config.hardware.amp_dtype, device)
        self.guard = NanGuard(self.model, config.nan_guard.max_consecutive)
        self.progression = Progression()
        self._window_clips = 0

    def fit(self, logbook: Logbook) -> None:
        """Train from the current epoch to the last one.

        Raises:
            TrainingDiverged: too many batches in a row were not finite.
            UserError: a file of the run could not be written.
        """
        self._show_banner()
        for epoch in range(self.progression.epoch, self.config.epochs):
            began = time.perf_counter()
            learning_rate = self.optimizer.param_groups[0]["lr"]
            row = {
                "epoch": epoch,
                "learning_rate": learning_rate,
                **self._train_epoch(epoch),
                **self._evaluate(),
            }
            self.schedule.step()
            row["seconds"] = time.perf_counter() - began
            self._finish_epoch(row, logbook)
        logbook.close()

    def resume(self, checkpoint: Checkpoint, origin: str) -> None:
        """Go on behind the epoch at which `checkpoint` was written; `origin` names it in errors."""
        load_weights(self.model, checkpoint.model, origin)
        self.optimizer.load_state_dict(dict(checkpoint.optimizer))
        self.schedule.load_state_dict(dict(checkpoint.scheduler))
        if checkpoint.scaler:  # empty where the run had none: in bf16, or on another device than now
            self.precision.scaler.load_state_dict(dict(checkpoint.scaler))
        torch.set_rng_state(checkpoint.rng["cpu"])
        if self.device.type == "cuda":
            for index, state in enumerate(checkpoint.rng["cuda"][: torch.cuda.device_count()]):
                torch.cuda.set_rng_state(state, index)
        self.progression = Progression(checkpoint.epoch + 1, checkpoint.best_acc, checkpoint.best_epoch)

    def _train_epoch(self, epoch: int) -> dict[str, Any]:
        """Train on every clip once (or `repeat` times) and return the epoch's figures."""
        self.task.train()
        self.data.order.epoch = epoch
        meter = Meter(self.device)
        skipped_before, waited, began = self.guard.skipped, 0.0, time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        last_step = len(self.data.order) - 1
        with self.progress.task(f"epoch {epoch}/{self.config.epochs - 1}", self.data.order.clips):
            batches = iter(self.data.loader)
            for step in range(last_step + 1):
                asked = time.perf_counter()
                batch = next(batches).to(self.device)
                waited += time.perf_counter() - asked
                self._accumulate(batch, meter)
                if (step + 1) % self.config.gradient_accumulation_steps == 0 or step == last_step:
                    self._update(meter)
                self.progress.advance(len(batch))
        figures = meter.read()
        seconds = time.perf_counter() - began
        return {
            **_named("train", figures),
            "grad_norm": figures.grad_norm,
            "clips_per_second": self.data.order.clips / seconds,
            "data_wait_share": waited / seconds,
            "skipped_batches": self.guard.skipped - skipped_before,
            "memory_mib": _peak_memory_mib(self.device),
        }

    def _accumulate(self, batch: Batch, meter: Meter) -> None:
        """Add the batch's gradient to the window's, unless the guard refuses the batch."""
        streams = self.data.pipeline(batch, training=True)
        if not self.guard.accepts_input(streams):
            return
        with self.precision.autocast():
            outcome = self.task(streams, batch)
        if not self.guard.accepts_loss(outcome.loss):
            return
        share = len(batch) / self.config.batch_size
        self.precision.scaler.scale(outcome.loss * share).backward()
        self._window_clips += len(batch)
        meter.add(outcome.loss, outcome.logits, batch.labels)

    def _update(self, meter: Meter) -> None:
        """Step along the mean gradient over the clips that the window really had, however many those were."""
        if self._window_clips == 0:
            return
        self.precision.scaler.unscale_(self.optimizer)
        gradients = [each.grad for each in self.task.parameters() if each.grad is not None]
        factor = self.config.batch_size / self._window_clips
        if factor != 1.0:
            torch._foreach_mul_(gradients, factor)
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.precision.scaler.is_enabled() or self.guard.accepts_gradient(norm):
            self._clip(gradients, norm)
            self.precision.scaler.step(self.optimizer)
            self.precision.scaler.update()
            meter.add_update(norm)
        self.optimizer.zero_grad(set_to_none=True)
        self._window_clips = 0

    def _clip(self, gradients: list[Tensor], norm: Tensor) -> None:
        """Shorten the gradient to `grad_clip` where it is longer."""
        if self.config.grad_clip > 0:
            torch._foreach_mul_(gradients, torch.clamp(self.config.grad_clip / (norm + 1e-6), max=1.0))

    def _evaluate(self) -> dict[str, Any]:
        """Return the figures on the test part and, where there is one, on the validation part."""
        row = _named("test", self._measure(self.data.test))
        if self.data.validation is not None:
            row.update(_named("val", self._measure(self.data.validation)))
        return row

    def _measure(self, part: TestPart) -> Figures:
        self.task.eval()
        meter = Meter(self.device)
        with self.precision.autocast():
            for batch, scores in score_batches(self.model, part, self.data.pipeline, self.device):
                logs = scores.clamp(min=torch.finfo(scores.dtype).tiny).log()
                meter.add(nn.functional.nll_loss(logs, batch.labels), scores, batch.labels)
        return meter.read()

    def _finish_epoch(self, row: dict[str, Any], logbook: Logbook) -> None:
        """Record the epoch: a row in the logbook, a line for people, the checkpoints."""
        epoch = row["epoch"]
        accuracy = row["test_top1" if self.data.validation is None else "val_top1"]
        better = accuracy > self.progression.best_acc
        if better:
            self.progression.best_acc, self.progression.best_epoch = accuracy, epoch
        self.progression.epoch = epoch + 1
        logbook.write(row)
        _log.info(_epoch_line(row, self.config.epochs, better))
        checkpoint = self._checkpoint(row)
        if better:
            save_checkpoint(self.run.best, checkpoint)
        save_checkpoint(self.run.last, checkpoint)

    def _checkpoint(self, row: dict[str, Any]) -> Checkpoint:
        cuda = torch.cuda.get_rng_state_all() if self.device.type == "cuda" else []
        return Checkpoint(
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scheduler=self.schedule.state_dict(),
            scaler=self.precision.scaler.state_dict(),
            rng={"cpu": torch.get_rng_state(), "cuda": cuda},
            epoch=row["epoch"],
            best_acc=self.progression.best_acc,
            best_epoch=self.progression.best_epoch,
            metrics=row,
            config=self.config,
            classes=self.data.classes,
        )

    def _show_banner(self) -> None:
        parameters = count_parameters(self.model)
        config = self.config
        _log.info(
            f"{type(self.model).__name__} ({config.model.name}, {parameters:,} parameters) on {config.data.name} "
            f"{config.data.split}: {self.data.order.clips:,} clips an epoch, {self.data.test.clips:,} to test on, "
            f"{len(self.data.classes)} classes\n"
            f"{config.epochs} epochs, batch {config.batch_size}, {config.input_frames} frames, {self.precision}, "
            f"{self.device}, seed {config.seed}"
        )


def _named(part: str, figures: Figures) -> dict[str, float]:
    return {f"{part}_loss": figures.loss, f"{part}_top1": figures.top1, f"{part}_top5": figures.top5}


def _epoch_line(row: dict[str, Any], epochs: int, better: bool) -> str:
    """Return the one line that people read about an epoch."""
    width = len(str(epochs - 1))
    validation = f"  val {row['val_top1']:5.2f}" if "val_top1" in row else ""
    skipped = f"  skipped {row['skipped_batches']}" if row["skipped_batches"] else ""
    return (
        f"epoch {row['epoch']:>{width}}  lr {row['learning_rate']:.5f}  "
        f"train loss {row['train_loss']:.3f} top-1 {row['train_top1']:5.2f}  "
        f"test loss {row['test_loss']:.3f} top-1 {row['test_top1']:5.2f}{validation}  "
        f"{row['clips_per_second']:,.0f} clips/s  {row['seconds']:.1f} s{skipped}{'  best' if better else ''}"
    )


def _peak_memory_mib(device: torch.device) -> float:
    """Return the most memory that was in use: the GPU's where it computes, else the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "win32":
        return math.nan
    import resource  # not there on Windows

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
