"""Early stopping: when it ends a run, what the run then says of itself, and that resuming changes nothing."""

import json
import logging
import math
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from conftest import tiny_run

from last.experiments import run as experiment
from last.experiments.sequence.table import DONE, _status
from last.runs.folder import RunFolder
from last.runs.logbook import read_rows
from last.runs.results import read_run
from last.runtime.stop_requests import Stop, StopWatch
from last.settings.run import EarlyStoppingConfig, RunConfig
from last.training.epoch_metrics import EpochFigures
from last.training.epoch_tests import EpochTests
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]
SPLIT = ["validation=split", "validation_fraction=0.3", "epochs=6"]
STOPS = [*SPLIT, "early_stopping.patience=2"]
ACCURACIES = [30.0, 50.0, 50.0, 40.0, 90.0, 91.0]  # on the validation clips; epoch 1 is the best of the first four


def measure(tests: EpochTests, part: Any, kept: bool = False) -> EpochFigures:
    """Return the accuracies above on the validation clips, and a hundredth of the epoch's number on the test clips."""
    if not tests.is_due:
        return EpochFigures()
    epoch = tests.state.progress.epoch
    value = ACCURACIES[epoch] if part is tests.data.validation else epoch / 100
    return EpochFigures(loss=1.0, metrics=[value, 100.0])


@pytest.fixture(autouse=True, scope="module")
def _scripted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EpochTests, "measure", measure)
        yield


@pytest.fixture(scope="module")
def trained(_scripted: None, data_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunFolder]:
    """Return a function that trains a run once for all tests, which do not change it."""

    @cache
    def train(*overrides: str) -> RunFolder:
        return experiment.train(tiny_run(data_yaml, tmp_path_factory.mktemp("early"), *overrides)).run

    return train


@pytest.fixture
def early(trained: Callable[..., RunFolder], tmp_path: Path) -> RunFolder:
    """Return a run that stopped early, which a test may change."""
    run = trained(*STOPS).path
    return RunFolder(Path(shutil.copytree(run, tmp_path / "runs" / run.name)))


def summary_of(run: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(run.summary.read_text())
    return content


def rows_of(run: RunFolder) -> list[dict[str, Any]]:
    timings = {"seconds", "clips_per_second", "data_wait_share", "memory_mib"}
    return [{key: value for key, value in row.items() if key not in timings} for row in read_rows(run.logbook)]


def test_training_ends_when_the_result_has_not_improved_for_long_enough(trained: Callable[..., RunFolder]) -> None:
    run = trained(*STOPS)
    summary = summary_of(run)
    assert (summary["ended"], summary["epochs_trained"], summary["best_epoch"]) == ("early stopping", 4, 1)
    assert (summary["final_top1"], summary["best_top1"]) == (0.03, 0.01)
    log = run.log.read_text()
    assert "has not improved for 2 epochs, since epoch 1. The run is finished after 4 of 6 epochs." in log


def test_without_the_key_every_planned_epoch_is_trained(
    trained: Callable[..., RunFolder], tiny_config: MakeConfig
) -> None:
    assert tiny_config().early_stopping == EarlyStoppingConfig(patience=0)
    summary = summary_of(trained(*SPLIT))
    assert (summary["ended"], summary["epochs_trained"], summary["final_top1"]) == ("all epochs", 6, 0.05)


def test_a_stop_in_the_last_epoch_is_not_an_early_one(trained: Callable[..., RunFolder]) -> None:
    summary = summary_of(trained(*STOPS, "epochs=4"))
    assert (summary["ended"], summary["epochs_trained"]) == ("all epochs", 4)


def test_the_learning_rate_follows_the_planned_epochs(trained: Callable[..., RunFolder]) -> None:
    stopped, whole = ([row["learning_rate"] for row in rows_of(trained(*each))] for each in (STOPS, SPLIT))
    assert stopped == whole[:4]


def test_only_a_tested_epoch_ends_the_training(trained: Callable[..., RunFolder]) -> None:
    summary = summary_of(trained(*STOPS, "early_stopping.patience=1", "test_every=2"))
    # Epochs 1, 3 and 5 are tested; 40 in epoch 3 is not better than 50 in epoch 1.
    assert (summary["epochs_trained"], summary["best_epoch"]) == (4, 1)
    assert not math.isnan(summary["final_top1"])


@pytest.mark.parametrize("looks", [3, 7])
def test_a_run_that_was_interrupted_stops_where_it_would_have_stopped(
    trained: Callable[..., RunFolder], tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    config = tiny_config(*STOPS)
    with monkeypatch.context() as patch:
        seen = iter(range(1, 10_000))
        patch.setattr(StopWatch, "reason", property(lambda _: Stop.TERMINATE if next(seen) >= looks else None))
        stopped = experiment.train(config)
    assert stopped.stopped is Stop.TERMINATE
    resumed = experiment.train(config, resume=str(stopped.run.path)).run
    assert rows_of(resumed) == rows_of(trained(*STOPS))


def test_a_run_killed_before_its_summary_is_finished_without_another_epoch(
    early: RunFolder, tiny_config: MakeConfig
) -> None:
    before = rows_of(early)
    early.summary.unlink()
    resumed = experiment.train(tiny_config(*STOPS), resume="auto")
    assert (resumed.run.path, resumed.summary["ended"], rows_of(resumed.run)) == (early.path, "early stopping", before)


def test_a_run_that_stopped_early_is_finished_everywhere(
    early: RunFolder, tiny_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    written = summary_of(early)
    with caplog.at_level(logging.INFO):
        again = experiment.train(tiny_config(*STOPS), resume="auto")
    assert "is finished; there is nothing to resume." in caplog.text
    assert (again.run.path, again.summary) == (early.path, written)
    listed = read_run(early.path)
    assert (listed.state, listed.epochs_done, listed.epochs, listed.problems) == ("finished", 4, 6, [])
    assert _status(early) == DONE


def test_more_patience_continues_a_run_that_stopped_early(early: RunFolder, tiny_config: MakeConfig) -> None:
    config = tiny_config(*STOPS, "early_stopping.patience=5")
    resumed = experiment.train(config, resume=str(early.path), explicit_keys=["early_stopping.patience"])
    assert (resumed.summary["epochs_trained"], resumed.summary["best_epoch"]) == (6, 5)


def test_other_tests_than_before_are_refused_since_they_decide_when_a_run_ends(
    early: RunFolder, tiny_config: MakeConfig
) -> None:
    early.summary.unlink()
    with pytest.raises(UserError, match="test_every: 1 in the run, 2 now"):
        experiment.train(tiny_config(*STOPS, "test_every=2"), resume="auto")


def test_a_stop_decided_on_the_test_part_is_refused(tiny_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="patience: 2 needs validation: split") as refused:
        tiny_config("early_stopping.patience=2")
    assert "chosen on them. Add --set validation=split" in str(refused.value)
    assert not (tmp_path / "runs").exists()
