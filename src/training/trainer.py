"""The training loop: epochs of guarded steps, tests after each, and checkpoints at its end and at intervals."""

import logging
import math
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..data.loading.loader import Batch
from ..data.loading.run_data import TrainingData
from ..runs.checkpoint import Checkpoint
from ..runs.checkpoint_files import CheckpointFiles
from ..runs.confusion import ConfusionFile
from ..runs.folder import RunFolder
from ..runs.logbook import Logbook
from ..runtime.run_context import RunContext
from ..runtime.stop_requests import Stop, Stopped
from ..settings.run import RunConfig
from ..skeleton import layout_facts
from ..tasks.task import Task
from ..utils.errors import TrainingDiverged
from ..utils.numbers import counted
from .crowded_cores import CrowdedCores
from .divergence_report import report_divergence
from .epoch_report import banner, epoch_line, refuse_no_result, training_columns
from .epoch_tests import EpochTests
from .guard import BatchId, Requests
from .run_progress import Pace
from .step import LocalBatch, TrainingStep, seed_step
from .train_state import TrainState
from .whole_step import WholeStep, refuse_contradictions

_log = logging.getLogger(__name__)

# The field of `Requests` for each reason to stop; of several reasons the first in this order counts.
_REQUESTS = {
    Stop.TERMINATE: "terminated",
    Stop.HANG_UP: "hung_up",
    Stop.INTERRUPT: "interrupted",
    Stop.TIME: "out_of_time",
}


