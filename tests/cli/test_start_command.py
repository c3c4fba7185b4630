"""`start`: the steps from recordings to an exported student, each of them a command that a user could type."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from last.cli import start
from last.runs.folder import RunFolder
from last.utils.config import read_yaml

Command = Callable[..., Any]


def write_recordings(folder: Path, classes: int = 3, people: int = 4, takes: int = 3, frames: int = 24) -> Path:
    """Write recordings of a body that sways in a way of its class."""
    random = np.random.default_rng(0)
    body = random.normal(0, 0.2, (17, 3)) + np.array([0, 1.0, 2.0])
    for label in range(classes):
        (folder / f"class{label}").mkdir(parents=True, exist_ok=True)
        for person in range(people):
            for take in range(takes):
                swing = np.sin(np.arange(frames) / (2 + label))[:, None, None] * (0.2 + 0.1 * label)
                joints = body + swing + random.normal(0, 0.01, (frames, 17, 3))
                np.save(folder / f"class{label}" / f"take{take}_P00{1 + person}.npy", joints)
    return folder


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the commands from the training on instead of running them."""
    seen: list[list[str]] = []
    command = start._Commands.command

    def record(self: start._Commands, title: str, name: str, *arguments: object) -> int:
        seen.append([name, *map(str, arguments)])
        if name == "inspect":
            arguments = (*arguments, "--no_training")
        return command(self, title, name, *arguments) if name in ("preprocess", "inspect") else 0

    monkeypatch.setattr(start._Commands, "command", record)
    monkeypatch.setattr(start, "_run", lambda out: out / "runs" / "run-1")
    monkeypatch.setattr(RunFolder, "read_config", lambda _: {"validation": "test"})
    return seen


def test_recordings_are_prepared_inspected_trained_evaluated_and_exported(
    cli: Command, commands: list[list[str]], tmp_path: Path
) -> None:
    raw = write_recordings(tmp_path / "gestures")
    done = cli("start", raw, "--layout", "coco17", "--force")
    assert done.code == 0, done.err
    assert [each[0] for each in commands] == ["preprocess", "inspect", "train", "evaluate", "export"]
    out = Path("gestures-start").absolute()
    assert (out / "data" / "gestures" / "store.json").exists() and (out / "inspect.html").exists()
    recipe = read_yaml(out / "recipe.yaml")
    assert recipe["model"]["name"] == "nano_e" and recipe["input_frames"] == 32
    assert "--init_from" not in commands[2] and "--resume" in commands[2]
    assert f"last.Recognizer('{out / 'model.onnx'}')" in done.out


def test_a_recipe_that_is_there_is_kept_and_weights_are_fine_tuned(
    cli: Command, commands: list[list[str]], tmp_path: Path
) -> None:
    raw, out = write_recordings(tmp_path / "gestures"), tmp_path / "out"
    out.mkdir()
    (out / "recipe.yaml").write_text("model: {name: small_e}\n")
    done = cli("start", raw, "--layout", "coco17", "--force", "--out", out, "--finetune", "old.pth")
    assert done.code == 0, done.err
    assert (out / "recipe.yaml").read_text() == "model: {name: small_e}\n"
    train = commands[2]
    assert train[train.index("--init_from") + 1] == "old.pth"


@pytest.mark.parametrize(("validation", "checkpoint"), [("split", "best_model.pth"), ("test", "last.pth")])
def test_the_test_clips_never_choose_the_checkpoint(
    validation: str, checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run-1")
    run.checkpoints.mkdir(parents=True)
    run.config.write_text(f"validation: {validation}\n")
    for path in (run.best, run.last):
        path.touch()
    monkeypatch.setattr(start, "_run", lambda _: run.path)
    assert start._trained(tmp_path).name == checkpoint


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def test_names_with_dots_are_started_and_then_as_a_prepared_data_set(
    cli: Command, commands: list[list[str]], tmp_path: Path
) -> None:
    raw = write_recordings(tmp_path / "poses.v1.2026")
    done = cli("start", raw, "--layout", "coco17", "--force")
    assert done.code == 0, done.err
    dataset, store = Path(option(commands[2], "--dataset")), Path(option(commands[2], "--data_root"))
    assert dataset.exists() and (store / "store.json").exists()
    commands.clear()
    done = cli("start", store, "--force", "--out", tmp_path / "again")
    assert done.code == 0, done.err
    assert [each[0] for each in commands] == ["inspect", "train", "evaluate", "export"]
    assert (option(commands[1], "--dataset"), option(commands[1], "--data_root")) == (str(dataset), str(store))
    assert f"--dataset {dataset} --data_root {store}" in done.out.partition("Next:")[2]
    dataset.unlink()
    done = cli("start", store)
    assert done.code == 2 and f"there is no {dataset.name} beside it" in done.err


def test_what_would_spoil_a_training_stops_it(cli: Command, commands: list[list[str]], tmp_path: Path) -> None:
    raw = write_recordings(tmp_path / "gestures")
    for path in sorted(raw.glob("class1/*.npy")):
        np.save(path, np.repeat(np.load(path)[:1], 24, axis=0))  # nothing moves
    done = cli("start", raw, "--layout", "coco17")
    assert done.code == 5
    assert "--force trains anyway" in done.out
    assert [each[0] for each in commands] == ["preprocess", "inspect"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("gone",), "There is no gone"),
        (("empty",), "an empty folder: it holds no file. Put the recordings there"),
        (("one", "--layout", "coco17"), "There is one class only"),
        (("synthetic",), "Name the recordings of synthetic with --raw"),
        (("one", "--raw", "one"), "--raw is for a data YAML"),
        (("one", "--minutes", "0"), "--minutes"),
    ],
)
def test_what_cannot_be_started_is_told_before_anything_long(
    arguments: tuple[str, ...], problem: str, cli: Command
) -> None:
    Path("empty").mkdir()
    write_recordings(Path("one"), classes=1)
    done = cli("start", *arguments)
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert problem in done.err
