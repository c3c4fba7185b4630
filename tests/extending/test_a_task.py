"""A whole other task is one file: the same trainer trains it and resumes it to the bit, and it is listed and drawn."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import TINY

from last import tasks
from last.experiments.run import train
from last.runs.checkpoint import read_checkpoint
from last.runs.checkpoint_model import load_checkpoint
from last.runs.folder import RunFolder
from last.runs.pictures import draw_run
from last.runs.results import read_run
from last.settings.distillation import DistillationConfig
from last.settings.run import EmaConfig, RunConfig
from last.training.epoch_metrics import EpochFigures
from last.training.epoch_tests import EpochTests
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]


@pytest.fixture(autouse=True)
def added(plug_in: Callable[[ModuleType, Path], None]) -> None:
    plug_in(tasks, Path(__file__).with_name("masked_joints.py"))


@pytest.fixture
def config(tiny_config: MakeConfig) -> RunConfig:
    return tiny_config("task=masked_joints", "epochs=2", "learning_rate=0.05", "ema.decay=0.5")


def trained(config: RunConfig, resume: str = "") -> RunFolder:
    return train(config, resume).run


def test_the_run_has_the_metrics_of_its_task_and_none_of_another(config: RunConfig, cli: Callable[..., Any]) -> None:
    folder = trained(config)
    summary = json.loads(folder.summary.read_text())
    assert {name for name in summary if name.startswith(("best_", "final_"))} == {"best_epoch", "best_mse", "final_mse"}
    run = read_run(folder.path)
    assert {"train_mse", "test_mse", "ema_test_mse"} < run.rows[0].keys()
    assert not [name for row in run.rows for name in row if "top1" in name or "top5" in name]
    assert run.figure("best_mse") == min(row["ema_test_mse"] for row in run.rows) == summary["best_mse"]
    assert not run.problems
    assert not folder.confusion.exists()
    draw_run(folder)
    assert folder.curve.exists()
    listed = cli("runs", "--output_root", config.output_root).out
    assert "MSE on the test part" in listed
    assert "%" not in listed


def test_the_epoch_with_the_lowest_error_is_the_best(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter([5.0, 3.0, 3.0, 4.0])
    monkeypatch.setattr(EpochTests, "measure", lambda *_: EpochFigures(1.0, [next(measured)]))
    folder = trained(replace(config, epochs=4, ema=EmaConfig()))
    summary = json.loads(folder.summary.read_text())
    assert (summary["best_epoch"], summary["best_mse"], summary["final_mse"]) == (1, 3.0, 4.0)
    assert read_checkpoint(folder.best).epoch == 1
    folder.summary.unlink()
    assert read_run(folder.path).figure("best_epoch") == 1, "as read from the logbook alone"


def test_a_run_that_stops_within_an_epoch_resumes_to_the_bit(
    config: RunConfig, train_and_stop: Callable[[RunConfig, int], RunFolder]
) -> None:
    whole = trained(config)
    stopped = train_and_stop(config, 4)
    assert (stopped.partial.exists(), stopped.finished) == (True, False)
    assert read_checkpoint(stopped.partial).within["clips"] < 12
    resumed = trained(config, "auto")
    assert resumed.path == stopped.path
    assert read_run(stopped.path).finished
    ours, theirs = read_checkpoint(stopped.last), read_checkpoint(whole.last)
    assert int(theirs.task["hidden"]) > 0
    for name in ("model", "task", "ema"):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    timed = ("seconds", "clips_per_second", "data_wait_share", "memory_mib")
    without = [
        [{name: value for name, value in row.items() if name not in timed} for row in read_run(each.path).rows]
        for each in (stopped, whole)
    ]
    assert without[0] == without[1]


def test_a_checkpoint_of_another_task_is_no_classifier(config: RunConfig) -> None:
    folder = trained(config)
    with pytest.raises(UserError, match="of the task masked joints, not of classification"):
        load_checkpoint(folder.last)


def test_a_run_is_resumed_as_what_it_is(config: RunConfig) -> None:
    folder = trained(config)
    assert train(config, str(folder.path)).summary["final_mse"] > 0
    classifying = replace(config, task="classification")
    with pytest.raises(UserError, match="is of the task masked joints, not of classification"):
        train(classifying, str(folder.path))
    assert train(classifying, "auto").run.path != folder.path


def test_a_task_is_chosen_by_its_name_and_a_run_of_it_resumed_by_its_path(
    cli: Callable[..., Any], data_yaml: Path, tmp_path: Path
) -> None:
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", tmp_path / "runs")
    chosen = ("--model", "nano_e", "--dataset", data_yaml, "--epochs", 1, "--set", *TINY, "task=masked_joints")
    done = cli("train", *roots, *chosen)
    assert done.code == 0, done.err
    assert "MSE" in done.out
    (run,) = (tmp_path / "runs").glob("run-*")
    assert cli("train", *roots, "--resume", run, "--set", "epochs=2").code == 0
    assert read_run(run).epochs_done == 2


def test_an_unknown_task_is_refused_with_the_names_of_those_there_are(config: RunConfig) -> None:
    with pytest.raises(UserError, match=r"no task 'recipe'\. Known: classification, masked_joints"):
        train(replace(config, task="recipe"))
    assert not Path(config.output_root).exists()


def test_teachers_are_for_classification(config: RunConfig, teacher: Path) -> None:
    distilled = replace(config, distillation=DistillationConfig(teachers=[str(teacher)]))
    with pytest.raises(UserError, match="Distillation needs the task classification, and the task is masked_joints"):
        train(distilled)


def test_weights_of_classes_are_for_classification(config: RunConfig) -> None:
    with pytest.raises(UserError, match="class_weights are of the task classification, and the task is masked_joints"):
        train(replace(config, class_weights="balanced"))


def test_its_own_settings_are_checked_recorded_and_used(tiny_config: MakeConfig) -> None:
    few, many = (tiny_config("task=masked_joints", "epochs=1", f"task_settings.hidden={share}") for share in (0.1, 0.9))
    hidden = [int(read_checkpoint(trained(each).last).task["hidden"]) for each in (few, many)]
    assert 0 < 3 * hidden[0] < hidden[1]
    assert tiny_config("task=masked_joints").task_settings == {"hidden": 0.4}
    with pytest.raises(UserError, match=r"--set: task_settings: hiden: unknown key .* Did you mean 'hidden'"):
        tiny_config("task=masked_joints", "task_settings.hiden=0.1")
