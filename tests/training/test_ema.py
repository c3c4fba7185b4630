"""Weights averaged over time."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

import last
from last.evaluation.evaluate import evaluate
from last.evaluation.request import EvalRequest
from last.experiments import run as experiment
from last.runs.checkpoint import read_checkpoint
from last.runs.logbook import read_rows
from last.settings.run import RunConfig
from last.training.ema import WeightAverage
from last.utils.errors import UserError

YES, NO = torch.tensor(True), torch.tensor(False)


def test_average_follows_the_textbook() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = WeightAverage(model, decay=0.3)
    expected = model.weight.item()
    for step in range(1, 6):
        with torch.no_grad():
            model.weight.fill_(float(step))
        average.update(YES)
        decay = min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        assert average.state()["weight"].item() == pytest.approx(expected)


def test_step_that_was_not_made_leaves_the_average_alone() -> None:
    model = nn.Linear(2, 2)
    average = WeightAverage(model, decay=0.9)
    before = {name: each.clone() for name, each in average.state().items()}
    with torch.no_grad():
        model.weight.add_(1.0)
    average.update(NO)
    assert all(torch.equal(each, before[name]) for name, each in average.state().items())


def test_model_has_the_average_for_a_while_and_its_own_weights_after() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = WeightAverage(model, decay=0.9)
    with torch.no_grad():
        model[0].weight.add_(1.0)
    model(torch.randn(4, 2))
    own = {name: each.clone() for name, each in model.state_dict().items()}
    with pytest.raises(UserError), average.applied():
        torch.testing.assert_close(model[0].weight, own["0.weight"] - 1.0)
        assert torch.equal(model[1].running_mean, own["1.running_mean"]), "statistics are averages already"
        raise UserError
    assert all(torch.equal(each, own[name]) for name, each in model.state_dict().items())


def test_averaged_weights_are_tested_saved_and_offered(tiny_config: Callable[..., RunConfig], tmp_path) -> None:
    result = experiment.train(tiny_config("epochs=3", "ema.decay=0.9", "learning_rate=0.1"))
    row = read_rows(result.run.path / "metrics.jsonl")[-1]
    assert row["ema_test_loss"] != row["test_loss"]
    assert result.summary["weights"] == "averaged"
    assert result.summary["final_top1"] == row["ema_test_top1"]
    checkpoint = read_checkpoint(result.run.last)
    averaged, trained = (last.load_checkpoint(result.run.last, no_ema=each).state_dict() for each in (False, True))
    assert torch.equal(averaged["classifier.weight"], checkpoint.ema["classifier.weight"])
    assert torch.equal(trained["classifier.weight"], checkpoint.model["classifier.weight"])
    losses = [
        evaluate(EvalRequest(result.run.last, no_ema=no_ema), tmp_path / str(no_ema)).metrics.loss
        for no_ema in (False, True)
    ]
    assert losses == pytest.approx([row["ema_test_loss"], row["test_loss"]], rel=1e-5)
