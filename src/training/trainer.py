"""The training loop: epochs of guarded steps, an evaluation after each, a checkpoint after that and now and then."""

import logging
import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..data.loading.loader import Batch
from ..data.loading.run_data import TestPart, TrainingData
from ..evaluation.population_statistics import PopulationStatistics
from ..evaluation.scoring import has_no_score, score_batches
from ..evaluation.unusable_clips import NOT_RECOGNISED, UnusableClips
from ..models.batchnorm_stats import statistics_lag
from ..runs.checkpoint import Checkpoint, load_weights
from ..runs.checkpoint_files import CheckpointFiles
from ..runs.folder import RunFolder
from ..runs.last_test import LastTest
from ..runs.logbook import Logbook
from ..runtime.run_context import RunContext
from ..runtime.stop_requests import Stop
from ..settings.run import RunConfig
from ..skeleton import layout_facts
from ..utils.errors import TrainingDiverged
from .divergence_report import report_divergence
from .epoch_metrics import Figures, Meter
from .epoch_report import banner, epoch_line, named, peak_memory_mib, refuse_no_result
from .guard import BatchId, Requests, Skips, counts_by_cause
from .resume_check import Sizes, refuse_other_state
from .run_progress import EpochSoFar, Pace, Progression
from .schedule import build_schedule
from .step import Share, TrainingStep, seed_step
from .task import Classification

_log = logging.getLogger(__name__)

# How processes ask each other to stop; where they ask for several reasons, the first one is it.
_REQUESTS = {
    Stop.TERMINATE: "terminated",
    Stop.HANG_UP: "hung_up",
    Stop.INTERRUPT: "interrupted",
    Stop.TIME: "out_of_time",
}


class _Stopped(Exception):
    """Unwind to where the state is saved."""

    def __init__(self, reason: Stop) -> None:
        self.reason = reason


