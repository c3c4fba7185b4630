"""An optimizer is one file: a run trains with it, resumes with it to the bit, and its rejected steps change nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import TINY
from torch import nn

from last.experiments.run import train
from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder
from last.runs.results import read_run
from last.settings.run import EmaConfig, RunConfig
from last.training import optimizers
from last.training.optim import build_optimizer, step_unless
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]
ADDED = ("adamw", "lion")

BARE = """
import torch

def build(groups, rate, config, settings):
    return Counting(groups, {"lr": rate})

class Counting(torch.optim.Optimizer):
    def step(self, closure=None):
        for weight in self.param_groups[0]["params"]:
            self.state[weight]["steps"] = 1
"""


@pytest.fixture(autouse=True)
def added(plug_in: Callable[[ModuleType, Path], None]) -> None:
    for name in ADDED:
        plug_in(optimizers, Path(__file__).with_name(f"{name}.py"))


@pytest.mark.parametrize("name", ADDED)
def test_a_run_with_it_that_stops_within_an_epoch_resumes_to_the_bit(
    name: str, tiny_config: MakeConfig, train_and_stop: Callable[[RunConfig, int], RunFolder]
) -> None:
    config = tiny_config(f"optimizer={name}", "epochs=2", "optimizer_settings.beta1=0.8")
    whole = train(config).run
    stopped = train_and_stop(config, 4)
    assert stopped.partial.exists()
    resumed = train(config, "auto").run
    assert resumed.path == stopped.path
    ours, theirs = read_checkpoint(resumed.last), read_checkpoint(whole.last)
    assert all(torch.equal(ours.model[key], theirs.model[key]) for key in theirs.model)
    group = theirs.optimizer["param_groups"][0]
    assert group.get("beta1", group.get("betas", (None,))[0]) == 0.8


@pytest.mark.parametrize("name", ADDED)
@pytest.mark.parametrize("steps_before", [0, 2])
def test_a_refused_step_leaves_weights_and_state_as_they_were(name: str, steps_before: int) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimizer = build_optimizer(model, RunConfig(optimizer=name).optimization)
    for _ in range(steps_before):
        _fill(model, 1.0)
        step_unless(torch.tensor(False), optimizer)
    before = [each.clone() for each in _tensors(model, optimizer)]
    assert len(before) > len(list(model.parameters())), "its state is there before its first step"
    _fill(model, torch.nan)
    step_unless(torch.tensor(True), optimizer)
    assert all(torch.equal(one, other) for one, other in zip(before, _tensors(model, optimizer), strict=True))
    _fill(model, 1.0)
    step_unless(torch.tensor(False), optimizer)
    assert not torch.equal(before[0], next(model.parameters()))


def test_commands_train_with_it_and_a_run_of_it_is_resumed_with_no_other(
    cli: Callable[..., Any], data_yaml: Path, tmp_path: Path
) -> None:
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", tmp_path / "runs")
    chosen = ("--model", "nano_e", "--dataset", data_yaml, "--epochs", 1, "--set", *TINY, "optimizer=lion")
    done = cli("train", *roots, *chosen)
    assert done.code == 0, done.err
    (run,) = (tmp_path / "runs").glob("run-*")
    assert "beta2: 0.99" in (run / "config.yaml").read_text()
    other = cli("train", *roots, "--resume", run, "--set", "optimizer=sgd", "epochs=2")
    assert (other.code, "cannot change within a run" in other.err) == (2, True)
    recipe = ("--config", run / "config.yaml", "--output_root", tmp_path / "others", "--set", "optimizer=sgd")
    assert cli("train", *roots[:2], *recipe).code == 0, "the settings of what a recipe chose go with it"
    more = cli("train", *roots, "--resume", run, "--set", "epochs=2", "optimizer_settings.beta2=0.9")
    assert more.code == 0, more.err
    assert read_run(run).epochs_done == 2
    assert read_checkpoint(run / "checkpoints" / "last.pth").optimizer["param_groups"][0]["beta2"] == 0.9


def test_it_trains_with_accumulation_averaging_and_the_guard(tiny_config: MakeConfig) -> None:
    config = tiny_config("optimizer=lion", "epochs=2", "gradient_accumulation_steps=2", "learning_rate=0.001")
    summary = train(replace(config, ema=EmaConfig(0.5))).summary
    assert summary["skipped_batches"] == 0
    assert summary["final_top1"] >= 0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optimizer=lyon", "There is no optimizer 'lyon'. Did you mean 'lion'? Known: adamw, lion, sgd"),
        ("optimizer_settings.beta3=0.5", "--set: optimizer_settings: beta3: unknown key .* Did you mean 'beta2'?"),
        (
            "optimizer=sgd optimizer_settings.beta1=0.5",
            "--set: optimizer_settings: beta1: unknown key; this choice has no keys.",
        ),
        ("optimizer_settings.beta1=1.5", "--set: optimizer_settings: beta1: 1.5 should be below 1.0"),
    ],
)
def test_an_unknown_name_or_setting_is_refused_before_anything_is_built(
    setting: str, message: str, tiny_config: MakeConfig
) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        tiny_config("optimizer=lion", *setting.split())


def test_an_optimizer_that_counts_in_plain_numbers_is_refused(
    plug_in: Callable[[ModuleType, Path], None], tmp_path: Path
) -> None:
    (tmp_path / "counting.py").write_text(BARE)
    plug_in(optimizers, tmp_path / "counting.py")
    with pytest.raises(UserError, match="keeps steps as a plain value"):
        build_optimizer(nn.Linear(2, 2), RunConfig(optimizer="counting").optimization)


def _fill(model: nn.Module, value: float) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, value)


def _tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    states = (value for state in optimizer.state.values() for value in state.values())
    return [*model.parameters(), *(value for value in states if isinstance(value, torch.Tensor))]
