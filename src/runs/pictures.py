"""The pictures that every run leaves in its folder: its training curve, and what it answered in its last test."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..plots.figures import CurveFacts, draw_confusion, draw_training_curve
from ..utils.errors import UserError
from ..utils.extras import extra_problem
from ..utils.numbers import counted
from .folder import RunFolder
from .history import Run, read_run
from .last_test import Confusion, read_confusion

_log = logging.getLogger(__name__)

PICTURES = "Drawing the run's curve and confusion matrix"


def draw_run(folder: RunFolder) -> None:
    """Draw `training_curve.png` and `confusion.png` of a run that has ended, stopped or diverged.

    A picture never fails a run: what cannot be drawn is one warning, and one line where matplotlib cannot be imported.
    """
    problem = extra_problem("matplotlib", PICTURES)
    if problem is not None:
        _log.info(str(problem))
        return
    try:
        _draw(folder)
    except UserError as error:
        _log.warning("The run's pictures are not complete: %s", error)
    except Exception as error:  # whatever matplotlib raises; the run's state and figures are safe
        _log.warning("The run's pictures are not complete: %s: %s", type(error).__name__, error)


def _draw(folder: RunFolder) -> None:
    run = read_run(folder.path)
    if not run.rows:
        return  # it ended within its first epoch
    confusion = _confusion_of_last_test(folder, run)
    clips = None if confusion is None else int(confusion.counts.sum() + confusion.unanswered.sum())
    draw_training_curve(run.rows, folder.curve, _title(run) + _how_far(run), _curve_facts(run, clips))
    if confusion is not None:
        after = f"after epoch {confusion.epoch}" + (", averaged weights" if run.weights else "")
        missing = int(confusion.unanswered.sum())
        draw_confusion(confusion.counts, confusion.classes, folder.confusion_picture, _title(run), missing, after)


def _confusion_of_last_test(folder: RunFolder, run: Run) -> Confusion | None:
    """Return what was answered in the last test; one of an epoch that the run no longer has is removed.

    A run that was resumed from an earlier checkpoint has left its former course.
    """
    confusion = read_confusion(folder.confusion)
    if confusion is None or confusion.epoch in {int(row["epoch"]) for row in run.rows}:
        return confusion
    for path in (folder.confusion, folder.confusion_picture):
        path.unlink(missing_ok=True)
    return None


def _title(run: Run) -> str:
    return f"{run.model} on {run.data}" + (f", {run.lesson}" if run.lesson else "")


def _how_far(run: Run) -> str:
    """Return what a title adds where a run did not come to its end."""
    if run.finished:
        return ""
    planned = "?" if run.epochs is None else counted(run.epochs, "epoch")
    return f", {run.epochs_done} of {planned}" + (", diverged" if run.state == "diverged" else "")


def _curve_facts(run: Run, test_clips: int | None) -> CurveFacts:
    """Return what the losses of a run are, as its task, its logbook and its configuration say."""
    classifies, metric = run.measures.classifies, run.measures.deciding
    loss = _loss_of_labels(run.config) if classifies else "loss"
    parts = [f"the {name}'" + ("" if name.endswith("s") else "s") for name in run.terms]
    train = f"{' and '.join(parts)} loss together" if parts else loss
    test = "plain cross-entropy" if classifies else "loss"
    return CurveFacts(
        train=f"{train}, augmented clips{', dropout' if classifies and _drops(run.config) else ''}",
        test=f"{test}, unaugmented clips{', averaged weights' if run.weights else ''}",
        part=(run.comparable_loss, f"{parts[0]} {loss}") if parts else ("", ""),
        weights=run.weights,
        test_clips=test_clips,
        metric=(metric.name, metric.title, metric.unit),
        higher_is_better=metric.higher_is_better,
    )


def _loss_of_labels(config: Mapping[str, Any]) -> str:
    smoothing = config.get("label_smoothing", 0)
    smoothed = isinstance(smoothing, float | int) and smoothing > 0
    return f"loss with label smoothing {smoothing:g}" if smoothed else "cross-entropy"


def _drops(config: Mapping[str, Any]) -> bool:
    """Tell whether the model of a configuration has dropout."""
    return any(bool(value) for key, value in config.items() if key.startswith("model.") and key.endswith("dropout"))


def pictures_of(path: Path) -> list[Path]:
    """Return the pictures that there are in a run's folder."""
    folder = RunFolder(path)
    return [each for each in (folder.curve, folder.confusion_picture) if each.exists()]
