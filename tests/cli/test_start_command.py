"""`start`: the steps from recordings to an exported student, each of them a command that a user could type."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from last.cli import start
from last.cli.start_record import RecordedCommands
from last.data import open_store
from last.data.loading import placement
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
                name = f"take{take}_P00{1 + person}C00{1 + take}"
                np.save(folder / f"class{label}" / f"{name}.npy", joints)
    return folder


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the commands from the training on instead of running them."""
    seen: list[list[str]] = []
    call = RecordedCommands.call

    def record(self: RecordedCommands, name: str, *arguments: object) -> int:
        seen.append([name, *map(str, arguments)])
        if name == "inspect":
            arguments = (*arguments, "--no_training")
        return call(self, name, *arguments) if name in ("preprocess", "inspect") else 0

    monkeypatch.setattr(RecordedCommands, "call", record)
    monkeypatch.setattr(start, "_run", lambda out: out / "runs" / "run-1")
    monkeypatch.setattr(start, "_refuse_unusable_weights", lambda _: None)
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
    assert "--init_from" not in commands[2] and "--resume" not in commands[2]
    assert cli("start", raw, "--layout", "coco17", "--force").code == 0
    assert commands[-3][0] == "train" and commands[-3][-2:] == ["--resume", "auto"]
    assert f"last.Recognizer('{out / 'model.onnx'}')" in done.out


def test_folders_that_differ_behind_a_dot_have_folders_of_their_own(
    cli: Command, commands: list[list[str]], tmp_path: Path
) -> None:
    raw = write_recordings(tmp_path / "session.1")
    assert cli("start", raw, "--layout", "coco17", "--force").code == 0
    out = Path("session.1-start").absolute()
    assert (out / "data" / "session.1" / "store.json").exists() and (out / "data" / "session.1.yaml").exists()


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


def test_the_model_the_split_and_the_name_are_chosen(cli: Command, commands: list[list[str]], tmp_path: Path) -> None:
    raw = write_recordings(tmp_path / "gestures")
    options = ("--model", "small_e", "--split_by", "camera", "--name", "by_camera", "--source_fps", "25")
    done = cli("start", raw, "--layout", "coco17", "--force", *options)
    assert done.code == 0, done.err
    out = Path("by_camera-start").absolute()
    assert read_yaml(out / "recipe.yaml")["model"]["name"] == "small_e"
    assert read_yaml(out / "data" / "by_camera.yaml")["data"]["source_fps"] == 25
    train = commands[2]
    assert [option(train, each) for each in ("--split_by", "--folds", "--fold")] == ["camera", "3", "1"]
    assert Path(option(train, "--data_root")) == out / "data" / "by_camera"


@pytest.mark.long
def test_a_quiet_start_prints_warnings_and_the_result_only(
    cli: Command, commands: list[list[str]], tmp_path: Path
) -> None:
    raw = write_recordings(tmp_path / "gestures")
    np.save(raw / "class0" / "take9_P001C001.npy", np.load(raw / "class0" / "take0_P001C001.npy"))
    done = cli("start", raw, "--layout", "coco17", "--quiet", "--force")
    assert done.code == 0, done.err
    out = Path("gestures-start").absolute()
    *warnings, model, everything = done.out.splitlines()
    assert (model, everything) == (f"Exported model: {out / 'model.onnx'}", f"Everything is in {out}")
    beginnings = ("would spoil training: ", "warning: ", "Before training: ")
    assert warnings and all(line.startswith(beginnings) for line in warnings)


def test_a_second_start_repeats_no_step_and_says_so(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "import_fault", lambda _: "it is slow")  # no export
    raw, out = write_recordings(tmp_path / "gestures", takes=2), tmp_path / "out"
    out.mkdir()
    (out / "recipe.yaml").write_text("{model: {name: nano_e}, epochs: 1, warmup_epochs: 0, input_frames: 8}\n")
    arguments = ("start", raw, "--layout", "coco17", "--force", "--out", out)
    assert cli(*arguments).code == 0
    again = cli(*arguments)
    assert again.code == 0, again.err
    assert "Nothing was trained: everything was done already." in again.out
    assert again.out.count("Done already") >= 2 and "epoch  0" not in again.out
    (out / "evaluation" / "metrics.json").unlink()
    (out / "recipe.yaml").write_text("{model: {name: nano_e}, epochs: 2, warmup_epochs: 0, input_frames: 8}\n")
    changed = cli(*arguments)
    assert changed.code == 0, changed.err
    assert "Nothing was trained" not in changed.out and (out / "evaluation" / "metrics.json").exists()
    refused = cli(*arguments, "--minutes", "9")
    assert refused.code == 2 and "was started with --minutes 5" in refused.err
    taken = next(raw.rglob("*.npy"))
    swaying = np.random.default_rng(1).normal(0, 0.3, (24, 17, 3)).cumsum(axis=0)
    np.save(taken.with_name("another_P001.npy"), swaying)
    added = cli(*arguments)
    assert added.code == 0, added.err
    assert "have changed since the last call: they are prepared again" in added.out
    assert "Nothing was trained" not in added.out and len(open_store(out / "data" / "gestures")) == 25


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


