"""A metric is one file: it appears in a run's rows and summary, in lists of runs, and in the output of `evaluate`."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import TINY
from reciprocal_rank import METRIC

from last.evaluation import clip_metrics
from last.evaluation.clip_metrics import ClipMetric, get_metric
from last.evaluation.scoring import NO_SCORE
from last.experiments.run import train
from last.runs.checkpoint_model import load_checkpoint
from last.runs.pictures import draw_run
from last.runs.results import read_run
from last.settings.run import RunConfig
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]
NAME = METRIC.name
MEASURED = f"metrics.{NAME}.places=2"


@pytest.fixture(autouse=True)
def added(plug_in: Callable[[ModuleType, Path], None]) -> None:
    plug_in(clip_metrics, Path(__file__).with_name("reciprocal_rank.py"))


def test_a_run_has_it_in_its_rows_and_is_still_one_of_classification(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config("epochs=2", "ema.decay=0.5", MEASURED)
    folder = train(config).run
    run = read_run(folder.path)
    assert not run.problems
    for row in run.rows:
        for part in ("train", "test", "ema_test"):
            assert row[f"{part}_top1"] / 100 - 1e-6 <= row[f"{part}_{NAME}"] <= 1
    summary = json.loads(folder.summary.read_text())
    assert {"best_top1", f"best_{NAME}", f"final_{NAME}"} <= summary.keys()
    assert folder.confusion.exists()
    draw_run(folder)
    assert load_checkpoint(folder.last).facts.name == "nano_e"
    assert train(config, str(folder.path)).run.path == folder.path


def test_commands_train_list_and_evaluate_it(cli: Callable[..., Any], data_yaml: Path, tmp_path: Path) -> None:
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", tmp_path / "runs")
    chosen = ("--model", "nano_e", "--dataset", data_yaml, "--epochs", 1, "--set", *TINY, MEASURED)
    assert cli("train", *roots, *chosen).code == 0
    (run,) = (tmp_path / "runs").glob("run-*")
    assert cli("train", "--resume", run, *roots, "--set", "epochs=2").code == 0
    refused = cli("train", "--resume", run, *roots, "--set", "epochs=3", f"metrics.{NAME}.places=1")
    assert (refused.code, "cannot change within a run" in refused.err) == (2, True)
    report = tmp_path / "report"
    done = cli("evaluate", "--checkpoint", run / "checkpoints" / "last.pth", "--out", report)
    assert "mean reciprocal rank" in done.out
    row = read_run(run).rows[-1]
    assert json.loads((report / "metrics.json").read_text())["metrics"] == {
        NAME: pytest.approx(row[f"test_{NAME}"], abs=1e-4)
    }


def test_evaluate_measures_it_for_a_run_without_it(
    cli: Callable[..., Any], teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("evaluate", "--checkpoint", teacher, "--out", tmp_path / "report")
    plain = cli(*asked)
    assert (plain.code, "mean reciprocal rank" in plain.out) == (0, False)
    assert "mean reciprocal rank" in cli(*asked, "--metric", NAME).out
    unknown = cli(*asked, "--metric", "reciprocal")
    assert (unknown.code, f"There is no metric 'reciprocal'. Did you mean '{NAME}'?" in unknown.err) == (2, True)


def test_a_run_is_evaluated_without_the_file_of_its_metric(
    cli: Callable[..., Any], tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(tiny_config("epochs=1", MEASURED)).run
    monkeypatch.setattr(clip_metrics, "__path__", clip_metrics.__path__[:1])
    done = cli("evaluate", "--checkpoint", run.last, "--out", tmp_path / "report")
    assert (done.code, f"no longer exist; they are skipped: {NAME}" in done.err) == (0, True)


def test_a_clip_without_a_prediction_counts_as_the_metric_defines() -> None:
    module = get_metric(NAME)
    scores = torch.tensor([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [NO_SCORE] * 3, [torch.nan] * 3])
    total = ClipMetric(module, module.Settings()).total(scores, torch.tensor([0, 1, 0, 0]))  # type: ignore[attr-defined]
    assert float(total) == 1.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["metrics.rank={}"], "There is no metric 'rank'."),
        ([f"metrics.{NAME}.place=2"], f"--set: metrics.{NAME}: place: unknown key"),
        ([f"metrics.{NAME}.places=0"], f"--set: metrics.{NAME}: places: 0 should be at least 1"),
    ],
)
def test_an_unknown_name_or_setting_is_refused_before_anything_is_built(
    settings: list[str], message: str, tiny_config: MakeConfig
) -> None:
    with pytest.raises(UserError) as refused:
        tiny_config(*settings)
    assert message in str(refused.value)


def test_another_task_has_metrics_of_its_own(
    tiny_config: MakeConfig, plug_in: Callable[[ModuleType, Path], None]
) -> None:
    from last import tasks

    plug_in(tasks, Path(__file__).with_name("masked_joints.py"))
    with pytest.raises(UserError, match="are of classification, and the task is masked_joints"):
        train(tiny_config("task=masked_joints", MEASURED))


def test_a_metric_named_unlike_its_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_metric(NAME), "METRIC", replace(METRIC, name="other"))
    with pytest.raises(UserError, match=rf"has the name 'other'. Change it to '{NAME}'"):
        get_metric(NAME)
