"""An augmentation is one file: a run trains with it, and every clip's change is a function of its RNG key."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import TINY
from distillation_probes import taught_by

from last.data.loading import augmentations
from last.data.loading.loader import Batch
from last.data.loading.pipeline import InputPipeline
from last.experiments.run import train
from last.runs.checkpoint import read_checkpoint
from last.settings.run import RunConfig
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]
HIDES = "data.augment.added.hidden_joints.share=0.5"


@pytest.fixture(autouse=True)
def added(plug_in: Callable[[ModuleType, Path], None]) -> None:
    plug_in(augmentations, Path(__file__).with_name("hidden_joints.py"))


def batch_of(clips: int, keys: torch.Tensor) -> Batch:
    joints = torch.randn(clips, 3, 8, 25, 2, generator=torch.Generator().manual_seed(0))
    numbers = torch.arange(clips)
    return Batch(joints, torch.ones(clips, 2, 8, dtype=torch.bool), torch.arange(clips * 2), numbers, numbers, keys)


def test_it_changes_training_clips_alone_and_each_by_its_key(tiny_config: MakeConfig) -> None:
    still = "data.augment.rotation_degrees=[]"
    pipeline, plain = InputPipeline(tiny_config(still, HIDES).data), InputPipeline(tiny_config(still).data)
    batch = batch_of(6, torch.arange(6))
    trained, before = pipeline(batch, training=True)["joint"], plain(batch, training=True)["joint"]
    changed = (trained != before).flatten(1).any(dim=1)
    assert 0 < int(changed.sum()) < 6
    assert torch.equal(pipeline(batch, training=False)["joint"], plain(batch, training=False)["joint"])
    other = batch_of(6, torch.tensor([5, 4, 3, 2, 1, 0]))
    assert torch.equal((pipeline(other, training=True)["joint"] != before).flatten(1).any(dim=1), changed.flip(0))


def test_commands_train_with_it_and_evaluate_without_its_file(
    cli: Callable[..., Any], data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", tmp_path / "runs")
    chosen = ("--model", "nano_e", "--dataset", data_yaml, "--epochs", 1, "--set", *TINY, HIDES)
    done = cli("train", *roots, *chosen)
    assert done.code == 0, done.err
    (run,) = (tmp_path / "runs").glob("run-*")
    assert "probability: 0.5" in (run / "config.yaml").read_text(), "its defaults are recorded too"
    monkeypatch.setattr(augmentations, "__path__", augmentations.__path__[:1])
    assert cli("evaluate", "--checkpoint", run / "checkpoints" / "last.pth", "--out", tmp_path / "report").code == 0
    again = cli("train", "--resume", run, *roots, "--set", "epochs=2")
    assert (again.code, "There is no augmentation 'hidden_joints'" in again.err) == (2, True)


def test_a_run_with_another_strength_learns_something_else(tiny_config: MakeConfig) -> None:
    weights = [
        read_checkpoint(train(tiny_config("epochs=1", setting)).run.last).model["classifier.weight"]
        for setting in (HIDES, HIDES, HIDES.replace("0.5", "0.9"))
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "data.augment.added.hidden_joint={}",
            "There is no augmentation 'hidden_joint'. Did you mean 'hidden_joints'?",
        ),
        ("data.augment.added.hidden_joints.shar=0.5", "--set: data.augment.added.hidden_joints: shar: unknown key"),
        ("data.augment.added.hidden_joints.share=2", "--set: data.augment.added.hidden_joints: share: 2 should be at"),
        (
            "data.augment.added=hidden_joints",
            "should be a mapping of names to sections, not 'hidden_joints', such as {NAME: {}}",
        ),
    ],
)
def test_an_unknown_name_or_setting_is_refused_before_anything_is_built(
    setting: str, message: str, tiny_config: MakeConfig
) -> None:
    with pytest.raises(UserError) as refused:
        tiny_config(setting)
    assert message in str(refused.value)


def test_stored_teacher_outputs_are_of_one_strength_and_older_ones_are_found_where_there_is_none(
    tiny_config: MakeConfig, teacher: Path
) -> None:
    stored = (taught_by(teacher), "distillation.fixed_augmentations=1", "distillation.cached=true", "epochs=1")
    kept = Path(train(tiny_config(*stored)).run.path.parent) / "teacher_outputs"
    (first,) = kept.glob("*/outputs.json")
    assert "added" not in json.loads(first.read_text())["key"]["augment"], "as in the keys of outputs from before"
    for settings in ((), (HIDES,), (HIDES,), (HIDES.replace("0.5", "0.9"),)):
        train(tiny_config(*stored, *settings))
    assert len(list(kept.glob("*/outputs.json"))) == 3


def test_a_name_alone_takes_the_defaults(tiny_config: MakeConfig, tmp_path: Path) -> None:
    named = tiny_config("data.augment.added.hidden_joints=").data.augment.added
    assert named == {"hidden_joints": {"probability": 0.5, "share": 0.2}}