@pytest.mark.parametrize(
    ("accuracies", "checkpoint"), [((90, 100, 100), "last.pth"), ((90, 100, 95), "best_model.pth")]
)
def test_the_last_epoch_is_used_if_it_is_as_good_as_the_best_on_the_held_out_clips(
    accuracies: tuple[float, ...], checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run-1")
    run.checkpoints.mkdir(parents=True)
    run.config.write_text("validation: split\n")
    rows = [f'{{"epoch": {epoch}, "val_top1": {value}}}' for epoch, value in enumerate(accuracies)]
    run.logbook.write_text("\n".join(rows) + "\n")
    for path in (run.best, run.last):
        path.touch()
    monkeypatch.setattr(start, "_run", lambda _: run.path)
    assert start._trained(tmp_path).name == checkpoint


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


@pytest.mark.long
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
    dataset.unlink()
    done = cli("start", store)
    assert done.code == 2 and f"there is no {dataset.name} beside it" in done.err


def test_weights_that_cannot_be_read_are_refused_before_anything_is_prepared(cli: Command, tmp_path: Path) -> None:
    raw, out = write_recordings(tmp_path / "gestures"), tmp_path / "out"
    refused = cli("start", raw, "--layout", "coco17", "--finetune", tmp_path / "nothing.pth", "--out", out)
    assert refused.code == 2 and "Cannot read the checkpoint" in refused.err and not out.exists()


def test_who_stops_it_is_told_how_to_go_on(cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(start, "_prepare", stop)
    stopped = cli("start", write_recordings(tmp_path / "gestures"), "--layout", "coco17")
    assert stopped.code == 130 and "To go on from here: the same `start` again." in stopped.out


def test_what_would_spoil_a_training_stops_it(cli: Command, commands: list[list[str]], tmp_path: Path) -> None:
    raw = write_recordings(tmp_path / "gestures")
    for path in sorted(raw.glob("class1/*.npy")):
        np.save(path, np.repeat(np.load(path)[:1], 24, axis=0))  # nothing moves
    done = cli("start", raw, "--layout", "coco17")
    assert done.code == 5
    assert "--force trains anyway" in done.out
    assert [each[0] for each in commands] == ["preprocess", "inspect"]


def test_clips_of_one_frame_stop_it_before_the_training(
    cli: Command, commands: list[list[str]], tmp_path: Path
) -> None:
    done = cli("start", write_recordings(tmp_path / "stills", frames=1), "--layout", "coco17")
    assert done.code == 5 and "have one frame, and so no movement" in done.out
    assert [each[0] for each in commands] == ["preprocess", "inspect"]


def test_clips_that_do_not_fit_into_the_memory_are_told_before_the_training(
    cli: Command, commands: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "available_memory", lambda: 1000.0)
    done = cli("start", write_recordings(tmp_path / "gestures"), "--layout", "coco17")
    assert "they stay on the disk" in done.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("gone",), "There is no gone"),
        (("empty",), "an empty folder: it holds no file. Put the recordings there"),
        (("one", "--layout", "coco17"), "There is one class only"),
        (("single", "--layout", "coco17"), "has one clip only"),
        (("one", "--name", "a/b"), "should be a plain name"),
        (("synthetic",), "Name the recordings of synthetic with --raw"),
        (("one", "--raw", "one"), "--raw goes with a data YAML"),
        (("one", "--minutes", "0"), "--minutes"),
    ],
)
def test_what_cannot_be_started_is_told_before_anything_long(
    arguments: tuple[str, ...], problem: str, cli: Command
) -> None:
    Path("empty").mkdir()
    write_recordings(Path("one"), classes=1)
    write_recordings(Path("single"), people=1, takes=1)
    done = cli("start", *arguments)
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert problem in done.err
    assert {path.name for path in Path().iterdir()} == {"empty", "one", "single"}
