"""The command `train`: its own output beside the run's log."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from conftest import TINY

import last.experiments.seeds  # noqa: F401 - which takes up the true `train` before a test puts another in its place
from last.cli import suggestions
from last.cli import train as command
from last.experiments import run as experiment
from last.models.registry import family_config
from last.plots import figures
from last.runs.folder import RunFolder
from last.runs.logbook import read_rows
from last.runtime.stop_requests import Stop, StopWatch
from last.settings.run import RunConfig
from last.utils.aliases import ALIASES
from last.utils.dotted_keys import flatten
from last.utils.renamed_keys import RENAMED_KEYS

ENDINGS = [(Stop.TIME, 0), (Stop.HANG_UP, 129), (Stop.INTERRUPT, 130), (Stop.TERMINATE, 143)]


@pytest.mark.parametrize(("reason", "code"), ENDINGS)
def test_a_stopped_training_says_how_to_resume(
    cli: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reason: Stop, code: int
) -> None:
    stopped = experiment.Result(RunFolder(tmp_path), {}, reason)
    monkeypatch.setattr(experiment, "train", lambda *_, **__: stopped)
    result = cli("train", "--model", "nano_e", "--dataset", "synthetic")
    assert result.code == code
    assert result.out == f"To resume: python -m last train --resume {tmp_path}\n"


@pytest.fixture
def tiny(cli: Callable, data_yaml: Path, tmp_path: Path) -> Callable:
    """Return a function that runs a tiny `last train <arguments>`."""
    roots = ["--data_root", data_yaml.parent / "data", "--output_root", tmp_path / "runs", "--env", "local"]
    given = [*roots, "--device", "cpu", "--model", "nano_e", "--dataset", data_yaml, "--set", *TINY, "epochs=2"]
    return lambda *arguments: cli("train", *given, *arguments)


def test_a_training_ends_with_where_its_pictures_are(tiny: Callable, tmp_path: Path, coarse_pictures: None) -> None:
    result = tiny()
    (run,) = (tmp_path / "runs").glob("run-*")
    assert result.out.splitlines()[-2:] == [
        f"The training curve is in {run / 'training_curve.png'}, the confusion matrix of its last test in "
        "confusion.png beside it",
        f"The run is in {run}",
    ]


def test_the_last_table_has_the_title_of_the_run(tiny: Callable) -> None:
    title = "nano_e of bone, joint_embedding on tiny"
    changes = ("model.streams=[bone]", "model.joint_embedding=true", "distillation.peers=1", "--epochs", 1)
    shown = tiny("--set", *changes).out
    assert f"{title} xsub, trained with 1 peer" in shown
    assert shown.count("With 3 classes top-5 counts every clip that has a score") == 1
    several = tiny("--set", *changes, "--split_by", "file", "--folds", 2)
    assert f"{title}, trained with 1 peer" in several.out, several.err


def test_a_stopped_training_says_where_its_pictures_are_before_how_to_continue(
    tiny: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    looks = iter(range(100))
    monkeypatch.setattr(StopWatch, "reason", property(lambda _: Stop.TIME if next(looks) > 4 else None))
    first, second = tiny().out.splitlines()
    assert first.startswith("The training curve is in ")
    assert second.startswith("To resume: ")


def test_every_seed_leaves_its_pictures(tiny: Callable, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    tiny("--seeds", "0,1")
    assert len(list((tmp_path / "runs").glob("run-*/training_curve.png"))) == 2


@pytest.mark.parametrize("options", [[], ["--seeds", "0,1"], ["--quiet"]])
def test_missing_matplotlib_is_reported_once_and_before_anything_is_trained(
    tiny: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = tiny(*options)
    assert (result.code, result.err.count("last-har[plots]")) == (0, 1)
    assert result.err.startswith("warning: Drawing the run's curve and confusion matrix needs matplotlib")
    assert not list((tmp_path / "runs").rglob("*.png"))


def test_of_several_processes_only_the_first_one_needs_matplotlib(
    tiny: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(figures, "draws_or_warns", lambda _: pytest.fail("it was asked for matplotlib"))
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(experiment, "train", lambda *_, **__: experiment.Result(RunFolder(tmp_path), {}))
    assert tiny().err == ""


def test_the_command_of_tensorboard_is_reported_where_there_is_something_to_see(tiny: Callable, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    out = tiny("tensorboard=true").out
    (run,) = (tmp_path / "runs").glob("run-*")
    assert f"\nIn TensorBoard: tensorboard --logdir {run}\n" in out


def test_without_tensorboard_its_command_is_not_printed(tiny: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda _: None)
    assert "TensorBoard" not in tiny("tensorboard=true").out


@pytest.mark.parametrize("command", ["train", "split"])
def test_of_a_data_set_that_is_not_prepared_the_command_that_prepares_it_has_the_yaml_as_it_was_typed(
    cli: Callable, data_yaml: Path, tmp_path: Path, command: str
) -> None:
    yaml = tmp_path / "my data.yaml"
    yaml.write_text(data_yaml.read_text())
    model = ["--model", "nano_e"] if command == "train" else []
    result = cli(command, *model, "--dataset", yaml, "--data_root", tmp_path / "none", "--env", "local")
    assert result.code == 2
    assert f"python -m last preprocess --dataset '{yaml}' --raw DIR" in result.err


def test_without_options_all_that_is_missing_is_one_message(cli: Callable) -> None:
    result = cli("train")
    assert result.code == 2
    assert result.err.startswith("error: Choose what to train with --model and --dataset")
    assert len(result.err.splitlines()) == 1


@pytest.fixture
def run(trained_run: Callable[..., RunFolder]) -> RunFolder:
    return trained_run("epochs=1")


def test_an_option_given_by_name_is_as_deliberate_as_set_when_resuming(cli: Callable, run: RunFolder) -> None:
    result = cli("train", "--epochs", 2, "--batch_size", 2, "--resume", run.path)
    assert result.code == 0, result.err
    assert "epochs is changed from 1 to 2." in result.err
    assert "batch_size is changed from 4 to 2." in result.err
    assert len(read_rows(run.path / "metrics.jsonl")) == 2


def test_the_latest_run_can_be_resumed_by_that_name(cli: Callable, run: RunFolder) -> None:
    result = cli("train", "--resume", "latest", "--epochs", 2, "--output_root", run.path.parent)
    assert result.code == 0, result.err
    assert f"Run: {run.path}" in result.err
    assert len(read_rows(run.path / "metrics.jsonl")) == 2


def test_fine_tuning_starts_from_the_folder_of_a_run(cli: Callable, run: RunFolder, data_yaml: Path) -> None:
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", run.path.parent, "--device", "cpu")
    tiny = ("--model", "nano_e", "--dataset", data_yaml, *roots, "--set", *TINY, "epochs=1", "--init_from")
    for named in (run.path, "latest"):
        result = cli("train", *tiny, named)
        assert result.code == 0, result.err
        assert "tensors from" in result.err


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["--learning_rate", "0.1"], "--set learning_rate=0.1"),
        (["--lr=0.1"], "--set learning_rate=0.1"),
        (["--workers", "4"], "--set hardware.num_workers=4"),
        (["--num-workers", "4"], "--set hardware.num_workers=4"),
        (["--rotation_degrees", "[0,0,0]"], "--set data.augment.rotation_degrees=[0,0,0]"),
        (["--label_smothing"], "--set label_smoothing=VALUE"),
        (["--epoch", "3"], "--epochs"),
        (["--work-dir", "out"], "--output_root"),
    ],
)
def test_an_option_that_is_a_key_or_has_another_name_elsewhere_gets_the_right_hint(
    cli: Callable, arguments: list[str], meant: str
) -> None:
    result = cli("train", "--model", "nano_e", "--dataset", "synthetic", *arguments)
    assert result.code == 2
    assert f"(did you mean '{meant}'?)" in result.err


def test_every_key_of_the_hints_is_one_that_can_be_set() -> None:
    known = set(flatten(asdict(RunConfig())))
    known |= {f"model.{key}" for name in ("last_e", "last_v2") for key in flatten(asdict(family_config(name)))}
    assert {*ALIASES.values(), *suggestions._keys()} <= known


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--dropout", "0.1"], "'--set model.dropout=0.1'"),
        (["train", "--no_amp"], "'--set amp=false'"),
        (["train", "--warmup", "3"], "'--set warmup_epochs=3'"),
        (["train", "--channels", "[8]"], "'--set model.channels=[8]'"),
        (["train", "--ema", "0.99"], "'--set ema.decay=0.99'"),
        (["train", "--save_dir", "x"], "'--output_root'"),
        (["preprocess", "--num_workers", "3"], "'--workers'"),
        (["preprocess", "--input", "x"], "'--raw'"),
        (["train", "--set", "lr=0.1"], "Did you mean 'learning_rate'?"),
        (["train", "--set", "workers=2"], "Did you mean 'hardware.num_workers'?"),
    ],
)
def test_hints_name_what_the_command_has(cli: Callable, arguments: list[str], message: str) -> None:
    required = ["--dataset", "synthetic", *(["--raw", "x"] if arguments[0] == "preprocess" else ["--model", "nano_e"])]
    result = cli(arguments[0], *required, *arguments[1:])
    assert result.code == 2
    assert message in result.err


def test_a_word_that_is_no_option_gets_no_hint(cli: Callable) -> None:
    result = cli("train", "--model", "nano_e", "--dataset", "synthetic", "foo")
    assert (result.code, "did you mean" in result.err) == (2, False)


def test_an_old_name_of_a_key_is_known_as_it_was_written_and_not_if_it_is_only_similar() -> None:
    options = ("--model", "--set")
    for old, new in RENAMED_KEYS.items():
        assert suggestions.suggestion(f"--{old.rpartition('.')[2]}", "3", options) == f"--set {new}=3"
    for similar in ("raw", "draw", "repea", "residenc"):
        assert not any(
            f" {new}=" in suggestions.suggestion(f"--{similar}", "", options) for new in RENAMED_KEYS.values()
        )


def test_one_seed_and_several_are_refused_together(tiny: Callable) -> None:
    result = tiny("--seed", 1, "--seeds", "1,2")
    assert (result.code, result.err) == (2, "error: Give --seed or --seeds, not both.\n")


def test_a_stopped_training_of_several_seeds_is_resumed_by_its_own_command(
    tiny: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StopWatch, "reason", Stop.TIME)
    result = tiny("--seeds", "1,2")
    assert "To resume: the same command with --resume auto" in result.out
