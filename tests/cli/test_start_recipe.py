"""The settings of the training that `start` does, and the advice for a longer one."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from last.cli.start_recipe import longer_training_advice, training_options, write_recipe
from last.data.store.clip import Clip
from last.data.store.reader import Store, write_store
from last.inspection import student_training
from last.runs.folder import RunFolder
from last.settings.data import data_settings
from last.settings.run import RunConfig
from last.settings.splits import FoldChoice
from last.utils.config import read_yaml
from last.utils.errors import TrainingDiverged

YAML = """
data:
  name: gestures
  layout: coco17
  format: folder
  classes: [wave, clap]
  split: xsub
  protocols: {xsub: {by: subject, train: [1]}}
"""


def store_of(folder: Path, frames: int) -> Store:
    (folder / "gestures.yaml").write_text(YAML)
    random = np.random.default_rng(0)
    clips = [
        Clip(
            f"{label}_{number}",
            random.normal(size=(1, frames, 17, 3)).astype(np.float32),
            np.ones((1, frames), np.bool_),
            label,
            subject=1 + number % 2,
        )
        for label in range(2)
        for number in range(400)
    ]
    return write_store(folder / "gestures", clips, name="gestures", layout="coco17", classes=["wave", "clap"])


@pytest.mark.parametrize(("frames", "input_frames"), [(30, 32), (80, 64)])
def test_the_speed_is_that_of_the_frames_the_model_and_the_clips_of_the_training(
    frames: int, input_frames: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[tuple[int, str, int]] = []

    def clips_per_second(_: Store, config: RunConfig, clips: np.ndarray) -> float:
        measured.append((config.input_frames, config.model.name, len(clips)))
        return 200.0

    monkeypatch.setattr(student_training, "clips_per_second", clips_per_second)
    store, recipe = store_of(tmp_path, frames), tmp_path / "recipe.yaml"
    arguments = Namespace(minutes=1.0, model="small_e", path="gestures", finetune=None, seed=0)
    dataset = str(tmp_path / "gestures.yaml")
    write_recipe(arguments, store, data_settings(dataset), None, dataset, recipe)
    assert measured == [(input_frames, "small_e", 400)]
    written = read_yaml(recipe)
    assert written["epochs"] * written["repeats_per_epoch"] == 19  # 12,000 clips, 360 + (40 + 400 + 360) / 3 a pass
    write_recipe(arguments, store, data_settings(dataset), FoldChoice("subject", 2, 1), dataset, recipe)
    assert len(measured) == 1, "a recipe that is there is kept"


def test_a_training_that_diverges_at_once_is_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: object) -> float:
        raise TrainingDiverged("NaN")

    monkeypatch.setattr(student_training, "clips_per_second", diverge)
    arguments = Namespace(minutes=5.0, model="nano_e", path="gestures", finetune=None, seed=0)
    store, dataset = store_of(tmp_path, 30), str(tmp_path / "gestures.yaml")
    write_recipe(arguments, store, data_settings(dataset), None, dataset, tmp_path / "recipe.yaml")
    assert read_yaml(tmp_path / "recipe.yaml")["epochs"] > 10


def test_the_speed_is_that_of_the_middle_one_of_three_short_timings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, config = store_of(tmp_path, 9), student_training.student_settings(RunConfig().data)
    assert student_training.clips_per_second(store, config, np.arange(40)) > 0
    seconds = iter([0.2, 8.0, 0.25])
    monkeypatch.setattr(student_training.Students, "step_seconds", lambda *_: next(seconds))
    assert student_training.clips_per_second(store, config, np.arange(40)) == config.batch_size / 0.25


def test_a_longer_training_is_advised_with_the_options_of_the_first_and_its_minutes(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    arguments = Namespace(finetune="old.pth", seed=3)
    options = training_options(arguments, tmp_path / "my out", "a.yaml", tmp_path / "store", FoldChoice("camera", 3, 1))
    assert longer_training_advice(run, options) == {}
    run.summary.write_text(json.dumps({"train_seconds": 150.0}))
    run.config.write_text("epochs: 35\nrepeats_per_epoch: 2\n")
    ((what, command),) = longer_training_advice(run, options).items()
    assert what == "train for longer, about 10 minutes on this machine"
    assert command == (
        f"train --config '{tmp_path / 'my out' / 'recipe.yaml'}' --dataset a.yaml --seed 3 "
        f"--data_root {tmp_path / 'store'} --output_root '{tmp_path / 'my out' / 'runs'}' "
        "--split_by camera --folds 3 --fold 1 --init_from old.pth --set repeats_per_epoch=8"
    )
