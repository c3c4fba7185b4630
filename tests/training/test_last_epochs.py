"""The mean of the weights at the ends of the last epochs."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from last.experiments import run as experiment
from last.runs import resume
from last.runs.checkpoint import read_checkpoint
from last.runs.logbook import read_rows
from last.settings.run import EmaConfig, RunConfig
from last.training.last_epochs import LastEpochsAverage
from last.training.train_state import _average
from last.utils.errors import UserError

EXACT = 1e-6


def followed(model: nn.Linear, average: LastEpochsAverage, epochs: range) -> list[float]:
    found = []
    for epoch in epochs:
        with torch.no_grad():
            model.weight.fill_(float(epoch**2))
        average.update(torch.tensor(True))
        average.end_epoch(epoch)
        found.append(average.state()["weight"].item())
    return found


@pytest.mark.parametrize(
    ("count", "wanted"),
    [(1, [0, 1, 4, 9, 16]), (3, [0, 1, 4, 6.5, 29 / 3]), (5, [0, 0.5, 5 / 3, 3.5, 6]), (99, [0, 0.5, 5 / 3, 3.5, 6])],
)
def test_the_last_epochs_count_equally_and_earlier_ones_follow_the_weights(count: int, wanted: list[float]) -> None:
    model = nn.Linear(1, 1, bias=False)
    average = LastEpochsAverage(model, EmaConfig(last_epochs=count).first_averaged(5))
    assert followed(model, average, range(5)) == pytest.approx(wanted, rel=EXACT)


def test_an_epoch_that_ends_twice_counts_once() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = LastEpochsAverage(model, first=2)
    followed(model, average, range(5))
    resumed = LastEpochsAverage(model, first=2)
    resumed.load_state(average.state(), average.steps)
    resumed.end_epoch(4)
    assert resumed.state()["weight"].item() == average.state()["weight"].item()


def test_two_averages_at_once_are_refused() -> None:
    with pytest.raises(UserError, match=r"ema\.decay: 0\.9 and ema\.last_epochs: 2"):
        EmaConfig(0.9, 2)


def test_an_average_of_all_epochs_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Linear(1, 1)
    for last_epochs, epochs in ((69, 70), (0, 70), (1, 1)):
        _average(model, EmaConfig(last_epochs=last_epochs), epochs)
    assert not caplog.text
    for last_epochs in (70, 100):
        _average(model, EmaConfig(last_epochs=last_epochs), 70)
        assert f"ema.last_epochs: {last_epochs} averages the weights of all 70 epochs" in caplog.text


def test_a_run_tests_and_saves_the_mean_of_its_last_epochs(tiny_config: Callable[..., RunConfig]) -> None:
    config = tiny_config("epochs=4", "ema.last_epochs=2", "learning_rate=0.1", "checkpoint.keep=4")
    result = experiment.train(config)
    before, last = (read_checkpoint(path) for path in (result.run.checkpoints / "epoch_0002.pth", result.run.last))
    for name, average in last.ema.items():
        torch.testing.assert_close(average, (before.model[name] + last.model[name]) / 2)
        assert torch.equal(before.ema[name], before.model[name])
    row = read_rows(result.run.path / "metrics.jsonl")[-1]
    assert result.summary["weights"] == "averaged" and result.summary["final_top1"] == row["ema_test_top1"]
    assert "averaged" in last.statistics


@pytest.mark.parametrize(
    ("state", "epochs", "message"),
    [
        ("last.pth", 7, r"7 epochs instead of 6.*of which 2 are finished.*--epochs 9 or more"),
        ("last.pth", 8, r"8 epochs instead of 6.*of which 1 is finished.*--epochs 9 or more"),
        ("epoch_0003.pth", 5, r"5 epochs instead of 6.*of which 2 are finished.*--epochs 7 or more"),
    ],
)
def test_other_epochs_are_refused_if_the_average_needs_weights_that_are_not_kept(
    tiny_config: Callable[..., RunConfig], state: str, epochs: int, message: str
) -> None:
    settings = ("ema.last_epochs=3", "learning_rate=0.1", "checkpoint.keep=6")
    run = experiment.train(tiny_config("epochs=6", *settings)).run
    with pytest.raises(UserError, match=message):
        experiment.train(
            tiny_config(f"epochs={epochs}", *settings), str(run.checkpoints / state), explicit_keys=["epochs"]
        )


def test_an_epoch_whose_test_was_interrupted_is_in_the_average_already(
    tiny_config: Callable[..., RunConfig],
) -> None:
    settings = ("ema.last_epochs=3", "learning_rate=0.1", "checkpoint.keep=6")
    run = experiment.train(tiny_config("epochs=6", *settings)).run
    checkpoint = read_checkpoint(run.checkpoints / "epoch_0003.pth")
    assert checkpoint.ema_steps == 4
    resume._refuse_other_average(checkpoint, checkpoint.config.ema, 7, run.last)  # epochs 5 to 7 are to come
    with pytest.raises(UserError, match="of which 1 is finished"):
        resume._refuse_other_average(replace(checkpoint, ema_steps=5), checkpoint.config.ema, 7, run.last)


def test_a_run_that_is_extended_averages_its_new_last_epochs(tiny_config: Callable[..., RunConfig]) -> None:
    settings = ("ema.last_epochs=2", "learning_rate=0.1", "checkpoint.keep=6")
    run = experiment.train(tiny_config("epochs=4", *settings)).run
    longer = experiment.train(tiny_config("epochs=6", *settings), str(run.path), explicit_keys=["epochs"]).run
    before, last = (read_checkpoint(path) for path in (longer.checkpoints / "epoch_0004.pth", longer.last))
    for name, average in last.ema.items():
        torch.testing.assert_close(average, (before.model[name] + last.model[name]) / 2)
