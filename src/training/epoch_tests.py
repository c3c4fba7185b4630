"""The tests at the end of an epoch: trained and averaged weights, on the test part and on validation clips."""

from functools import partial

from torch import nn

from ..data.loading.run_data import TestPart, TrainingData
from ..evaluation.population_statistics import PopulationStatistics
from ..evaluation.scoring import predict_batches
from ..evaluation.unusable_clips import NOT_RECOGNISED, UnusableClips
from ..models.batchnorm_stats import statistics_lag
from ..runs.confusion import ConfusionFile
from ..runtime.run_context import RunContext
from ..runtime.stop_requests import Stopped
from .epoch_metrics import EpochFigures, EpochMetrics
from .epoch_report import columns_of
from .run_progress import Pace
from .train_state import TrainState


class EpochTests:
    """Test a run's model and return the test columns of the logbook.

    Args:
        state: the training state; the statistics measured for a test are stored in it.
        data: the test and validation data.
        every: the number of epochs between tests; the last epoch is always tested.
        confusion_file: receives the confusion matrix.
        pace: receives the progress of the tests.
        run_context: device, processes, stop requests and progress display.
    """

    def __init__(
        self,
        state: TrainState,
        data: TrainingData,
        *,
        every: int,
        confusion_file: ConfusionFile,
        pace: Pace,
        run_context: RunContext,
    ) -> None:
        self.state, self.data, self.every, self.confusion_file, self.pace = state, data, every, confusion_file, pace
        self.run_context, self.device, self.world = run_context, run_context.device, run_context.world
        self.population = PopulationStatistics(
            self.model, data.sample, data.pipeline, self.device, precision=state.precision, world=self.world
        )
        self._unusable = UnusableClips(data.source.store.clips["name"], NOT_RECOGNISED, self.device)

    @property
    def model(self) -> nn.Module:
        """Return the model under test."""
        return self.state.task.model

    @property
    def reported_prefix(self) -> str:
        """Return the prefix of the logbook's columns of the reported weights: `ema_` for averaged ones."""
        return "" if self.state.average is None else "ema_"

    @property
    def deciding_part(self) -> str:
        """Return the prefix of the logbook's columns that decide the best epoch."""
        return f"{self.reported_prefix}{'test' if self.data.validation is None else 'val'}"

    @property
    def deciding_column(self) -> str:
        """Return the logbook's column that decides the best epoch."""
        return f"{self.deciding_part}_{self.state.task.measures.primary}"

    @property
    def statistics_lag(self) -> bool:
        """Whether BatchNorm's running statistics lag too far behind the trained weights for a test."""
        state = self.state
        return statistics_lag(state.optimization, self.data.sampler.num_clips, state.guard.batches_since_reset)

    @property
    def is_due(self) -> bool:
        """Whether the present epoch is tested."""
        epochs = self.state.progress.epoch + 1
        return epochs % self.every == 0 or epochs == self.state.optimization.epochs

    def columns(self) -> dict[str, float]:
        """Return the columns of the tests.

        Raises:
            Stopped: there was a reason to stop.
        """
        row = self._test("", "trained", self.statistics_lag)
        if self.state.average is not None:
            with self.state.average.applied():
                row |= self._test("ema_", "averaged", True)
        return row

    def _test(self, prefix: str, weights: str, measured: bool) -> dict[str, float]:
        """Return the columns of a test of the model's present `weights`, with BatchNorm statistics `measured` for them.

        The statistics are stored for the checkpoint. They are not measured in an untested epoch.
        """
        statistics, measures = self.state.statistics, self.state.task.measures
        statistics.pop(weights, None)
        if measured and self.is_due:
            statistics[weights] = self.population.measure()
        with self.population.applied(statistics.get(weights, {})):
            row = columns_of(f"{prefix}test", self.measure(self.data.test, prefix == self.reported_prefix), measures)
            if self.data.validation is not None:
                row |= columns_of(f"{prefix}val", self.measure(self.data.validation), measures)
        return row

    def measure(self, part: TestPart, kept: bool = False) -> EpochFigures:
        """Return the metrics of a part, NaN in an untested epoch; `kept` records the confusion matrix."""
        if not self.is_due:
            return EpochFigures()
        task, epoch = self.state.task.eval(), self.state.progress.epoch
        progress, watch = self.run_context.progress, self.run_context.watch
        kept = kept and task.classifies
        metrics = EpochMetrics(self.device, task.measures, classes=len(self.data.classes) if kept else 0)
        predict, tested = partial(task.predict, precision=self.state.precision), 0
        predicted = predict_batches(predict, part, self.data.pipeline, self.device)
        with progress.task(f"testing epoch {epoch}", part.num_clips, in_run=True):
            for batch, predictions in predicted:
                output = task.test(predictions, batch)
                metrics.add_test(output, batch.labels)
                self._unusable.add(batch.indices, output.unusable)
                clips = min(len(batch) * self.world.size, part.num_clips - tested)  # each process has as many
                tested += clips
                self.pace.tested(clips)
                progress.advance(clips, run_left_s=self.pace.left_s(epoch, self.state.epoch.clips))
                if watch.reason is not None and self.world.size == 1:  # several processes stop together
                    raise Stopped(watch.reason)
            figures = metrics.read(self.world)  # waits for the device
            self._unusable.report(figures.unusable, self.world)
            if kept:
                self.confusion_file.update(metrics.confusion(self.world), epoch)
            self.pace.tested(0)
        return figures
