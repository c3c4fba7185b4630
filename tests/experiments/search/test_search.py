"""Running a search: its stages, its budget, and how it goes on."""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY
from noted_progress import NotedProgress
from search_probes import HELD_OUT, RATES, MakeSearch
from sweep_probes import SweepTrainings, write_rows

from last.experiments.run import Result
from last.experiments.search import run as search_module
from last.experiments.search.clock import recorded_times
from last.experiments.search.plan import Search
from last.experiments.search.run import run_search, seconds_per_epoch
from last.experiments.sweep import run as sweep
from last.experiments.sweep.results import Outcome, outcome_of
from last.experiments.sweep.run import Job
from last.runs.folder import runs_in
from last.runs.history import find_runs
from last.runtime.stop_requests import Stop
from last.settings.run import RunConfig
from last.utils.errors import TrainingDiverged, UserError

SHORT = [*TINY, *HELD_OUT, "epochs=3"]  # schedules of 1 and 3 epochs


def trained(trainings: SweepTrainings) -> list[tuple[str, int, int]]:
    """Return the candidate, the epochs and the seed of each training, in their order."""
    names = [config.output_root.rpartition("/")[2].rpartition("-")[0] for config in trainings.trained]
    return [(name, each.epochs, each.seed) for name, each in zip(names, trainings.trained, strict=True)]


def by_rate(config: RunConfig) -> range:
    """Recognise more clips the nearer the learning rate is to 0.1."""
    return range(max(0, round(10 - 40 * abs(config.learning_rate - 0.1))))


