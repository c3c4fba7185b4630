"""Curves of accuracy on disturbed clips."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from noted_progress import NotedProgress

from last.evaluation import robustness
from last.evaluation.evaluate import evaluate
from last.evaluation.metrics import Predictions
from last.evaluation.request import EvalRequest, Further
from last.evaluation.robustness import KINDS, measure_robustness
from last.evaluation.tested import Condition
from last.plots.robustness import Disturbed, draw_robustness
from last.runs.folder import RunFolder
from last.skeleton import load_layout
from last.utils.errors import UserError

ROBUST = Further(robustness=True)


def test_every_kind_begins_with_the_plain_clips_and_has_its_levels(
    train_once: Callable[..., RunFolder], tmp_path: Path, coarse_pictures: None
) -> None:
    run = train_once("epochs=1")
    result = evaluate(EvalRequest(run.last, further=ROBUST), tmp_path / "report")
    curves = result.extras.robustness
    assert [curve.name for curve in curves] == [kind.name for kind in KINDS]
    for curve, kind in zip(curves, KINDS, strict=True):
        assert [point.level for point in curve.points] == [0.0, *kind.levels]
        assert curve.points[0].top1.value == pytest.approx(result.metrics.top1)
    written = json.loads((tmp_path / "report" / "robustness.json").read_text())["curves"]
    assert written[4]["points"][1]["label"] == "15°"
    assert (tmp_path / "report" / "robustness.png").stat().st_size > 1000


def test_curves_are_the_same_every_time(
    train_once: Callable[..., RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(robustness, "KINDS", [replace(kind, levels=kind.levels[-1:]) for kind in KINDS])
    request = EvalRequest(train_once("epochs=1").last, further=ROBUST, pictures=False)
    one, other = (evaluate(request, tmp_path / name).extras.robustness for name in ("one", "other"))
    assert one == other


def test_shares_that_are_dropped_anyway_are_refused(train_once: Callable[..., RunFolder], tmp_path: Path) -> None:
    request = EvalRequest(train_once("epochs=1").last, further=ROBUST, drop_joints=0.3)
    with pytest.raises(UserError, match="leave --drop_joints out"):
        evaluate(request, tmp_path / "report")


def test_a_kind_that_was_not_possible_is_drawn_with_its_reason(tmp_path: Path, coarse_pictures: None) -> None:
    shown = [Disturbed("jitter", "of a body", [("none", 80.0, 75.0, 85.0), ("1 %", 70.0, 65.0, 75.0)])]
    shown.append(Disturbed("turned camera", "degrees", [], "not available: the clips have two coordinates"))
    draw_robustness(shown, tmp_path / "curves.png", "title")
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_clips_of_two_coordinates_have_no_other_camera_and_the_count_of_progress_fits(tmp_path: Path) -> None:
    found = Predictions(["a"], np.zeros(1, np.int64), np.array([[1.0, 0.0]], np.float32))
    data = SimpleNamespace(skeleton=load_layout("coco17_2d"))
    first = SimpleNamespace(config=SimpleNamespace(data=data), indices=[0])

    def predict(shown: NotedProgress, condition: Condition) -> Predictions:
        shown.advance(1)
        return found

    progress = NotedProgress()
    ensemble: Any = SimpleNamespace(first=first, members=[first], predict=predict)
    curves = {curve.name: curve for curve in measure_robustness(ensemble, found, progress)}
    assert not curves["turned camera"].points
    assert curves["turned camera"].problem.startswith("not available: the clips have two coordinates")
    (task,) = progress.tasks
    assert sum(task.done) == task.total == sum(len(kind.levels) for kind in KINDS if kind.name != "turned camera")
