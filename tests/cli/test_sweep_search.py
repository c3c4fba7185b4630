"""`sweep --search` on the command line, once with real trainings in processes of their own."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY, CommandResult
from sweep_probes import SweepTrainings

Cli = Callable[..., CommandResult]
SEARCH = ("--search", "learning_rate=0.01..0.2", "nesterov=true,false")


@pytest.fixture
def options(data_yaml: Path, tmp_path: Path) -> tuple[object, ...]:
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", tmp_path / "runs", "--device", "cpu")
    settings = ("--set", *TINY, "validation=split", "validation_fraction=0.4")
    return ("sweep", "--model", "nano_e", "--dataset", data_yaml, "--epochs", 1, *roots, *settings)


@pytest.mark.long
@pytest.mark.usefixtures("coarse_pictures")
def test_a_search_trains_all_that_there_is_and_its_recipe_can_be_trained(
    cli: Cli, options: tuple[object, ...], data_yaml: Path, tmp_path: Path
) -> None:
    result = cli(*options, "--search", "nesterov=true,false", "--budget_hours", 1, "--jobs", 2)
    assert result.code == 0, result.err
    assert "Searched: nesterov: true, false." in result.err
    assert "2 epochs (100%)" in result.err
    folder = tmp_path / "runs" / "search-tiny-nano_e"
    assert {path.name for path in folder.iterdir()} >= {"search.md", "search.json", "search.png", "best.yaml", "xsub"}
    assert "Best: " in result.out
    assert "To train it in full: " in result.out
    assert json.loads((folder / "search.json").read_text())["best"] is not None
    roots = options[options.index("--data_root") : options.index("--set")]
    best = cli("train", "--config", folder / "best.yaml", "--dataset", data_yaml, *roots)
    assert best.code == 0, best.err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (SEARCH, "--search needs the time that it may take"),
        (("--budget_hours", 1), "--budget_hours is of a search"),
        ((*SEARCH, "--budget_hours", 1, "--variant", "a", "epochs=2"), "Leave --variant or --search out"),
        ((*SEARCH, "--budget_hours", 1, "--max_hours", 1), "Leave --max_hours out"),
        ((*SEARCH, "--budget_hours", 0), "should be a number of hours above 0"),
        ((*SEARCH, "epochs=1,2", "--budget_hours", 1), "epochs is given by --epochs and by --search"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(
    cli: Cli, options: tuple[object, ...], sweep_trainings: SweepTrainings, given: tuple[object, ...], message: str
) -> None:
    result = cli(*options, *given)
    assert result.code == 2
    assert message in result.err
    assert not sweep_trainings.trained


def test_a_search_on_the_reported_part_is_refused(
    cli: Cli, options: tuple[object, ...], sweep_trainings: SweepTrainings
) -> None:
    result = cli(*options[:-2], *SEARCH, "--budget_hours", 1)
    assert result.code == 2
    assert "--set validation=split" in result.err
    assert not sweep_trainings.trained
