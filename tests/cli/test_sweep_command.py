"""`sweep` on the command line, with real trainings in processes of their own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY, CommandResult
from sweep_probes import SweepTrainings

from last.utils.errors import TrainingDiverged, UserError

Cli = Callable[..., CommandResult]
SLOW = ("--variant", "slow", "learning_rate=0.001")


@pytest.fixture
def options(data_yaml: Path, tmp_path: Path) -> tuple[object, ...]:
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", tmp_path / "runs", "--device", "cpu")
    return ("sweep", "--model", "nano_e", "--dataset", data_yaml, "--epochs", 1, *roots, "--set", *TINY)


@pytest.mark.long
@pytest.mark.usefixtures("coarse_pictures")
def test_a_sweep_trains_side_by_side_and_shows_the_differences(
    cli: Cli, options: tuple[object, ...], tmp_path: Path
) -> None:
    result = cli(*options, *SLOW, "--jobs", 2)
    assert result.code == 0, result.err
    assert "slow" in result.out
    assert "1 of 1" in result.out
    folder = tmp_path / "runs" / "sweep-tiny-nano_e"
    assert {path.name for path in folder.iterdir()} >= {"sweep.md", "sweep.json", "sweep.png", "xsub"}
    predictions = [path.read_text() for path in folder.rglob("predictions.csv")]
    assert len(predictions) == 2
    again = cli(*options, *SLOW)
    assert again.code == 0
    assert "2 runs of 2 are done already" in again.err
    listed = cli("runs", "--output_root", tmp_path / "runs")
    assert "sweep-tiny-nano_e" in listed.out


def test_a_sweep_is_titled_as_its_runs_are(
    cli: Cli,
    options: tuple[object, ...],
    sweep_trainings: SweepTrainings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[str] = []
    monkeypatch.setattr("last.experiments.sweep.figure.draw_sweep", lambda _, title, *__: drawn.append(title))
    result = cli(*options, "model.streams=[bone]", "model.joint_embedding=true", *SLOW)
    title = "nano_e of bone, joint_embedding on tiny"
    assert title in result.out and set(drawn) <= {title}
    text = (tmp_path / "runs" / "sweep-tiny-nano_e" / "sweep.md").read_text()
    assert text.startswith(f"# Sweep of {title}: xsub\n")


def test_a_run_that_could_not_be_trained_is_an_error_at_the_end(
    cli: Cli, options: tuple[object, ...], sweep_trainings: SweepTrainings
) -> None:
    sweep_trainings.fails = lambda config: UserError("no room left") if "slow" in config.output_root else None
    result = cli(*options, *SLOW)
    assert result.code == 2
    assert "1 of 2 runs could not be trained. slow on xsub, seed 0: no room left" in result.err
    assert "50.00" in result.out, "the others are shown"


def test_a_sweep_of_which_all_runs_diverge_has_the_exit_code_of_divergence(
    cli: Cli, options: tuple[object, ...], sweep_trainings: SweepTrainings
) -> None:
    sweep_trainings.fails = lambda _: TrainingDiverged("diverged")
    assert cli(*options, *SLOW).code == 3


def test_two_variants_of_one_name_are_refused(cli: Cli, options: tuple[object, ...]) -> None:
    result = cli(*options, *SLOW, "--variant", "slow", "epochs=2")
    assert result.code == 2
    assert "--variant has a name twice: slow, slow" in result.err


def test_folds_need_what_they_divide_by(cli: Cli, options: tuple[object, ...]) -> None:
    result = cli(*options, *SLOW, "--folds", 5)
    assert result.code == 2
    assert "--folds also needs --split_by" in result.err
