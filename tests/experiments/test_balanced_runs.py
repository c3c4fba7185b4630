"""Runs on imbalanced classes: what they draw and how they weight it survives an interruption."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import CLASSES, moving_clips, tiny_run

from last.data.store.reader import write_store
from last.experiments import run as experiment
from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder
from last.runtime.stop_requests import Stop, StopWatch
from last.settings.run import RunConfig
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]
KEYS = ["class_sampling=balanced", "class_sampling=square_root", "class_weights=balanced", "class_weights=effective"]


@pytest.fixture
def imbalanced(tmp_path: Path) -> MakeConfig:
    """Return a function that resolves a tiny run on training clips of which few are of the last class."""
    clips = [clip for number, clip in enumerate(moving_clips()) if clip.label < 2 or number % 6 == 5]
    write_store(tmp_path / "data" / "tiny", clips, name="tiny", layout="ntu25", classes=CLASSES)
    text = f"data: {{name: tiny, classes: {CLASSES}, split: xsub, protocols: {{xsub: {{by: subject, train: [1]}}}}}}"
    (tmp_path / "tiny.yaml").write_text(text)
    return lambda *overrides: tiny_run(tmp_path / "tiny.yaml", tmp_path / "runs", *overrides)


def weights(run: RunFolder) -> torch.Tensor:
    model = read_checkpoint(run.last).model
    return torch.cat([model[name].flatten().double() for name in sorted(model)])


@pytest.mark.parametrize("key", KEYS)
def test_a_run_stopped_within_an_epoch_ends_like_one_left_alone(
    key: str, imbalanced: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = imbalanced("epochs=2", key)
    with monkeypatch.context() as patch:
        seen = iter(range(1, 10_000))
        patch.setattr(StopWatch, "reason", property(lambda _: Stop.TERMINATE if next(seen) >= 2 else None))
        stopped = experiment.train(config)
    assert stopped.run.partial.exists()
    resumed = experiment.train(config, resume="auto")
    whole = experiment.train(config).run
    assert resumed.run.path == stopped.run.path != whole.path
    assert torch.equal(weights(whole), weights(resumed.run))
    assert not torch.equal(weights(whole), weights(experiment.train(imbalanced("epochs=2")).run))


@pytest.mark.parametrize("key", ["class_sampling", "class_weights"])
def test_a_resumed_run_changes_the_balance_only_if_it_is_told_to(key: str, imbalanced: MakeConfig) -> None:
    run = experiment.train(imbalanced("epochs=1")).run
    changed = replace(imbalanced("epochs=2"), **{key: "balanced"})
    with pytest.raises(UserError, match=f"{key}: .* in the run, 'balanced' now"):
        experiment.train(changed, str(run.path), explicit_keys=["epochs"])
    assert experiment.train(changed, str(run.path), explicit_keys=["epochs", key]).run.path == run.path
