"""What is written and said about a run's beginning and its epochs."""

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
from ..utils.errors import TrainingDiverged
from ..utils.numbers import counted
from .epoch_metrics import Figures
from .task import Classification

_log = logging.getLogger(__name__)


def banner(config: RunConfig, task: Classification, data: TrainingData, run_context: RunContext, precision: str) -> str:
    """Return the lines that say what is trained on what, where and how long."""
    model, size = task.model, run_context.world.size
    processes = f", {size} processes" if size > 1 else ""
    untrained = f"{data.untrained}\n" if data.untrained else ""
    return (
        f"{type(model).__name__} ({config.model.name}, {count_parameters(model):,} parameters) on "
        f"{config.data.name} {config.data.split}: {counted(data.order.clips, 'clip')} an epoch, "
        f"{data.test.clips:,} to test on, {len(data.classes)} classes\n"
        f"{untrained}{counted(config.epochs, 'epoch')}, batch {config.batch_size}, "
        f"{counted(config.input_frames, 'frame')}, {precision}, {run_context.device}{processes}, {data.placement}, "
        f"seed {config.seed}{task.description()}"
    )


def named(part: str, figures: Figures) -> dict[str, float]:
    """Return the figures of a part of the data by the names of the logbook's columns."""
    return {f"{part}_loss": figures.loss, f"{part}_top1": figures.top1, f"{part}_top5": figures.top5}


def epoch_line(row: Mapping[str, Any], epochs: int, better: bool) -> str:
    """Return the one line that people read about an epoch."""
    width = len(str(epochs - 1))
    parts = [
        f"epoch {row['epoch']:>{width}}",
        f"lr {row['learning_rate']:.5f}",
        f"train loss {row['train_loss']:.3f} top-1 {row['train_top1']:5.2f}",
    ]
    if not math.isnan(row["test_top1"]):
        parts.append(f"test loss {row['test_loss']:.3f} top-1 {row['test_top1']:5.2f}")
        named = {"val_top1": "val", "ema_test_top1": "EMA", "ema_val_top1": "EMA val"}
        parts += [f"{name} {row[column]:5.2f}" for column, name in named.items() if column in row]
    parts += [f"{row['clips_per_second']:,.0f} clips/s", f"{row['seconds']:.1f} s"]
    causes = [f"{row[f'skipped_{cause}']} {cause}" for cause in ("inputs", "losses", "gradients")]
    causes = [each for each in causes if not each.startswith("0 ")]
    if causes:
        parts.append(f"skipped for bad {' and '.join(causes)}")
    return "  ".join(parts + (["best"] if better else []))


def refuse_no_result(row: Mapping[str, Any], part: str, has_best: bool) -> None:
    """Refuse to end a run whose model no longer gives numbers.

    Args:
        row: of the last epoch.
        part: how the columns of the decisive test begin.
        has_best: whether there was an epoch with finite scores.

    Raises:
        TrainingDiverged: no score was finite in the last epoch's test, or in no epoch's all of them.
    """
    loss, top1, top5 = (row[f"{part}_{name}"] for name in ("loss", "top1", "top5"))
    if math.isfinite(loss) or math.isnan(top1):  # where the epoch was not tested there is no accuracy either
        return
    if top5 == 0 or not has_best:
        raise TrainingDiverged("The model's scores in the last epoch's test are not finite.")
    _log.warning("Some scores in the last epoch's test are not finite; their clips count as wrong.")


def peak_memory_mib(device: torch.device) -> float:
    """Return the most memory that was in use: the GPU's where it computes, else the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "win32":
        return math.nan
    import resource  # not there on Windows

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