def test_the_best_third_of_the_candidates_is_trained_longer(
    search_plan: MakeSearch, passing_time: SweepTrainings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    passing_time.recognised = by_rate
    search = search_plan(budget_hours=0.625)
    standing = run_search(search, 1)
    runs = trained(passing_time)
    assert "Within the budget: 6 candidates of 1 epoch, 2 of 3, 1 of 9, each" in caplog.text
    assert [sum(epochs == length for _, epochs, _ in runs) for length in (1, 3, 9)] == [7, 3, 2]
    clips = {each.name: len(by_rate(each.parts["xsub"])) for each in search.candidates.first(6)}
    nearest = sorted(clips, key=lambda name: -clips[name])
    assert {name for name, epochs, _ in runs if epochs == 3} == {"baseline", *nearest[:2]}
    best = standing.best()
    assert best is not None
    assert (best[0].epochs, best[1].variant) == (9, nearest[0])


def test_nothing_begins_that_would_not_end_within_the_budget(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    began = passing_time.now
    run_search(search_plan(budget_hours=0.6), 1)
    assert passing_time.now - began <= 0.6 * 3600


def test_a_machine_that_becomes_slower_leaves_time_for_the_longest_schedule(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    began = passing_time.now
    passing_time.seconds = lambda config: config.epochs * (60.0 if len(passing_time.trained) < 3 else 180.0)
    run_search(search_plan(budget_hours=2), 1)
    assert {epochs for _, epochs, _ in trained(passing_time)} == {1, 3, 9}
    assert passing_time.now - began <= 2 * 3600


def test_what_a_run_takes_beside_its_epochs_is_planned_too(
    search_plan: MakeSearch, passing_time: SweepTrainings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    began = passing_time.now
    passing_time.seconds = lambda config: 2.0 * config.epochs
    passing_time.evaluation_seconds = 12.0
    run_search(search_plan(settings=SHORT, budget_hours=0.05), 1)
    assert "Within the budget: 6 candidates of 1 epoch, 2 of 3, each" in caplog.text
    assert Counter(epochs for _, epochs, _ in trained(passing_time)) == {1: 7, 3: 3}, "and the recipe's own settings"
    assert passing_time.now - began <= 0.05 * 3600


def test_candidates_that_a_slower_machine_has_no_time_for_leave_theirs_to_the_longer_schedule(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    began = passing_time.now

    def slower_and_slower(config: RunConfig) -> float:
        passing_time.evaluation_seconds = 12.0 if len(passing_time.trained) < 3 else 17.0
        return 2.0 * config.epochs

    passing_time.seconds = slower_and_slower
    run_search(search_plan(settings=SHORT, budget_hours=100 / 3600), 1)
    assert Counter(epochs for _, epochs, _ in trained(passing_time)) == {1: 3, 3: 2}, "c003 had no time"
    assert passing_time.now - began <= 100


def test_a_resumed_search_knows_what_a_run_takes_beside_its_epochs(
    search_plan: MakeSearch, passing_time: SweepTrainings, caplog: pytest.LogCaptureFixture
) -> None:
    passing_time.seconds = lambda config: 2.0 * config.epochs
    passing_time.evaluation_seconds = 12.0
    run_search(search_plan(settings=SHORT, budget_hours=0.01), 1)
    earlier = len(passing_time.trained)
    caplog.set_level(logging.INFO)
    began = passing_time.now
    run_search(search_plan(settings=SHORT, budget_hours=0.05), 1)
    planned = [record.getMessage() for record in caplog.records if "Within the budget" in record.getMessage()]
    assert len(planned) == 1, "the first plan holds"
    assert passing_time.now - began <= 0.04 * 3600
    assert len(passing_time.trained) > earlier + 3


def test_a_search_whose_time_ends_between_two_stages_trains_no_further(
    search_plan: MakeSearch, passing_time: SweepTrainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = search_module._next_step

    def late(*arguments: Any) -> Any:
        step = planned(*arguments)
        passing_time.now += 3600 if len(passing_time.trained) > 1 else 0
        return step

    monkeypatch.setattr(search_module, "_next_step", late)
    run_search(search_plan(budget_hours=0.9), 1)
    assert len(passing_time.trained) > 1
    assert {epochs for _, epochs, _ in trained(passing_time)} == {1}


def test_the_same_search_trains_nothing_again_and_more_hours_add_candidates(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    began = passing_time.now
    run_search(search_plan(budget_hours=0.5), 1)
    first = trained(passing_time)
    run_search(search_plan(budget_hours=0.5), 1)
    assert trained(passing_time) == first
    run_search(search_plan(budget_hours=0.8), 1)
    after = trained(passing_time)
    assert len(after) > len(first)
    assert len(set(after)) == len(after), "no run was trained twice"
    assert passing_time.now - began <= 0.8 * 3600


def test_the_time_of_earlier_calls_counts_even_if_they_were_killed(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    began = passing_time.now
    search = search_plan(budget_hours=0.4)
    run_search(search, 1)
    written = json.loads((search.folder / "search.json").read_text())
    assert written["spent_seconds"] == pytest.approx(passing_time.now - began, abs=0.1)
    (search.folder / "search.json").unlink()
    run_search(search, 1)
    again = json.loads((search.folder / "search.json").read_text())
    assert again["spent_seconds"] == pytest.approx(passing_time.now - began, abs=0.1), (
        "the runs have recorded their seconds"
    )


@pytest.mark.parametrize("records", [True, False])
def test_a_search_that_is_killed_within_a_stage_knows_its_time(
    search_plan: MakeSearch, passing_time: SweepTrainings, monkeypatch: pytest.MonkeyPatch, *, records: bool
) -> None:
    began = passing_time.now

    def killed(config: RunConfig) -> None:
        if len(passing_time.trained) == 5:
            write_rows(runs_in(Path(config.output_root))[0], 1, 60.0)
            passing_time.now += 60.0
            raise SystemExit

    passing_time.evaluation_seconds, passing_time.fails = 15.0, killed
    search = search_plan(budget_hours=0.625)
    with monkeypatch.context() as nothing_is_written_at_the_end, pytest.raises(SystemExit):
        write = search_module.write_search
        nothing_is_written_at_the_end.setattr(
            search_module, "write_search", lambda *given: write(*given) if len(passing_time.trained) < 5 else None
        )
        run_search(search, 1)
    if not records:
        (search.folder / "search.json").unlink()
    spent_s = recorded_times(search.folder, 1).spent_s
    assert spent_s == pytest.approx(passing_time.now - began if records else 5 * 60.0, abs=0.3)


@pytest.mark.parametrize(
    "damaged",
    [
        '{"spent_seconds": "x", "jobs": 1}',
        '{"spent_seconds": [1], "jobs": "a"}',
        '{"spent_seconds": -5, "jobs": -3}',
        '{"spent_seconds": 1e999, "jobs": 1e999}',
        '{"spent_seconds": NaN, "jobs": NaN}',
        '{"spent_seconds": true, "jobs": null}',
        "[]",
    ],
)
def test_the_time_of_earlier_calls_is_that_of_the_runs_if_its_record_is_damaged(
    search_plan: MakeSearch, passing_time: SweepTrainings, damaged: str
) -> None:
    search = search_plan(budget_hours=0.4)
    run_search(search, 1)
    trained_s = 60 * sum(config.epochs for config in passing_time.trained)
    (search.folder / "search.json").write_text(damaged)
    assert run_search(search, 1).times.spent_s == pytest.approx(trained_s, abs=0.1)


def test_the_last_stage_is_trained_with_all_seeds(search_plan: MakeSearch, passing_time: SweepTrainings) -> None:
    run_search(search_plan(budget_hours=0.9, seeds=[0, 1]), 1)
    runs = trained(passing_time)
    assert {seed for _, epochs, seed in runs if epochs < 9} == {0}
    assert {seed for name, epochs, seed in runs if epochs == 9 and name == "baseline"} == {0, 1}


def test_epochs_of_other_seeds_count_neither_as_progress_nor_as_time_saved(
    search_plan: MakeSearch, passing_time: SweepTrainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs of all seeds of a candidate are in one folder."""
    run_search(search_plan(budget_hours=0.9), 1)
    expected: list[float] = []
    train_jobs = search_module.train_jobs

    def noted(todo: Sequence[Job], *others: Any) -> Iterator[tuple[Outcome, float]]:
        expected.extend(job.expected_s for job in todo)
        return train_jobs(todo, *others)

    monkeypatch.setattr(search_module, "train_jobs", noted)
    earlier = len(passing_time.trained)
    shown = NotedProgress()
    run_search(search_plan(budget_hours=1.8, seeds=[0, 1]), 1, shown)
    added = passing_time.trained[earlier:]
    assert {config.epochs for config in added if config.seed == 1} == {9}
    assert {task.before for task in shown.tasks} == {0}, "none of these runs was begun before"
    assert expected == pytest.approx([60.0 * config.epochs for config in added])


def test_a_candidate_that_diverges_is_not_trained_further_and_comes_last(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    passing_time.fails = lambda config: TrainingDiverged("diverged") if config.learning_rate > 0.1 else None
    standing = run_search(search_plan(budget_hours=0.5), 1)
    diverged = {each.run.variant for each in standing.stages[0].outcomes if each.status == "diverged"}
    assert diverged
    last = [each.variant for each in standing.stages[0].ordered][-len(diverged) :]
    assert set(last) == diverged
    assert not diverged & {name for name, epochs, _ in trained(passing_time) if epochs > 1}


@pytest.mark.parametrize("diverges", [False, True])
def test_runs_that_ended_early_leave_their_time_to_further_candidates(
    search_plan: MakeSearch, passing_time: SweepTrainings, monkeypatch: pytest.MonkeyPatch, *, diverges: bool
) -> None:
    def early(config: RunConfig, *arguments: Any, **options: Any) -> Result:
        result = passing_time.train(config, *arguments, **options)
        write_rows(result.run, config.epochs // 3, 60.0)
        return result

    passing_time.seconds = lambda config: 20.0 * config.epochs
    if diverges:
        passing_time.fails = lambda config: TrainingDiverged("diverged") if config.learning_rate > 0.1 else None
    monkeypatch.setattr(sweep, "train", early)
    search = search_plan(settings=[*TINY, *HELD_OUT, "epochs=27"], budget_hours=0.5)
    standing = run_search(search, 1)
    assert 0.9 * 1800 < standing.times.spent_s <= 1800


def test_a_search_of_which_all_runs_diverge_says_so(search_plan: MakeSearch, passing_time: SweepTrainings) -> None:
    passing_time.fails = lambda _: TrainingDiverged("diverged")
    with pytest.raises(TrainingDiverged, match="All runs of the search diverged"):
        run_search(search_plan(), 2)
    assert len(passing_time.trained) < 20, "it does not try all that there are"


def test_a_candidate_that_cannot_be_trained_does_not_stop_the_others(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    passing_time.fails = lambda config: UserError("no room left") if "c001" in config.output_root else None
    standing = run_search(search_plan(budget_hours=0.5), 1)
    assert standing.stages[0].problem("c001") == "failed"
    assert sum(name == "c001" for name, _, _ in trained(passing_time)) == 1
    passing_time.fails = lambda _: UserError("no room left")
    with pytest.raises(UserError, match=r"No run of the search could be trained. .*no room left"):
        run_search(search_plan(name="other"), 1)


def test_a_budget_that_is_too_small_for_one_run_is_refused_with_its_time(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    def stopped(config: RunConfig) -> Stop:
        passing_time.now += 120
        return Stop.TIME

    passing_time.fails = stopped
    with pytest.raises(UserError, match=r"--budget_hours 0\.01 is too small: one run of 1 epoch did not end in"):
        run_search(search_plan(budget_hours=0.01), 1)


def test_runs_of_another_search_of_the_same_name_are_refused(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    run_search(search_plan(budget_hours=0.5), 1)
    with pytest.raises(UserError, match=r"learning_rate was .* another --name"):
        run_search(search_plan("learning_rate=0.02..0.4", budget_hours=1.0), 1)


def test_reported_clips_are_refused_before_anything_is_written(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    search = search_plan(settings=[])
    with pytest.raises(UserError, match="results of tiny are reported"):
        run_search(search, 1)
    assert not search.folder.exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("validation_fraction=0.01", "xsub: Holding out 1% of .* training clips leaves none to validate on"),
        ("label_fraction=0.99", "xsub: label_fraction 0.99 leaves none of .* labels out"),
    ],
)
def test_parts_with_too_few_clips_are_refused_before_anything_is_written(
    search_plan: MakeSearch, passing_time: SweepTrainings, setting: str, message: str
) -> None:
    search = search_plan(settings=[*SHORT, setting])
    with pytest.raises(UserError, match=message):
        run_search(search, 1)
    assert not passing_time.trained
    assert not search.folder.exists()


def test_interruption_keeps_the_results(search_plan: MakeSearch, passing_time: SweepTrainings) -> None:
    def interrupted(config: RunConfig) -> None:
        if len(passing_time.trained) == 3:
            raise KeyboardInterrupt

    passing_time.fails = interrupted
    search = search_plan(budget_hours=0.5)
    with pytest.raises(KeyboardInterrupt):
        run_search(search, 1)
    assert (search.folder / "search.md").exists()
    passing_time.fails = lambda _: None
    run_search(search_plan(budget_hours=0.5), 1)
    assert len(set(trained(passing_time))) == len(passing_time.trained) - 1, "the interrupted run was resumed"


def test_a_candidate_beyond_the_present_plan_is_trained_further_if_it_is_among_the_best(
    search_plan: MakeSearch, passing_time: SweepTrainings
) -> None:
    def interrupted_late(config: RunConfig) -> None:
        if len(passing_time.trained) == 9:
            passing_time.now += 2400
            raise KeyboardInterrupt

    passing_time.recognised = lambda config: range(9 if "c007-" in config.output_root else 2)
    passing_time.fails = interrupted_late
    with pytest.raises(KeyboardInterrupt):
        run_search(search_plan(budget_hours=1.3), 1)
    passing_time.fails = lambda _: None
    standing = run_search(search_plan(budget_hours=1.3), 1)
    best = standing.best()
    assert standing.planned.startswith("6 candidates"), "less time is left than when c007 was trained"
    assert best is not None
    assert (best[0].epochs > 1, best[1].variant) == (True, "c007")


def test_the_runs_of_a_search_are_listed(search_plan: MakeSearch, passing_time: SweepTrainings) -> None:
    search: Search = search_plan(RATES, budget_hours=0.3)
    run_search(search, 1)
    assert len(find_runs(search.folder.parent)) == len(passing_time.trained)
    outcomes = [outcome_of(run) for run in search.plan(1, [], [0]).runs]
    assert seconds_per_epoch(outcomes) == pytest.approx(60)
    assert seconds_per_epoch([]) is None
