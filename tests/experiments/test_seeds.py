"""The same training with several seeds."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from last.experiments import series
from last.experiments.run import Result
from last.experiments.seeds import train_seeds
from last.runs.folder import RunFolder
from last.runtime.stop_requests import Stop, StopWatch
from last.settings.run import RunConfig
from last.tasks.measures import CLASSIFICATION
from last.utils.errors import TimeIsOver, UserError

MakeConfig = Callable[..., RunConfig]


def test_series_ends_with_mean_and_deviation(tiny_config: MakeConfig) -> None:
    results, file = train_seeds(tiny_config("epochs=1"), [0, 3])
    assert [each.summary["seed"] for each in results] == [0, 3]
    figures = json.loads(file.read_text())
    accuracies = [each.summary["final_top1"] for each in results]
    assert figures["mean"]["final_top1"] == pytest.approx(sum(accuracies) / 2)
    assert figures["standard_deviation"]["final_top1"] == pytest.approx(abs(accuracies[0] - accuracies[1]) / 2**0.5)
    assert file.name == "seeds-nano_e-tiny-xsub-0_3.json"


def test_every_seed_gets_what_is_to_happen_at_its_end(tiny_config: MakeConfig) -> None:
    ended: list[Path] = []
    results, _ = train_seeds(tiny_config("epochs=1"), [0, 1], on_end=lambda run: ended.append(run.path))
    assert ended == [each.run.path for each in results]


def test_time_is_that_of_the_whole_series(tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def train(config: RunConfig, *_: object, started_at: float, **__: object) -> Result:
        started.append((config.seed, started_at))
        figures = dict.fromkeys(CLASSIFICATION.figures(), 1.0)
        return Result(RunFolder(Path()), {"seed": config.seed, **figures}, Stop.TIME if config.seed == 2 else None)

    monkeypatch.setattr(series, "train", train)
    config = tiny_config()
    results, _ = train_seeds(config, [1, 2, 3])
    assert [seed for seed, _ in started] == [1, 2], "what follows a run that stopped is not begun"
    assert len({started_at for _, started_at in started}) == 1
    assert results[-1].stopped is Stop.TIME


@pytest.mark.parametrize("preparing", [False, True])
def test_a_series_whose_time_ends_between_two_runs_stops_and_keeps_the_finished_ones(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, *, preparing: bool
) -> None:
    begun: list[int] = []

    def train(config: RunConfig, *_: object, **__: object) -> Result:
        begun.append(config.seed)
        if config.seed == 2:
            raise TimeIsOver("while its data were prepared")
        monkeypatch.setattr(StopWatch, "is_over", not preparing)  # as while its pictures are drawn
        return Result(RunFolder(Path()), {"seed": config.seed, **dict.fromkeys(CLASSIFICATION.figures(), 1.0)})

    monkeypatch.setattr(series, "train", train)
    results, file = train_seeds(tiny_config("max_hours=1"), [1, 2, 3])
    assert begun == ([1, 2] if preparing else [1])
    assert [each.summary["seed"] for each in results] == [1]
    assert results[-1].stopped is Stop.TIME
    assert file.exists()
    begun.clear()
    with pytest.raises(TimeIsOver):
        train_seeds(tiny_config("max_hours=1"), [2, 3])


@pytest.mark.parametrize(
    ("seeds", "resume", "message"), [([1, 1], "", "--seeds has a duplicate"), ([1, 2], "runs/run-1", "--resume auto")]
)
def test_impossible_series_are_refused(tiny_config: MakeConfig, seeds: list[int], resume: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train_seeds(tiny_config(), seeds, resume)
