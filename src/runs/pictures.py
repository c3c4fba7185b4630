"""The pictures in a run's folder: its training curve, and the confusion matrix of its last test."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..plots.figures import draw_confusion
from ..plots.training_curve import CurveFacts, draw_training_curve
from ..utils.errors import UserError
from ..utils.extras import extra_problem
from ..utils.numbers import counted
from .confusion import Confusion, read_confusion
from .folder import RunFolder
from .results import Run, read_run

_log = logging.getLogger(__name__)

PICTURES = "Drawing the run's curve and confusion matrix"


def draw_run(folder: RunFolder) -> None:
    """Draw `training_curve.png` and `confusion.png` of a run that has ended, stopped or diverged.

    A failure does not end the run: it is one warning, or one message if matplotlib is missing.
    """
    problem = extra_problem("matplotlib", PICTURES)
    if problem is not None:
        _log.info(str(problem))
        return
    try:
        _draw(folder)
    except UserError as error:
        _log.warning("The run's pictures are not complete: %s", error)
    except Exception as error:  # matplotlib may raise anything; the run's files are complete
        _log.warning("The run's pictures are not complete: %s: %s", type(error).__name__, error)


def _draw(folder: RunFolder) -> None:
    run = read_run(folder.path)
    if not run.rows:
        return  # it ended within its first epoch
    confusion = _confusion_of_last_test(folder, run)
    clips = None if confusion is None else int(confusion.counts.sum() + confusion.unusable.sum())
    draw_training_curve(run.rows, folder.curve, run.title + _progress_note(run), _curve_facts(run, clips))
    if confusion is not None:
        after = f"after epoch {confusion.epoch}" + (", averaged weights" if run.weights_prefix else "")
        missing = int(confusion.unusable.sum())
        draw_confusion(confusion.counts, confusion.classes, folder.confusion_picture, run.title, missing, after)


def _confusion_of_last_test(folder: RunFolder, run: Run) -> Confusion | None:
    """Return the confusion matrix of the last test; remove one of an epoch that the run no longer has.

    That happens when a run is resumed from an earlier checkpoint.
    """
    confusion = read_confusion(folder.confusion)
    if confusion is None or confusion.epoch in {int(row["epoch"]) for row in run.rows}:
        return confusion
    for path in (folder.confusion, folder.confusion_picture):
        path.unlink(missing_ok=True)
    return None


def _progress_note(run: Run) -> str:
    """Return the progress of an unfinished run for a title; empty for a finished one."""
    if run.finished:
        return ""
    planned = "?" if run.epochs is None else counted(run.epochs, "epoch")
    return f", {run.epochs_done} of {planned}" + (", diverged" if run.state == "diverged" else "")


def _curve_facts(run: Run, test_clips: int | None) -> CurveFacts:
    """Return the descriptions of a run's losses, from its task, logbook and configuration."""
    classifies, metric = run.measures.classifies, run.measures.primary_metric
    loss = _label_loss(run.config) if classifies else "loss"
    parts = [f"the {name}'" + ("" if name.endswith("s") else "s") for name in run.terms]
    train = f"{' and '.join(parts)} loss together" if parts else loss
    test = "plain cross-entropy" if classifies else "loss"
    return CurveFacts(
        train=f"{train}, augmented clips{', dropout' if classifies and _has_dropout(run.config) else ''}",
        test=f"{test}, unaugmented clips{', averaged weights' if run.weights_prefix else ''}",
        part=(run.comparable_loss_column, f"{parts[0]} {loss}") if parts else ("", ""),
        weights=run.weights_prefix,
        test_clips=test_clips,
        metric=(metric.name, metric.title, metric.unit),
        higher_is_better=metric.higher_is_better,
    )


def _label_loss(config: Mapping[str, Any]) -> str:
    used = config.get("distillation.teachers") or config.get("distillation.peers")
    smoothing = config.get("distillation.label_smoothing") if used else None
    smoothing = config.get("label_smoothing", 0) if smoothing is None else smoothing
    smoothed = isinstance(smoothing, float | int) and smoothing > 0
    return f"loss with label smoothing {smoothing:g}" if smoothed else "cross-entropy"


def _has_dropout(config: Mapping[str, Any]) -> bool:
    """Return whether the model of a configuration has dropout."""
    return any(bool(value) for key, value in config.items() if key.startswith("model.") and key.endswith("dropout"))


def pictures_of(path: Path) -> list[Path]:
    """Return the existing pictures in a run's folder."""
    folder = RunFolder(path)
    return [each for each in (folder.curve, folder.confusion_picture) if each.exists()]
