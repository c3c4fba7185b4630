"""The command `sequence`: its messages, table and refusals."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from last.experiments.run import Result
from last.experiments.sequence import run as sequence
from last.runs.folder import RunFolder
from last.runtime.stop_requests import Stop
from last.settings.run import RunConfig
from last.utils.config import to_yaml
from last.utils.errors import TrainingDiverged
from last.utils.files import write_json, write_text


@pytest.fixture
def run(cli: Callable, data_yaml: Path, tmp_path: Path) -> Callable:
    """Return a function that runs a tiny `last sequence <arguments>`, whose output root is `tmp_path`."""
    roots = ["--data_root", data_yaml.parent / "data", "--output_root", tmp_path, "--env", "local", "--device", "cpu"]
    models = ["--teacher", "base", "--students", "nano_e,small_e"]
    return lambda *arguments: cli("sequence", "--dataset", data_yaml, *roots, *models, *arguments)


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every training a finished run: with a top-1 of 90 alone, and 2 more with a teacher."""

    def train(config: RunConfig, *_: object, **__: object) -> Result:
        run = RunFolder.create(Path(config.output_root))
        write_text(run.config, to_yaml(config))
        top1 = 90.0 + 2.0 * bool(config.distillation.teachers) + 0.5 * config.seed
        write_json(run.summary, {"final_top1": top1, "parameters": 1234})
        return Result(run, {})

    monkeypatch.setattr(sequence, "train", train)


def stop(monkeypatch: pytest.MonkeyPatch, reason: Stop | BaseException) -> None:
    def train(config: RunConfig, *_: object, **__: object) -> Result:
        if isinstance(reason, BaseException):
            raise reason
        return Result(RunFolder.create(Path(config.output_root)), {}, reason)

    monkeypatch.setattr(sequence, "train", train)


def test_it_ends_with_what_distillation_gains(run: Callable, finished: None, tmp_path: Path) -> None:
    result = run("--seeds", "0,1")
    assert result.code == 0
    lines = [line.split() for line in result.out.splitlines()]
    assert ["base", "(teacher)", "1,234", "90.00"] in lines
    gained = ["90.25", "±", "0.35", "92.25", "±", "0.35", "+2.00", "±", "0.00", "21", "%"]
    assert ["nano_e", "1,234", *gained] in lines
    assert result.out.splitlines()[-1] == f"The sequence is in {tmp_path / 'sequence-tiny-xsub'}"
    assert {"sequence.md", "sequence.json"} <= {path.name for path in (tmp_path / "sequence-tiny-xsub").iterdir()}


def test_every_run_is_announced(run: Callable, finished: None) -> None:
    announced = [line for line in run().err.splitlines() if line.startswith("[")]
    assert announced == [
        "[1/5] base, the teacher, on tiny xsub",
        "[2/5] nano_e alone on tiny xsub",
        "[3/5] small_e alone on tiny xsub",
        "[4/5] nano_e distilled on tiny xsub",
        "[5/5] small_e distilled on tiny xsub",
    ]


def test_it_draws_the_gain_where_matplotlib_is(
    run: Callable, finished: None, tmp_path: Path, coarse_pictures: None
) -> None:
    run()
    assert (tmp_path / "sequence-tiny-xsub" / "sequence.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_it_says_what_is_left_out(
    run: Callable, finished: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run()
    assert result.code == 0
    assert "warning: Drawing the picture needs matplotlib" in result.err
    assert "last-har[plots]" in result.err


def test_without_matplotlib_it_says_so_before_anything_is_trained(
    run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(monkeypatch, KeyboardInterrupt())
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run()
    assert result.code == 130
    assert "last-har[plots]" in result.err


def test_without_matplotlib_none_of_the_runs_says_so_again(
    run: Callable, finished: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, endings = sequence.train, []

    def watched(*arguments: Any, **options: Any) -> Result:
        endings.append(options["on_end"])
        return train(*arguments, **options)

    monkeypatch.setattr(sequence, "train", watched)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run()
    assert endings == [None] * 5


ENDINGS = [(Stop.TIME, 0), (Stop.HANG_UP, 129), (Stop.INTERRUPT, 130), (Stop.TERMINATE, 143)]


@pytest.mark.parametrize(("reason", "code"), ENDINGS)
def test_a_stopped_sequence_says_how_to_resume(
    run: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reason: Stop, code: int
) -> None:
    stop(monkeypatch, reason)
    result = run()
    assert result.code == code
    table = tmp_path / "sequence-tiny-xsub" / "sequence.md"
    assert result.out == f"Progress: {table}\nTo resume: the same command\n"


def test_an_interruption_before_the_first_step_says_so_too(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    stop(monkeypatch, KeyboardInterrupt())
    result = run()
    assert (result.code, result.out.splitlines()[-1]) == (130, "To resume: the same command")


def test_a_diverged_run_ends_it_with_its_own_exit_code(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    stop(monkeypatch, TrainingDiverged("no number"))
    assert run().code == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--students", "nano_e,tiny_e"], "There is no model 'tiny_e'"),
        (["--cached", "0"], "'0' should be an integer above 0"),
        (["--teacher_set", "epochs"], "should look like key=value"),
        (["--then", "ntu120"], "There is no prepared data set 'ntu120'"),
    ],
)
def test_bad_input_is_one_message_before_anything_is_trained(
    run: Callable, finished: None, tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert message in result.err
    assert result.err.count("error:") == 1
    assert list(tmp_path.rglob("config.yaml")) == []


def test_without_a_data_set_it_says_what_is_missing(cli: Callable) -> None:
    result = cli("sequence")
    assert result.code == 2
    assert "--dataset" in result.err


def test_options_reach_the_runs_they_are_for(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def train(config: RunConfig, *_: object, **__: object) -> Result:
        started.append(
            (config.batch_size, config.epochs, config.distillation.fixed_augmentations, config.distillation.cached)
        )
        return Result(RunFolder(Path()), {})

    monkeypatch.setattr(sequence, "train", train)
    shared = ["--epochs", "3", "--batch_size", "4", "--cached", "5"]
    run("--students", "nano_e", *shared, "--teacher_set", "batch_size=8", "--student_set", "batch_size=2")
    assert started == [(8, 3, 0, False), (2, 3, 0, False), (2, 3, 5, True)]
