"""A whole other task is one file: the same trainer trains it and resumes it to the bit, and it is listed and drawn."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import masked_joints
import pytest
import torch

from last.experiments.run import train
from last.runs.checkpoint import load_checkpoint, read_checkpoint
from last.runs.folder import RunFolder
from last.runs.history import read_run
from last.runs.pictures import draw_run
from last.runtime.stop_requests import Stop
from last.settings.run import EmaConfig, RunConfig
from last.training.epoch_metrics import Figures
from last.training.epoch_tests import EpochTests
from last.training.trainer import Trainer
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]


@pytest.fixture
def config(tiny_config: MakeConfig) -> RunConfig:
    return tiny_config("epochs=2", "learning_rate=0.05", "ema.decay=0.5")


def trained(config: RunConfig, resume: str = "") -> RunFolder:
    return train(config, resume, recipe=masked_joints.Recipe()).run


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
    monkeypatch.setattr(EpochTests, "measure", lambda *_: Figures(1.0, [next(measured)]))
    folder = trained(replace(config, epochs=4, ema=EmaConfig()))
    summary = json.loads(folder.summary.read_text())
    assert (summary["best_epoch"], summary["best_mse"], summary["final_mse"]) == (1, 3.0, 4.0)
    assert read_checkpoint(folder.best).epoch == 1
    folder.summary.unlink()
    assert read_run(folder.path).figure("best_epoch") == 1, "as told by the logbook alone"


def test_a_run_that_stops_within_an_epoch_resumes_to_the_bit(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(config)
    steps = []
    train_batch = Trainer._train_batch

    def stopping(trainer: Trainer, *given: object) -> None:
        train_batch(trainer, *given)
        steps.append(1)
        if len(steps) == 4:
            trainer.watch._signal = Stop.TERMINATE

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_batch", stopping)
        stopped = trained(config)
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
    assert train(config, str(folder.path), recipe=masked_joints.Recipe()).summary["final_mse"] > 0
    with pytest.raises(UserError, match="is of the task masked joints, not of classification"):
        train(config, str(folder.path))
    assert train(config, "auto").run.path != folder.path
