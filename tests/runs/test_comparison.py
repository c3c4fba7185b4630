"""Comparison of runs: the keys in which they differ, mean and deviation over seeds, and the table."""

import csv
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from written_runs import runs_with

from last.models.last_e import LastEConfig
from last.runs.comparison import differing_keys, seed_spreads, write_comparison
from last.runs.results import Run, read_run
from last.settings.data import DataConfig, ProtocolConfig
from last.settings.run import RunConfig
from last.utils.dotted_keys import flatten
from last.utils.spread import MeanDeviation

MODEL = LastEConfig("nano_e", "last_e")
PRESENT = replace(RunConfig(), model=MODEL, data=DataConfig(protocols={"xsub": ProtocolConfig()}))
CONFIG = flatten(asdict(PRESENT))


def run_of(config: dict[str, Any], seed: int = 0) -> Run:
    return Run(Path(f"run-{seed}"), f"run-{seed}", seed=seed, state="finished", config=config)


@pytest.mark.parametrize("key", [key for key in CONFIG if key not in ("model.family", "model.name")])
def test_a_key_that_an_old_version_lacked_has_its_default(key: str) -> None:
    old = {name: value for name, value in CONFIG.items() if name != key}
    assert differing_keys([run_of(old), run_of(CONFIG)]) == {}
    assert len(seed_spreads([run_of({**old, "seed": 1}, 1), run_of(CONFIG)])) == 1


def test_a_key_that_an_old_version_lacked_differs_from_another_value_than_its_default() -> None:
    old = {name: value for name, value in CONFIG.items() if name != "data.fps"}
    assert differing_keys([run_of(old), run_of({**CONFIG, "data.fps": 30.0})]) == {"data.fps": ["0.0", "30.0"]}


def test_a_key_of_a_family_that_is_not_known_here_has_no_default() -> None:
    own = {**CONFIG, "model.family": "mine"}
    assert differing_keys([run_of({**own, "model.width": 3}), run_of(own)]) == {"model.width": ["3", "-"]}


def test_only_keys_that_differ_are_reported(tmp_path: Path) -> None:
    runs = runs_with(tmp_path, {"amp": True, "ema": {"decay": 0.9}}, {"learning_rate": 0.1, "amp": True, "note": ""})
    assert differing_keys(runs) == {
        "ema.decay": ["0.9", "0.0"],
        "learning_rate": ["0.01", "0.1"],
        "note": ["-", '""'],
    }


def test_an_unreadable_configuration_makes_no_difference(tmp_path: Path) -> None:
    runs = runs_with(tmp_path, {"seed": 0}, {"seed": 1}, {})
    (runs[2].path / "config.yaml").write_text("[")
    assert differing_keys([*runs[:2], read_run(runs[2].path)]) == {"seed": ["0", "1", "-"]}


def test_seeds_of_one_configuration_have_a_mean_and_a_spread(tmp_path: Path) -> None:
    other = {"learning_rate": 0.5, "seed": 7}
    runs = runs_with(tmp_path, {"seed": 0}, other, {"seed": 1, "device": "cpu"}, {"seed": 2, "output_root": "/x"})
    (spread,) = seed_spreads(runs)
    assert [run.seed for run in spread.runs] == [0, 1, 2]
    assert spread.final == pytest.approx((50 + 5 / 3, math.sqrt(7 / 3)))


def test_an_unfinished_or_repeated_seed_does_not_count_in_the_spread(tmp_path: Path) -> None:
    runs = runs_with(tmp_path, {"seed": 0}, {"seed": 1}, {"seed": 1})
    (runs[1].path / "summary.json").unlink()
    (spread,) = seed_spreads([runs[0], read_run(runs[1].path), runs[2]])
    assert [run.name for run in spread.runs] == ["run-0", "run-2"]
    assert [run.name for run in seed_spreads(runs)[0].runs] == ["run-0", "run-1"]
    assert seed_spreads(runs[1:]) == []


def test_a_mean_over_an_unknown_value_is_unknown() -> None:
    assert all(map(math.isnan, MeanDeviation.of([1.0, math.nan])))
    assert MeanDeviation.of([1.0, 3.0]) == pytest.approx((2.0, math.sqrt(2)))


def test_the_table_has_a_row_a_run_and_empty_cells_for_what_is_not_known(tmp_path: Path) -> None:
    runs = runs_with(tmp_path, {"seed": 0}, {"seed": 1})
    write_comparison(tmp_path / "out" / "runs.csv", runs)
    with (tmp_path / "out" / "runs.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["run"], first["final_top1"], first["parameters"], first["final_top5"]) == (
        "run-0",
        "50",
        "1234",
        "90",
    )
    assert (first["skipped_batches"], first["config.seed"], second["config.seed"]) == ("1", "0", "1")


def test_lists_that_differ_in_their_order_alone_are_no_difference_where_it_has_no_meaning(tmp_path: Path) -> None:
    lists = [(["bone", "joint"], [2, 1], ["b", "a"]), (["joint", "bone"], [1, 2], ["a", "b"])]
    runs = runs_with(
        tmp_path,
        *(
            {
                "model": {"name": "nano_e", "streams": streams},
                "data": {"select": {"actions": actions}, "classes": names},
            }
            for streams, actions, names in lists
        ),
    )
    assert list(differing_keys(runs)) == ["data.classes"]
