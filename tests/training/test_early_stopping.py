"""Early stopping: when it ends a run, what the run then says of itself, and that resuming changes nothing."""

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from last.experiments import run as experiment
from last.experiments.sequence_table import DONE, _status
from last.runs.folder import RunFolder
from last.runs.logbook import read_rows
from last.runs.results import read_run
from last.runtime.stop_requests import Stop, StopWatch
from last.settings.run import EarlyStoppingConfig, RunConfig
from last.training.epoch_metrics import EpochFigures
from last.training.epoch_tests import EpochTests
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]
SPLIT = ["validation=split", "validation_fraction=0.3", "epochs=8"]
STOPS = [*SPLIT, "early_stopping.patience=2"]
ACCURACIES = [
    30.0,
    50.0,
    50.0,
    40.0,
    90.0,
    91.0,
    92.0,
    93.0,
]  # on the validation clips: epoch 1 is the best of the first four


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the validation clips give the accuracies above, and the test clips a hundredth of the number of the epoch."""

    def measure(tests: EpochTests, part: Any, kept: bool = False) -> EpochFigures:
        if not tests.is_due:
            return EpochFigures()
        epoch = tests.state.progress.epoch
        value = ACCURACIES[epoch] if part is tests.data.validation else epoch / 100
        return EpochFigures(loss=1.0, metrics=[value, 100.0])

    monkeypatch.setattr(EpochTests, "measure", measure)


def rows_of(run: RunFolder) -> list[dict[str, Any]]:
    timings = {"seconds", "clips_per_second", "data_wait_share", "memory_mib"}
    return [{key: value for key, value in row.items() if key not in timings} for row in read_rows(run.logbook)]


def test_training_ends_when_the_result_has_not_improved_for_long_enough(
    tiny_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        result = experiment.train(tiny_config(*STOPS))
    summary = result.summary
    assert (summary["ended"], summary["epochs_trained"], summary["best_epoch"]) == ("early stopping", 4, 1)
    assert (summary["final_top1"], summary["best_top1"]) == (0.03, 0.01)
    assert "has not improved for 2 epochs, since epoch 1. The run is finished after 4 of 8 epochs." in caplog.text


def test_without_the_key_every_planned_epoch_is_trained(tiny_config: MakeConfig) -> None:
    assert tiny_config().early_stopping == EarlyStoppingConfig(patience=0)
    summary = experiment.train(tiny_config(*SPLIT)).summary
    assert (summary["ended"], summary["epochs_trained"], summary["final_top1"]) == ("all epochs", 8, 0.07)


def test_a_stop_in_the_last_epoch_is_not_an_early_one(tiny_config: MakeConfig) -> None:
    summary = experiment.train(tiny_config(*STOPS, "epochs=4")).summary
    assert (summary["ended"], summary["epochs_trained"]) == ("all epochs", 4)


def test_the_learning_rate_follows_the_planned_epochs(tiny_config: MakeConfig) -> None:
    stopped, whole = (experiment.train(tiny_config(*each)).run for each in (STOPS, SPLIT))
    rates = [[row["learning_rate"] for row in rows_of(run)] for run in (stopped, whole)]
    assert rates[0] == rates[1][:4]


def test_only_a_tested_epoch_ends_the_training(tiny_config: MakeConfig) -> None:
    summary = experiment.train(tiny_config(*STOPS, "early_stopping.patience=1", "test_every=2")).summary
    # Epochs 1, 3, 5 and 7 are tested; 40 in epoch 3 is not better than 50 in epoch 1.
    assert (summary["epochs_trained"], summary["best_epoch"]) == (4, 1)
    assert not math.isnan(summary["final_top1"])


@pytest.mark.parametrize("looks", [3, 6, 8])
def test_a_run_that_was_interrupted_stops_where_it_would_have_stopped(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    config = tiny_config(*STOPS)
    whole = experiment.train(config).run
    with monkeypatch.context() as patch:
        seen = iter(range(1, 10_000))
        patch.setattr(StopWatch, "reason", property(lambda _: Stop.TERMINATE if next(seen) >= looks else None))
        stopped = experiment.train(config)
    assert stopped.stopped is Stop.TERMINATE
    resumed = experiment.train(config, resume=str(stopped.run.path)).run
    assert rows_of(resumed) == rows_of(whole)


def test_a_run_killed_before_its_summary_is_finished_without_another_epoch(tiny_config: MakeConfig) -> None:
    config = tiny_config(*STOPS)
    run = experiment.train(config).run
    before = rows_of(run)
    run.summary.unlink()
    resumed = experiment.train(config, resume="auto")
    assert (resumed.run.path, resumed.summary["ended"], rows_of(resumed.run)) == (run.path, "early stopping", before)


def test_a_run_that_stopped_early_is_finished_everywhere(
    tiny_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny_config(*STOPS)
    run = experiment.train(config).run
    written = json.loads(run.summary.read_text())
    with caplog.at_level(logging.INFO):
        again = experiment.train(config, resume="auto")
    assert "is finished; there is nothing to resume." in caplog.text
    assert (again.run.path, again.summary) == (run.path, written)
    listed = read_run(run.path)
    assert (listed.state, listed.epochs_done, listed.epochs, listed.problems) == ("finished", 4, 8, [])
    assert _status(run) == DONE


def test_more_patience_continues_a_run_that_stopped_early(tiny_config: MakeConfig) -> None:
    run = experiment.train(tiny_config(*STOPS)).run
    keys = ["early_stopping.patience"]
    resumed = experiment.train(
        tiny_config(*STOPS, "early_stopping.patience=5"), resume=str(run.path), explicit_keys=keys
    )
    assert (resumed.summary["epochs_trained"], resumed.summary["best_epoch"]) == (8, 7)


def test_other_tests_than_before_are_refused_since_they_decide_when_a_run_ends(tiny_config: MakeConfig) -> None:
    run = experiment.train(tiny_config(*STOPS)).run
    run.summary.unlink()
    with pytest.raises(UserError, match="test_every: 1 in the run, 2 now"):
        experiment.train(tiny_config(*STOPS, "test_every=2"), resume="auto")


def test_a_stop_decided_on_the_test_part_is_refused(tiny_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="patience: 2 needs validation: split") as refused:
        tiny_config("early_stopping.patience=2")
    assert "chosen on them. Add --set validation=split" in str(refused.value)
    assert not (tmp_path / "runs").exists()
