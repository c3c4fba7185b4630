"""Differences between two trainings on the same clips, their intervals, and McNemar's test."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from last.evaluation import paired
from last.evaluation.paired import Difference, Pair, mcnemar, paired_difference
from last.utils.errors import UserError


def pair(first: Sequence[int] | NDArray[np.bool_], second: Sequence[int] | NDArray[np.bool_], start: int = 0) -> Pair:
    """Return which clips two trainings recognised; the clips are numbered from `start`."""
    one, other = ({f"clip{start + n}": bool(each) for n, each in enumerate(values)} for values in (first, second))
    return one, other


def test_a_difference_is_in_points_over_all_clips_and_seeds() -> None:
    found = paired_difference([[pair([1, 1, 1, 0], [1, 1, 0, 0]), pair([1, 1, 1, 1], [1, 1, 0, 0])]])
    assert found.mean == pytest.approx(37.5)
    assert (found.clips, found.seeds) == (4, 2)
    assert found.low < found.mean < found.high


def test_parts_count_by_their_clips() -> None:
    parts = [[pair([1] * 8, [0] * 8)], [pair([0, 0], [0, 0], start=8)]]
    assert paired_difference(parts).mean == pytest.approx(80.0)


def test_equal_trainings_differ_by_nothing() -> None:
    found = paired_difference([[pair([1, 0, 1, 0], [1, 0, 1, 0])]])
    assert (found.mean, found.low, found.high) == (0, 0, 0)
    assert found.verdict == "undecided"


def test_the_same_seed_draws_the_same_interval() -> None:
    parts = [[pair([1, 1, 0, 1, 1, 0, 0, 1, 1, 1], [1, 0, 0, 1, 0, 0, 0, 1, 1, 0])]]
    assert paired_difference(parts) == paired_difference(parts)


def test_many_clips_are_drawn_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [[pair(np.arange(40) % 4 != 0, np.arange(40) % 3 == 0)]]
    whole = paired_difference(parts)
    monkeypatch.setattr(paired, "_NUMBERS_AT_ONCE", 900)
    assert paired_difference(parts) == whole


def test_seeds_that_disagree_widen_the_interval() -> None:
    base, numbers = np.zeros(100, np.bool_), np.arange(100)
    agreeing = [pair(numbers % 4 == 0, base)] * 2
    disagreeing = [pair(numbers % 2 == 0, base), pair(base, base)]
    same, different = paired_difference([agreeing]), paired_difference([disagreeing])
    assert same.mean == different.mean
    assert different.resolution > 1.3 * same.resolution


def test_seeds_that_disagree_widen_the_interval_of_clips_that_differ_from_seed_to_seed() -> None:
    base, numbers = np.zeros(300, np.bool_), np.arange(300)
    agreeing = [pair(numbers % 4 == 0, base, start) for start in (0, 300)]
    disagreeing = [pair(numbers % 2 == 0, base), pair(base, base, start=300)]
    same, different = paired_difference([agreeing]), paired_difference([disagreeing])
    assert (same.seeds, different.seeds, same.clips) == (2, 2, 600)
    assert same.mean == different.mean
    assert different.resolution > 3 * same.resolution


def test_without_noise_of_training_other_clips_for_each_seed_are_as_good_as_clips_of_one_seed() -> None:
    first, second = np.random.default_rng(0).random((2, 600)) < 0.8
    alone = paired_difference([[pair(first, second)]])
    by_seed = [pair(first[at : at + 30], second[at : at + 30], at) for at in range(0, 600, 30)]
    assert paired_difference([by_seed]).resolution == pytest.approx(alone.resolution, rel=0.25)


def test_a_clip_that_two_parts_test_counts_as_one() -> None:
    first, second = np.random.default_rng(0).random((2, 400)) < 0.8
    once, others = pair(first, second), pair(first, second, start=400)
    alone, twice, double = (paired_difference(parts) for parts in ([[once]], [[once], [once]], [[once], [others]]))
    assert (alone.clips, twice.clips, double.clips) == (400, 400, 800)
    assert twice.mean == double.mean == alone.mean
    assert twice.resolution == pytest.approx(alone.resolution, rel=0.05)
    assert double.resolution == pytest.approx(alone.resolution / 2**0.5, rel=0.05)


def test_parts_that_share_clips_by_way_of_another_are_drawn_together() -> None:
    first, second = np.random.default_rng(0).random((2, 400)) < 0.8
    halves = [[pair(first[:200], second[:200])], [pair(first[200:], second[200:], start=200)]]
    whole = [pair(first, second)]
    alone, all_three = paired_difference([whole]), paired_difference([*halves, whole])
    assert all_three.mean == pytest.approx(alone.mean)
    assert all_three.resolution == pytest.approx(alone.resolution, rel=0.05)


def test_parts_of_different_difficulty_do_not_widen_the_interval() -> None:
    found = paired_difference([[pair([1] * 50, [0] * 50)], [pair([0] * 50, [0] * 50, start=50)]])
    assert (found.mean, found.low, found.high) == (50, 50, 50)


def test_nearly_all_intervals_hold_the_true_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "DRAWS", 300)
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(100):
        chance = random.random(150)
        first, second = (random.random(150) < chance * share for share in (0.9, 0.7))
        found = paired_difference([[pair(first, second)]])
        inside += found.low <= 100 * 0.2 * chance.mean() <= found.high
    assert 90 <= inside <= 100


def test_equal_variants_rarely_get_a_verdict_on_clips_held_out_with_each_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "DRAWS", 300)
    random = np.random.default_rng(0)
    decided = 0
    for _ in range(100):
        pairs = []
        for start in range(0, 750, 150):
            accuracies = 0.8 + 0.03 * random.normal(size=2)  # the noise of training
            first, second = random.random((2, 150)) < accuracies[:, None]
            pairs.append(pair(first, second, start))
        decided += paired_difference([pairs]).verdict != "undecided"
    assert decided <= 10


@pytest.mark.parametrize(
    ("interval", "verdict"), [((0.1, 2.0), "better"), ((-2.0, -0.1), "worse"), ((-0.1, 2.0), "undecided")]
)
def test_a_verdict_needs_an_interval_without_zero(interval: tuple[float, float], verdict: str) -> None:
    found = Difference(1.0, *interval, clips=10, seeds=1)
    assert found.verdict == verdict
    assert found.text().startswith("+1.00 [")


@pytest.mark.parametrize("parts", [[], [[]], [[pair([1, 0], [1, 0, 0])]], [[pair([], [])]]])
def test_parts_with_other_clips_are_refused(parts: Sequence[Sequence[Pair]]) -> None:
    with pytest.raises(ValueError, match="same clips for both trainings"):
        paired_difference(parts)


def test_mcnemar_counts_the_clips_that_only_one_run_recognises() -> None:
    first = np.array([True] * 9 + [False] + [True] * 50)
    second = np.array([False] * 9 + [True] + [True] * 50)
    assert mcnemar(first, second) == pytest.approx(22 / 1024)  # 2 (1 + 10) / 2^10
    assert mcnemar(second, first) == pytest.approx(22 / 1024)
    assert mcnemar(first, first) == 1


def test_mcnemar_takes_any_number_of_clips() -> None:
    first = np.arange(40_000) % 2 == 0
    assert mcnemar(first, ~first) == pytest.approx(1)
    assert mcnemar(first, np.zeros(40_000, np.bool_)) == 0


def test_mcnemar_refuses_runs_on_different_clips() -> None:
    with pytest.raises(UserError, match="tested on 2 and 3 clips"):
        mcnemar(np.zeros(2, np.bool_), np.zeros(3, np.bool_))
