"""The results of a search: the best candidate, the table, and what is said about it."""

import json
from dataclasses import replace

import pytest
from search_probes import MakeSearch
from sweep_probes import SweepTrainings

from last.evaluation.paired import Difference
from last.experiments.search.clock import Times
from last.experiments.search.report import choice, columns, notes, optimism, rows
from last.experiments.search.results import Standing, read_stages
from last.experiments.search.run import run_search
from last.runtime.stop_requests import Stop
from last.settings.run import RunConfig
from last.utils.errors import TrainingDiverged, UserError


def by_rate(config: RunConfig) -> range:
    return range(max(0, round(9 - 40 * abs(config.learning_rate - 0.1))))


def test_the_longest_schedule_comes_first_and_diverged_candidates_last(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    passing_time.recognised = by_rate
    passing_time.fails = lambda config: TrainingDiverged("diverged") if config.learning_rate > 0.1 else None
    search = search_plan(budget_hours=0.6)
    standing = run_search(search, 1)
    table = [dict(zip(columns(search), row, strict=True)) for row in rows(search, standing)]
    assert [row["epochs"] for row in table] == sorted((row["epochs"] for row in table), reverse=True)
    short = [row for row in table if row["epochs"] == "1"]
    problems = [row["top-1 %"] == "diverged" for row in short]
    assert problems == sorted(problems)
    assert any(problems)
    assert {row["candidate"] for row in table if row["epochs"] == "9"} >= {"recipe"}
    assert len(rows(search, standing, 1)) == 2 * 3, "one candidate of each length, and the recipe's own settings"


def test_the_best_is_of_the_longest_schedule_and_its_command_trains_it(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    passing_time.recognised = by_rate
    search = search_plan(budget_hours=0.6)
    standing = run_search(search, 1)
    best, command, recipe = choice(search, standing)
    assert best.startswith("Best: learning_rate=0.")
    assert best.endswith("; 9 epochs.")
    assert "--epochs 9 --set" in command
    assert "best.yaml" in recipe
    written = (search.folder / "search.md").read_text()
    assert command in written
    assert "| recipe |" in written


def test_the_recipe_itself_is_the_best_if_no_candidate_is_better(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    passing_time.recognised = lambda config: range(9 if "baseline" in config.output_root else 2)
    search = search_plan(budget_hours=0.3)
    standing = run_search(search, 1)
    compared = len(standing.stages[-1].results) - 1
    assert choice(search, standing)[0].startswith(
        f"Best: the recipe's own settings; no candidate was better, of {compared} that could be compared; "
    )


def test_the_recipe_is_not_called_better_than_candidates_that_there_was_no_time_for(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    search = search_plan(budget_hours=0.03)
    assert choice(search, run_search(search, 1))[0] == (
        "Best: the recipe's own settings; no candidate could be compared with them; 1 epoch."
    )


def test_a_schedule_for_which_only_the_recipe_had_time_does_not_decide(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    passing_time.recognised = lambda config: range(9 if "c001-" in config.output_root else 5)
    passing_time.fails = lambda config: (
        Stop.TIME if config.epochs == 9 and "baseline" not in config.output_root else None
    )
    search = search_plan(budget_hours=0.6)
    standing = run_search(search, 1)
    known = [[each.variant for each in stage.results if each.together.known] for stage in standing.stages]
    assert known[-1] == ["baseline"] and "c001" in known[-2]
    settings = search.candidate("c001").changes[0]
    chosen = choice(search, standing)
    assert chosen[0] == f"Best: {settings}; 3 epochs; with 9, no candidate could be compared."
    assert settings in chosen[1]
    assert json.loads((search.folder / "search.json").read_text())["best"] == ["c001", 3]
    assert settings.replace("=", ": ") in (search.folder / "best.yaml").read_text()
    assert any("the best would lead by about" in each for each in notes(search, standing))


def test_the_best_candidate_is_not_called_better_than_a_recipe_without_a_result(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    passing_time.recognised = by_rate
    passing_time.fails = lambda config: TrainingDiverged("diverged") if "baseline" in config.output_root else None
    search = search_plan(budget_hours=0.6)
    assert choice(search, run_search(search, 1))[0].endswith("; the recipe's own settings have no result there.")


def test_a_candidate_with_the_easier_seed_alone_is_not_better_than_the_recipe_with_all(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    passing_time.recognised = lambda config: range(9 if config.seed == 0 else 1)
    fails = UserError("no")
    passing_time.fails = lambda config: fails if config.seed and "baseline" not in config.output_root else None
    search = search_plan(budget_hours=0.6, seeds=[0, 1])
    standing = run_search(search, 1)
    means = {each.variant: each.together.mean for each in standing.stages[-1].results if each.together.known}
    assert means.pop("baseline") == pytest.approx(50)
    assert means and set(means.values()) == {90.0}
    assert choice(search, standing)[0].startswith("Best: the recipe's own settings;")


def test_the_notes_tell_which_intervals_are_of_one_seed(search_plan: MakeSearch, passing_time: SweepTrainings) -> None:
    several, one = (search_plan(budget_hours=0.6, seeds=seeds, name=str(len(seeds))) for seeds in ([0, 1], [0]))
    assert "Intervals of one seed lack the noise of training." in notes(several, run_search(several, 1))
    assert any(note.startswith("One seed: ") for note in notes(one, run_search(one, 1)))


def test_the_notes_say_how_optimistic_the_best_is_and_what_longer_schedules_brought(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    passing_time.recognised = lambda config: [*by_rate(config), 9][-(8 if config.epochs == 9 else 3) :]
    search = search_plan(budget_hours=0.6)
    text = " ".join(notes(search, run_search(search, 1)))
    assert "held-out training clips" in text
    assert "the best would lead by about" in text
    assert "One seed: the intervals lack the noise of training" in text
    assert "From 3 to 9 epochs" in text


def test_the_best_of_many_equal_candidates_leads_by_more_than_that_of_few(
    search_plan: MakeSearch, passing_time: SweepTrainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = search_plan(budget_hours=0.6)
    standing = run_search(search, 1)
    tens = Difference(0.0, -1.96, 1.96, 10, 1)  # each of two trainings has an error of 1 / sqrt 2
    for stage in standing.stages:
        monkeypatch.setitem(
            stage.__dict__, "results", [stage.results[0], *(_with(each, tens) for each in stage.results[1:])]
        )
    monkeypatch.setattr(Standing, "tried", 3)
    few = optimism(standing)
    monkeypatch.setattr(Standing, "tried", 20)
    many = optimism(standing)
    assert few is not None and many is not None
    assert few * 2**0.5 == pytest.approx(0.85, abs=0.04)  # the expected maximum of 3 normal deviates is 0.846
    assert many * 2**0.5 == pytest.approx(1.87, abs=0.04)  # of 20 it is 1.867


def _with(result: object, difference: Difference) -> object:
    return replace(result, difference=difference)  # type: ignore[type-var]


def test_all_figures_are_in_a_file(search_plan: MakeSearch, passing_time: SweepTrainings) -> None:
    search = search_plan("learning_rate=0.02,0.04", budget_hours=0.6)
    run_search(search, 1)
    written = json.loads((search.folder / "search.json").read_text())
    assert written["epochs"] == [1, 3, 9]
    assert written["budget_hours"] == 0.6
    settings = {each["candidate"]: each["settings"] for each in written["stages"][0]["candidates"]}
    assert sorted(each["learning_rate"] for each in settings.values() if each) == ["0.02", "0.04"]
    assert settings["baseline"] == {}


def test_a_search_that_has_not_begun_has_no_stage(search_plan: MakeSearch) -> None:
    standing = Standing(read_stages(search := search_plan()), "", Times(), 1)
    assert standing.stages == []
    assert standing.best() is None
    assert choice(search, standing) == []
