"""The command `train`: what it says beside what the run itself logs."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY

import last.training.seeds  # noqa: F401 - which takes up the true `train` before a test puts another in its place
from last.cli import train as command
from last.training import session
from last.training.run_folder import RunFolder
from last.training.stop import Stop, StopWatch


@pytest.mark.parametrize(("reason", "code"), [(Stop.TIME, 0), (Stop.INTERRUPT, 130), (Stop.TERMINATE, 143)])
def test_a_stopped_training_says_how_to_go_on(
    cli: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reason: Stop, code: int
) -> None:
    stopped = session.Result(RunFolder(tmp_path), {}, reason)
    monkeypatch.setattr(session, "train", lambda *_, **__: stopped)
    result = cli("train", "--model", "nano_e", "--dataset", "synthetic")
    assert result.code == code
    assert result.out == f"To go on: python -m last train --resume {tmp_path}\n"


@pytest.fixture
def tiny(cli: Callable, data_yaml: Path, tmp_path: Path) -> Callable:
    """Return a function that runs a tiny `last train <arguments>`."""
    roots = ["--data_root", data_yaml.parent / "data", "--output_root", tmp_path / "runs", "--env", "local"]
    given = [*roots, "--device", "cpu", "--model", "nano_e", "--dataset", data_yaml, "--set", *TINY, "epochs=2"]
    return lambda *arguments: cli("train", *given, *arguments)


def test_a_training_ends_with_where_its_pictures_are(tiny: Callable, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = tiny()
    (run,) = (tmp_path / "runs").glob("run-*")
    assert result.out.splitlines()[-2:] == [
        f"The training curve is in {run / 'training_curve.png'}, the confusion matrix of its last test in "
        "confusion.png beside it",
        f"The run is in {run}",
    ]


def test_a_stopped_training_says_where_its_pictures_are_before_how_to_continue(
    tiny: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    looks = iter(range(100))
    monkeypatch.setattr(StopWatch, "reason", property(lambda _: Stop.TIME if next(looks) > 4 else None))
    first, second = tiny().out.splitlines()
    assert first.startswith("The training curve is in ")
    assert second.startswith("To go on: ")


def test_every_seed_leaves_its_pictures(tiny: Callable, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    tiny("--seeds", "0,1")
    assert len(list((tmp_path / "runs").glob("run-*/training_curve.png"))) == 2


def test_the_command_of_tensorboard_is_told_where_there_is_something_to_see(tiny: Callable, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    out = tiny("tensorboard=true").out
    (run,) = (tmp_path / "runs").glob("run-*")
    assert f"\nIn TensorBoard: tensorboard --logdir {run}\n" in out


def test_without_tensorboard_its_command_is_not_told(tiny: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda _: None)
    assert "TensorBoard" not in tiny("tensorboard=true").out


def test_without_options_all_that_is_missing_is_one_message(cli: Callable) -> None:
    result = cli("train")
    assert result.code == 2
    assert result.err.startswith("error: Say with --model and --dataset what to train")
    assert len(result.err.splitlines()) == 1
