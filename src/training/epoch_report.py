"""Log lines and logbook columns about the start of a run and its epochs."""

import logging
import math
import sys
from collections.abc import Mapping
from typing import Any

import torch

from ..data.loading.run_data import TrainingData
from ..models.registry import count_parameters
from ..runtime.run_context import RunContext
from ..settings.run import RunConfig
from ..tasks.measures import Measures
from ..tasks.task import Task
from ..utils.errors import TrainingDiverged
from ..utils.numbers import counted
from .epoch_metrics import EpochFigures
from .guard import CAUSES, counts_by_cause
from .train_state import TrainState

_log = logging.getLogger(__name__)

_OTHER_TESTS = {"val": "val", "ema_test": "EMA", "ema_val": "EMA val"}


def banner(config: RunConfig, task: Task, data: TrainingData, run_context: RunContext, precision: str) -> str:
    """Return the log lines at the start of a run: model, data, epochs, device."""
    model, size = task.model, run_context.world.size
    processes = f", {size} processes" if size > 1 else ""
    name = config.model.title
    return (
        f"{type(model).__name__} ({name}, {count_parameters(model):,} parameters) on "
        f"{config.data.name} {config.data.split}: {counted(data.sampler.num_clips, 'clip')} per epoch, "
        f"{data.test.num_clips:,} to test on, {counted(len(data.classes), 'class')}\n"
        f"{counted(config.epochs, 'epoch')}, batch {config.batch_size}, "
        f"{counted(config.input_frames, 'frame')}, {precision}, {run_context.device}{processes}, {data.placement}, "
        f"seed {config.seed}{task.description()}"
    )


def columns_of(part: str, figures: EpochFigures, measures: Measures) -> dict[str, float]:
    """Return the metrics of a part of the data by the names of the logbook's columns."""
    values = figures.metrics or [math.nan] * len(measures.metrics)
    metrics = {f"{part}_{name}": value for name, value in zip(measures.names, values, strict=True)}
    return {f"{part}_loss": figures.loss, **metrics}


def training_columns(state: TrainState, clips: int, device: torch.device) -> dict[str, Any]:
    """Return the training columns of an epoch's row; the epoch has `clips` clips."""
    task, epoch = state.task, state.epoch
    seconds, figures = epoch.elapsed, epoch.metrics.read(state.world)
    return {
        "epoch": state.progress.epoch,
        "learning_rate": state.optimizer.param_groups[0]["lr"],
        **columns_of("train", figures, task.measures),
        **{f"train_{name}_loss": term for name, term in zip(task.terms, figures.terms, strict=True)},
        "grad_norm": figures.grad_norm,
        "clips_per_second": clips / seconds,
        "data_wait_share": epoch.waited / seconds,
        **counts_by_cause(state.guard.skips, epoch.skips),
        "memory_mib": peak_memory_mib(device),
    }


def epoch_line(row: Mapping[str, Any], epochs: int, better: bool, measures: Measures) -> str:
    """Return the log line of an epoch."""
    metric = measures.primary_metric
    width = len(str(epochs - 1))
    parts = [
        f"epoch {row['epoch']:>{width}}",
        f"lr {row['learning_rate']:.5f}",
        f"train loss {row['train_loss']:.3f} {metric.title} {metric.text(row[f'train_{metric.name}'])}",
    ]
    if not math.isnan(tested := row[f"test_{metric.name}"]):
        parts.append(f"test loss {row['test_loss']:.3f} {metric.title} {metric.text(tested)}")
        others = {f"{part}_{metric.name}": title for part, title in _OTHER_TESTS.items()}
        parts += [f"{title} {metric.text(row[column])}" for column, title in others.items() if column in row]
    parts += [f"{row['clips_per_second']:,.0f} clips/s", f"{row['seconds']:.1f} s"]
    counts = {cause: row[f"skipped_{cause}"] for cause in CAUSES}
    if causes := [f"{count} {cause}" for cause, count in counts.items() if count]:
        parts.append(f"skipped for bad {' and '.join(causes)}")
    return "  ".join(parts + (["best"] if better else []))


def refuse_no_result(row: Mapping[str, Any], part: str, measures: Measures, has_best: bool) -> None:
    """Refuse to finish a run without finite scores.

    Args:
        row: the row of the last epoch.
        part: the prefix of the columns of the reported weights' test.
        measures: the metrics of the task.
        has_best: whether an epoch had finite scores.

    Raises:
        TrainingDiverged: no score of the last test was finite, or no epoch had only finite scores.
    """
    loss, metrics = row[f"{part}_loss"], [row[f"{part}_{name}"] for name in measures.names]
    if math.isfinite(loss) or any(map(math.isnan, metrics)):  # NaN: the epoch was not tested
        return
    if not any(value and math.isfinite(value) for value in metrics) or not has_best:
        raise TrainingDiverged("The model's scores in the last epoch's test are not finite.")
    _log.warning("Some scores in the last epoch's test are not finite; their clips count as wrong.")


def peak_memory_mib(device: torch.device) -> float:
    """Return the peak memory: of the GPU if it is the device, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "win32":
        return math.nan
    import resource  # not there on Windows

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