class Trainer:
    """Train a task's model and write the run's files.

    Args:
        config: the run's configuration.
        task: the task, whose loss is minimised.
        data: the training and test data.
        run: the folder of the run.
        run_context: device, processes, stop requests and progress display.

    Attributes:
        state: everything that the next step depends on.
    """

    def __init__(
        self, config: RunConfig, task: Task, data: TrainingData, *, run: RunFolder, run_context: RunContext
    ) -> None:
        self.config, self.data, self.run, self.run_context = config, data, run, run_context
        self.device, self.world, self.watch = run_context.device, run_context.world, run_context.watch
        self.task, self.measures = task.to(self.device), task.measures
        self.state = TrainState(config, self.task, self.device, self.world)
        self.step = TrainingStep(self.state)
        self.whole_step = self._whole_step()
        test_clips = data.test.num_clips + (0 if data.validation is None else data.validation.num_clips)
        weights = 1 if self.state.average is None else 2
        self.pace = Pace(config.epochs, config.test_every, data.sampler.num_clips, test_clips * weights)
        self.crowded_cores = CrowdedCores(self.device)
        self.confusion_file = ConfusionFile(run.confusion, data.classes)
        self.tests = EpochTests(
            self.state,
            data,
            every=config.test_every,
            confusion_file=self.confusion_file,
            pace=self.pace,
            run_context=run_context,
        )
        self.files = CheckpointFiles(run, config.checkpoint.keep, writes=self.world.is_first)
        self._saved = time.monotonic()

    @property
    def model(self) -> nn.Module:
        """Return the model in training."""
        return self.task.model

    def fit(self, logbook: Logbook | None) -> Stop | None:
        """Train from the present state to the end, or until there is a reason to stop, which is returned.

        Args:
            logbook: receives the rows of the epochs; only the first process has one.

        Raises:
            TrainingDiverged: too many batches in a row were not finite.
            UserError: the last state could not be written.
        """
        state = self.state
        _log.info(banner(self.config, self.task, self.data, self.run_context, str(state.precision)))
        try:
            with self.watch.listening(patiently=self.world.size > 1):
                try:
                    self.pace.begin()
                    while not self.config.end.is_after(state.progress.epoch - 1, state.best_epoch):
                        self._train_epoch()
                        self._finish_epoch(self._evaluate(), logbook)
                except Stopped as stop:
                    self._save_within()
                    self.world.barrier()  # if a process exits earlier, torchrun ends the one that writes
                    return stop.reason
            if state.guard.updates == 0:
                raise TrainingDiverged("No update was made in the whole run: every batch was skipped.")
            refuse_no_result(state.row, f"{self.tests.reported_prefix}test", self.measures, has_best=state.has_best)
        except TrainingDiverged as error:
            raise report_divergence(error, state, self.data, self.run, self.world) from error
        self.files.finalize(self._checkpoint)
        if self.stopped_early:
            _log.info(self._early_stop_message())
        return None

    @property
    def stopped_early(self) -> bool:
        """Whether early stopping has ended the training before its last epoch."""
        epoch = self.state.progress.epoch - 1
        return epoch + 1 < self.config.epochs and self.config.end.is_early_after(epoch, self.state.best_epoch)

    def _early_stop_message(self) -> str:
        metric, patience = self.measures.primary_metric.title, self.config.early_stopping.patience
        progress = self.state.progress
        return (
            f"Early stopping: {metric} on the validation clips has not improved for {counted(patience, 'epoch')}, "
            f"since epoch {progress.best_epoch}. The run is finished after {progress.epoch} of {self.config.epochs} "
            "epochs."
        )

    def _train_epoch(self) -> None:
        """Train on the remaining clips of the epoch."""
        number, epoch, sampler, guard = self.state.progress.epoch, self.state.epoch, self.data.sampler, self.state.guard
        self.task.train()
        self.task.begin_epoch(number)
        sampler.epoch, sampler.start = number, epoch.clips
        title, progress = f"epoch {number}/{self.config.epochs - 1}", self.run_context.progress
        with progress.task(title, sampler.num_clips, before=epoch.clips, in_run=True):
            batches = iter(self.data.loader)
            for clips, own in sampler.parts():
                fetch_started = time.perf_counter()
                batch = next(batches)
                note = BatchId(batch.indices, batch.rng_keys, batch.strength)
                batch = batch.to(self.device)
                epoch.waited += time.perf_counter() - fetch_started
                self._train_batch(batch, note, LocalBatch(clips, own))
                requests = guard.read()
                self.pace.trained(clips)
                loss = guard.recent_loss  # of some steps ago
                left = self.pace.left_s(number, epoch.clips)
                progress.advance(clips, "" if math.isnan(loss) else f"loss {loss:.3f}", left)
                self._handle_requests(requests)
        requests = guard.read(everything=True)
        self.pace.trained(0)
        self._handle_requests(requests)

    def _train_batch(self, batch: Batch, note: BatchId, local: LocalBatch) -> None:
        epoch, sampler = self.state.epoch, self.data.sampler
        seed_step(self.config.seed, self.state.progress.epoch, epoch.clips, self.world.rank)
        batches = epoch.clips // self.config.batch_size + 1
        epoch.clips += local.clips
        closes = batches % self.config.gradient_accumulation_steps == 0 or epoch.clips == sampler.num_clips
        self._collect_requests(self.step.requests)
        if self.whole_step is not None and self.whole_step.takes(local):
            self.whole_step(batch, note, epoch.metrics)
            return
        batch = self.data.pipeline.prepared(batch, training=True)
        self.step(batch.streams, batch, local, closes=closes, metrics=epoch.metrics)
        self.step.note(note)

    def _whole_step(self) -> WholeStep | None:
        if not self.config.hardware.whole_step_graph:
            return None
        refuse_contradictions(self.config, self.world.size)
        return WholeStep(self.step, self.data.pipeline, self.config.batch_size)

    def _collect_requests(self, requests: Requests) -> None:
        """Request all processes to stop or to save if there is a reason."""
        if (reason := self.watch.reason) is not None:
            setattr(requests, _REQUESTS[reason], 1)
        minutes = self.config.checkpoint.every_minutes
        if self.world.is_first and 0 < 60 * minutes < time.monotonic() - self._saved:
            requests.save += 1
            self._saved = time.monotonic()

    def _handle_requests(self, requests: Requests) -> None:
        """Execute the requests of all processes, after the same step in each."""
        for reason, request in _REQUESTS.items():
            if getattr(requests, request):
                raise Stopped(reason)
        if requests.save:
            self._save_within()

    def _evaluate(self) -> dict[str, Any]:
        """Return the epoch's row: metrics of training, of the test part and of the validation part, if any."""
        if self.state.average is not None:
            self.state.average.end_epoch(self.state.progress.epoch)
        return {**training_columns(self.state, self.data.sampler.num_clips, self.device), **self.tests.columns()}

    def _finish_epoch(self, row: dict[str, Any], logbook: Logbook | None) -> None:
        """Record the epoch: its row in the logbook, its log line, its checkpoints."""
        state, tests = self.state, self.tests
        value, loss = row[tests.deciding_column], row[f"{tests.deciding_part}_loss"]
        better = self.measures.primary_metric.is_better(value, state.progress.best)
        better = better and math.isfinite(loss) and state.guard.updates > 0
        if better:
            state.progress.best, state.progress.best_epoch = value, row["epoch"]
        state.schedule.step()
        row["seconds"] = state.epoch.elapsed
        if logbook is not None:
            logbook.write(row)
            self.confusion_file.write()
        _log.info(epoch_line(row, self.config.epochs, better, self.measures))
        self.crowded_cores.observe(row["clips_per_second"])
        state.progress.epoch += 1
        state.row = row
        state.begin_epoch()
        self.files.end_epoch(self._checkpoint(), better)
        self._saved = time.monotonic()
        self.pace.closed_epoch()

    def resume(self, checkpoint: Checkpoint, origin: str, changed: Collection[str] = ()) -> None:
        """Continue where `checkpoint` was written; `origin` names it, `changed` keys keep their present values.

        Raises:
            UserError: it is of another model.
        """
        self.state.load(checkpoint, self._checkpoint(), origin, self.data.sampler.num_clips, changed)
        self.files.resume_from(origin)

    def branch_off(self, later: Sequence[Path]) -> None:
        """Save the resumed state as the run's last one; `later` are its later checkpoints.

        Otherwise a run that is stopped again would resume from the later checkpoints.

        Raises:
            UserError: the state cannot be written.
        """
        state = self.state
        if state.epoch.clips:
            self._save_within()
            return
        if self.run.best in later:
            value, worst = state.row[self.tests.deciding_column], self.measures.primary_metric.worst
            state.progress.best = worst if math.isnan(value) else value  # so that any tested epoch is better
            state.progress.best_epoch = state.row["epoch"]
        self.files.branch_off(self._checkpoint(), later)

    def _save_within(self) -> None:
        """Save the state within an epoch."""
        self.files.save_within(self._checkpoint(within=True))
        self._saved = time.monotonic()

    def _checkpoint(self, within: bool = False) -> Checkpoint:
        return Checkpoint(
            **self.state.save(within=within),
            config=self.config,
            classes=self.data.classes,
            layout=layout_facts(self.config.data.skeleton),
            data=self.data.fingerprints,
        )