class Trainer:
    """Train a task's model and keep the run's folder up to date.

    Args:
        config: the run's configuration.
        task: what a step minimises.
        data: what it learns from and is measured on.
        run: where its files go.
        run_context: device, processes, stop requests and progress display.
    """

    def __init__(
        self,
        config: RunConfig,
        task: Classification,
        data: TrainingData,
        *,
        run: RunFolder,
        run_context: RunContext,
    ) -> None:
        self.config, self.data, self.run = config, data, run
        self.run_context, self.device, self.world = run_context, run_context.device, run_context.world
        self.watch, self.progress = run_context.watch, run_context.progress
        self.task = task.to(self.device)
        self.step = TrainingStep(config, self.task, self.device, self.world)
        self.population = PopulationStatistics(
            self.model, data.sample, data.pipeline, self.device, precision=self.step.precision, world=self.world
        )
        self.schedule = build_schedule(self.step.optimizer, config)
        self.files = CheckpointFiles(run, config.checkpoint.keep, writes=self.world.is_first)
        self.progression = Progression()
        self.pace = Pace(config.epochs, config.test_every, data.order.clips, self._clips_of_a_test())
        self._so_far = EpochSoFar(Meter(self.device, len(task.parts)))
        self._row: Mapping[str, Any] = {}
        self._statistics: dict[str, Mapping[str, Tensor]] = {}
        self._last_test = LastTest(run.confusion, data.classes)
        self._unusable = UnusableClips(data.source.store.clips["name"], NOT_RECOGNISED, self.device)
        self._saved = time.monotonic()

    @property
    def model(self) -> nn.Module:
        """Return the model that is trained."""
        return self.task.model

    def fit(self, logbook: Logbook | None) -> Stop | None:
        """Train from where the run is to its end, or until there is a reason to stop, which is returned.

        Args:
            logbook: where the epochs' rows go; of several processes only the first has one.

        Raises:
            TrainingDiverged: too many batches in a row were not finite.
            UserError: the last state could not be written.
        """
        _log.info(banner(self.config, self.task, self.data, self.run_context, str(self.step.precision)))
        try:
            with self.watch.listening(patiently=self.world.size > 1):
                try:
                    self.pace.begin()
                    while self.progression.epoch < self.config.epochs:
                        self._train_epoch()
                        self._finish_epoch(self._evaluate(), logbook)
                except _Stopped as stop:
                    self._save_within()
                    self.world.barrier()  # a process that leaves before the file is written would end the first one
                    return stop.reason
            if self.step.guard.updates == 0:
                raise TrainingDiverged("No update was made in the whole run: every batch was skipped.")
            refuse_no_result(self._row, f"{self.offered}test", has_best=self.progression.best_acc >= 0)
        except TrainingDiverged as error:
            raise report_divergence(error, self.step, self.data, self.run, self.world) from error
        self.files.settle(lambda: self._checkpoint({}))
        return None

    def resume(self, checkpoint: Checkpoint, origin: str, changed: Collection[str] = ()) -> None:
        """Go on where `checkpoint` was written; `origin` names it in errors, `changed` keys are to be as they are now.

        Raises:
            UserError: it is of another model.
        """
        load_weights(self.model, checkpoint.model, origin)
        sizes = Sizes.of(self.task, self.data.order.clips, self._so_far.meter.sums)
        refuse_other_state(checkpoint, self._checkpoint({}), origin, sizes, replay=bool(changed))
        self.task.load_own_state(checkpoint.task)
        self._load_optimizer(checkpoint, replay=bool(changed))
        step = self.step
        if checkpoint.scaler:  # empty where the run had none: in bf16, or on another device than now
            step.precision.scaler.load_state_dict(dict(checkpoint.scaler))
        if step.average is not None and checkpoint.ema:
            step.average.load_state(checkpoint.ema, checkpoint.ema_steps)
        step.window.load_state(dict(checkpoint.window), step.precision.scaler.get_scale())
        step.guard.load_state(checkpoint.guard)
        self.progression = Progression(checkpoint.epoch + 1, checkpoint.best_acc, checkpoint.best_epoch)
        self._row, self._statistics = checkpoint.metrics, dict(checkpoint.statistics)
        self._begin_epoch()
        if checkpoint.within:
            self._load_within(checkpoint.within)
        self.files.go_on_from(origin)

    def branch_off(self, beyond: Sequence[Path]) -> None:
        """Save the resumed state as the run's own; `beyond` are checkpoints of its former course, further on.

        Without this a run that is stopped again would go on along its former course.

        Raises:
            UserError: the state cannot be written.
        """
        if self._so_far.clips:
            self._save_within()
            return
        if self.run.best in beyond:
            accuracy = self._row[f"{self.deciding_part}_top1"]
            self.progression.best_acc = -1.0 if math.isnan(accuracy) else accuracy  # so that any tested epoch is better
            self.progression.best_epoch = self._row["epoch"]
        self.files.branch_off(self._checkpoint({}), beyond)

    def _load_optimizer(self, checkpoint: Checkpoint, replay: bool) -> None:
        """Take up the optimizer and its schedule; where the configuration changed, its rates as they would be now."""
        optimizer, groups = self.step.optimizer, self.step.optimizer.param_groups
        now = [{key: value for key, value in group.items() if key not in ("params", "lr")} for group in groups]
        optimizer.load_state_dict(dict(checkpoint.optimizer))
        optimizer.step()  # of no gradient: only so that torch sees the schedule's steps after one of these
        if not replay:
            self.schedule.load_state_dict(dict(checkpoint.scheduler))
            return
        for group, values in zip(optimizer.param_groups, now, strict=True):
            group.update(values)
            group["lr"] = values["initial_lr"]
        self.schedule = build_schedule(optimizer, self.config)
        optimizer.step()
        for _ in range(checkpoint.epoch + 1):
            self.schedule.step()

    def _load_within(self, within: Mapping[str, Any]) -> None:
        self._so_far.clips = within["clips"]
        self._so_far.skips = Skips(**within["skips"])
        self._so_far.waited, self._so_far.seconds = within["waited"], within["seconds"]
        if self.world.is_first:  # the sums are those of all processes
            self._so_far.meter.load_state(within["meter"])

    def _begin_epoch(self) -> None:
        skips = Skips(**asdict(self.step.guard.skips))
        self._so_far = EpochSoFar(Meter(self.device, len(self.task.parts)), skips=skips)

    def _train_epoch(self) -> None:
        """Train on every clip that the epoch has left."""
        epoch, so_far, order = self.progression.epoch, self._so_far, self.data.order
        self.task.train()
        self.task.begin_epoch(epoch)
        order.epoch, order.start = epoch, so_far.clips
        title = f"epoch {epoch}/{self.config.epochs - 1}"
        with self.progress.task(title, order.clips, before=so_far.clips, in_run=True):
            batches = iter(self.data.loader)
            for clips, own in order.parts():
                asked = time.perf_counter()
                batch = next(batches)
                note = BatchId(batch.indices, batch.rng_keys)
                batch = batch.to(self.device)
                so_far.waited += time.perf_counter() - asked
                self._train_batch(batch, note, Share(clips, own))
                requests = self.step.guard.read()
                self._tell(clips)
                self._heed(requests)
        requests = self.step.guard.read(everything=True)
        self.pace.trained(0)
        self._heed(requests)

    def _tell(self, clips: int) -> None:
        """Tell who listens that so many more clips were trained on; the loss is that of some steps ago."""
        self.pace.trained(clips)
        loss = self.step.guard.recent_loss
        left = self.pace.left_s(self.progression.epoch, self._so_far.clips)
        self.progress.advance(clips, "" if math.isnan(loss) else f"loss {loss:.3f}", left)

    def _train_batch(self, batch: Batch, note: BatchId, share: Share) -> None:
        so_far, order = self._so_far, self.data.order
        seed_step(self.config.seed, self.progression.epoch, so_far.clips, self.world.rank)
        batches = so_far.clips // self.config.batch_size + 1
        so_far.clips += share.clips
        closes = batches % self.config.gradient_accumulation_steps == 0 or so_far.clips == order.clips
        self._ask(self.step.requests)
        streams = self.data.pipeline(batch, training=True)
        self.step(streams, batch, share, closes=closes, meter=so_far.meter)
        self.step.note(note)

    def _ask(self, requests: Requests) -> None:
        """Ask all processes to stop or to save where there is a reason."""
        if (reason := self.watch.reason) is not None:
            setattr(requests, _REQUESTS[reason], 1)
        minutes = self.config.checkpoint.every_minutes
        if self.world.is_first and 0 < 60 * minutes < time.monotonic() - self._saved:
            requests.save += 1
            self._saved = time.monotonic()

    def _heed(self, requests: Requests) -> None:
        """Do what processes asked for: all do it after the same step."""
        for reason, request in _REQUESTS.items():
            if getattr(requests, request):
                raise _Stopped(reason)
        if requests.save:
            self._save_within()

    def _evaluate(self) -> dict[str, Any]:
        """Return the epoch's row: the figures of training, on the test part and, where there is one, on validation."""
        so_far = self._so_far
        seconds, figures = so_far.elapsed, so_far.meter.read(self.world)
        row = {
            "epoch": self.progression.epoch,
            "learning_rate": self.step.optimizer.param_groups[0]["lr"],
            **named("train", figures),
            **{f"train_{name}_loss": part for name, part in zip(self.task.parts, figures.parts, strict=True)},
            "grad_norm": figures.grad_norm,
            "clips_per_second": self.data.order.clips / seconds,
            "data_wait_share": so_far.waited / seconds,
            **counts_by_cause(self.step.guard.skips, so_far.skips),
            "memory_mib": peak_memory_mib(self.device),
            **self._test("", "trained", measured=self.statistics_lag),
        }
        if self.step.average is not None:
            with self.step.average.applied():
                row |= self._test("ema_", "averaged", measured=True)
        return row

    @property
    def statistics_lag(self) -> bool:
        """Tell whether BatchNorm's running statistics are too far behind the trained weights to test with."""
        return statistics_lag(self.config, self.data.order.clips, self.step.guard.batches_since_reset)

    def _test(self, prefix: str, weights: str, measured: bool) -> dict[str, float]:
        """Return the columns of a test of the model's present `weights`, with BatchNorm statistics `measured` for them.

        Those are kept for the checkpoint. In an epoch that is not tested they are not worth their time.
        """
        self._statistics.pop(weights, None)
        if measured and self._tests_now:
            self._statistics[weights] = self.population.measure()
        with self.population.lent(self._statistics.get(weights, {})):
            row = named(f"{prefix}test", self._measure(self.data.test, prefix == self.offered))
            if self.data.validation is not None:
                row |= named(f"{prefix}val", self._measure(self.data.validation))
        return row

    @property
    def _tests_now(self) -> bool:
        """Tell whether the epoch that ends is one that is tested."""
        epochs = self.progression.epoch + 1
        return epochs % self.config.test_every == 0 or epochs == self.config.epochs

    def _measure(self, part: TestPart, kept: bool = False) -> Figures:
        """Return the figures on a part, unknown ones where it is not the epoch to test; `kept` are all the answers."""
        if not self._tests_now:
            return Figures()
        self.task.eval()
        meter, tested = Meter(self.device, classes=len(self.data.classes) if kept else 0), 0
        scored = score_batches(self.model, part, self.data.pipeline, self.device, self.step.precision)
        with self.progress.task(f"testing epoch {self.progression.epoch}", part.clips, in_run=True):
            for batch, scores in scored:
                meter.add_scores(scores, batch.labels)
                self._unusable.note(batch.indices, has_no_score(scores))
                clips = min(len(batch) * self.world.size, part.clips - tested)  # the other processes have as many
                tested += clips
                self.pace.tested(clips)
                self.progress.advance(clips, run_left_s=self.pace.left_s(self.progression.epoch, self._so_far.clips))
                if self.watch.reason is not None and self.world.size == 1:  # several stop together, within an epoch
                    raise _Stopped(self.watch.reason)
            figures = meter.read(self.world)  # only now the device is through
            self._unusable.tell(figures.unusable, self.world)
            if kept:
                self._last_test.take(meter.confusion(self.world), self.progression.epoch)
            self.pace.tested(0)
        return figures

    def _clips_of_a_test(self) -> int:
        """Return how many clips the tests of an epoch go through together."""
        parts = [self.data.test, *([] if self.data.validation is None else [self.data.validation])]
        return sum(part.clips for part in parts) * (1 if self.step.average is None else 2)

    def _finish_epoch(self, row: dict[str, Any], logbook: Logbook | None) -> None:
        """Record the epoch: a row in the logbook, a line for people, the checkpoints."""
        accuracy, loss = row[f"{self.deciding_part}_top1"], row[f"{self.deciding_part}_loss"]
        better = math.isfinite(loss) and accuracy > self.progression.best_acc and self.step.guard.updates > 0
        if better:
            self.progression.best_acc, self.progression.best_epoch = accuracy, row["epoch"]
        self.schedule.step()
        row["seconds"] = self._so_far.elapsed
        if logbook is not None:
            logbook.write(row)
            self._last_test.write()
        _log.info(epoch_line(row, self.config.epochs, better))
        self.progression.epoch += 1
        self._row = row
        self._begin_epoch()
        self.files.end_epoch(self._checkpoint({}), better)
        self._saved = time.monotonic()
        self.pace.closed_epoch()

    @property
    def offered(self) -> str:
        """Return how the logbook's columns of the weights that the run offers begin."""
        return "" if self.step.average is None else "ema_"

    @property
    def deciding_part(self) -> str:
        """Return how the logbook's columns that choose the best epoch begin."""
        return f"{self.offered}{'test' if self.data.validation is None else 'val'}"

    def _save_within(self) -> None:
        """Save the state within an epoch."""
        self.step.guard.read(everything=True)
        so_far = self._so_far
        within = {
            "clips": so_far.clips,
            "meter": so_far.meter.state(self.world),
            "skips": asdict(so_far.skips),
            "waited": so_far.waited,
            "seconds": so_far.elapsed,
        }
        self.files.save_within(self._checkpoint(within))
        self._saved = time.monotonic()

    def _checkpoint(self, within: Mapping[str, Any]) -> Checkpoint:
        return Checkpoint(
            model=self.model.state_dict(),
            task=self.task.own_state(),
            scheduler=self.schedule.state_dict(),
            epoch=self.progression.epoch - 1,
            within=within,
            best_acc=self.progression.best_acc,
            best_epoch=self.progression.best_epoch,
            metrics=self._row,
            config=self.config,
            classes=self.data.classes,
            layout=layout_facts(self.config.data.skeleton),
            statistics={} if within else dict(self._statistics),  # within an epoch the weights have moved on
            data=self.data.fingerprints,
            **self.step.state(),
        )
