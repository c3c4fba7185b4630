"""How many candidates fit into the budget of a search."""

import pytest

from last.experiments.search.budget import Costs, Rung, described, ladder, ladder_between, plan_rungs

LENGTHS = [8, 24, 70]


def costs(side_by_side: int = 1, parts: int = 1, done: dict[int, float] | None = None) -> Costs:
    return Costs(0.0, 10.0, side_by_side, parts, done or {})


def rungs(left_s: float, of: Costs | None = None, seeds: int = 1, most: int = 99) -> list[Rung]:
    return plan_rungs(LENGTHS, seeds, most, of or costs(), left_s)


def test_schedules_have_a_ninth_a_third_and_all_epochs() -> None:
    assert ladder(70) == [8, 23, 70]
    assert ladder(3) == [1, 3]
    assert ladder(1) == [1]
    assert ladder_between(8, 70) == [8, 24, 70]
    assert ladder_between(10, 20) == [10, 20]


def test_a_third_of_the_candidates_is_trained_further() -> None:
    found = rungs(5000)
    assert [rung.epochs for rung in found] == LENGTHS
    first, second, third = (rung.candidates for rung in found)
    assert first > second > third >= 1
    assert second == -(-first // 3)


def test_the_stages_end_within_the_time_left_and_one_candidate_more_would_not() -> None:
    found = rungs(5125)
    assert [rung.candidates for rung in found] == [12, 4, 2]
    # Each stage has the recipe's own settings too, and a tenth of the time is kept for slower runs.
    assert sum(map(costs().left_s, found)) == pytest.approx(1.1 * 10 * (13 * 8 + 5 * 24 + 3 * 70))
    assert rungs(1.1 * 10 * (14 * 8 + 6 * 24 + 3 * 70) + 1)[0].candidates == 13


def test_what_a_run_takes_beside_its_epochs_counts_once_a_run() -> None:
    with_overhead = Costs(5.0, 10.0, 1, 1, {})
    assert with_overhead.left_s(Rung(8, 3)) == pytest.approx(1.1 * 4 * (5 + 8 * 10))
    assert with_overhead.left_s(Rung(8, 3, seeds=2)) == pytest.approx(1.1 * 8 * (5 + 8 * 10))
    assert rungs(4775, with_overhead)[0].candidates < rungs(4775)[0].candidates


def test_more_processes_train_more_candidates_and_more_parts_fewer() -> None:
    one = rungs(5000)[0].candidates
    assert rungs(5000, costs(side_by_side=2))[0].candidates > one > rungs(5000, costs(parts=2))[0].candidates


def test_a_schedule_with_which_nothing_could_be_chosen_is_left_out() -> None:
    assert [rung.epochs for rung in rungs(1900)] == [8, 24]
    assert [rung.epochs for rung in rungs(300)] == [8]
    assert rungs(100) == []


def test_the_last_stage_has_all_seeds() -> None:
    assert [rung.seeds for rung in rungs(20_000, seeds=3)] == [1, 1, 3]
    assert rungs(1900, seeds=2)[-1].seeds == 2


def test_what_is_trained_already_takes_no_time() -> None:
    assert rungs(0.1, costs(done={8: 4, 24: 2, 70: 2})) == [Rung(8, 3), Rung(24, 1), Rung(70, 1)]


def test_there_are_no_more_candidates_than_combinations_of_lists() -> None:
    assert rungs(1e6, most=4)[0].candidates == 4
    assert rungs(1e6, most=1) == [Rung(8, 1), Rung(24, 1), Rung(70, 1)]


def test_the_stages_are_described_in_one_line() -> None:
    text = described([Rung(8, 12), Rung(24, 4), Rung(70, 2, 3)])
    assert text == "12 candidates of 8 epochs, 4 of 24, 2 of 70 with 3 seeds"
    assert described([Rung(1, 1)]) == "1 candidate of 1 epoch"


@pytest.mark.parametrize("left_s", [0.0, 175.0])
def test_a_budget_for_less_than_two_runs_has_no_stage(left_s: float) -> None:
    assert rungs(left_s) == []
