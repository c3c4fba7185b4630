"""Differences between two trainings on the same clips, their intervals, and McNemar's test."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from last.evaluation import paired
from last.evaluation.paired import Difference, mcnemar, paired_difference
from last.utils.errors import UserError


def rows(*texts: str) -> NDArray[np.bool_]:
    """Return which clips were recognised, (S, N), from one text of 1 and 0 per seed."""
    return np.array([[letter == "1" for letter in text] for text in texts])


def test_a_difference_is_in_points_over_all_clips_and_seeds() -> None:
    found = paired_difference([(rows("1110", "1111"), rows("1100", "1100"))])
    assert found.mean == pytest.approx(37.5)
    assert (found.clips, found.seeds) == (4, 2)
    assert found.low < found.mean < found.high


def test_parts_count_by_their_clips() -> None:
    parts = [(rows("11111111"), rows("00000000")), (rows("00"), rows("00"))]
    assert paired_difference(parts).mean == pytest.approx(80.0)


def test_equal_trainings_differ_by_nothing() -> None:
    found = paired_difference([(rows("1010"), rows("1010"))])
    assert (found.mean, found.low, found.high) == (0, 0, 0)
    assert found.verdict == "undecided"


def test_the_same_seed_draws_the_same_interval() -> None:
    parts = [(rows("1101100111"), rows("1001000110"))]
    assert paired_difference(parts) == paired_difference(parts)


def test_seeds_that_disagree_widen_the_interval() -> None:
    base = rows("0" * 100, "0" * 100)
    agreeing = np.tile(np.arange(100) % 4 == 0, (2, 1))
    disagreeing = np.stack([np.arange(100) % 2 == 0, np.zeros(100, np.bool_)])
    same, different = (paired_difference([(each, base)]) for each in (agreeing, disagreeing))
    assert same.mean == different.mean
    assert different.resolution > 1.3 * same.resolution


def test_nearly_all_intervals_hold_the_true_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "DRAWS", 300)
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(100):
        chance = random.random(150)[None]
        first, second = (random.random((1, 150)) < chance * share for share in (0.9, 0.7))
        found = paired_difference([(first, second)])
        inside += found.low <= 100 * 0.2 * chance.mean() <= found.high
    assert 90 <= inside <= 100


@pytest.mark.parametrize(
    ("interval", "verdict"), [((0.1, 2.0), "better"), ((-2.0, -0.1), "worse"), ((-0.1, 2.0), "undecided")]
)
def test_a_verdict_needs_an_interval_without_zero(interval: tuple[float, float], verdict: str) -> None:
    found = Difference(1.0, *interval, clips=10, seeds=1)
    assert found.verdict == verdict
    assert found.text().startswith("+1.00 [")


@pytest.mark.parametrize(
    "parts", [[], [(rows("10"), rows("100"))], [(np.zeros((1, 0), np.bool_), np.zeros((1, 0), np.bool_))]]
)
def test_parts_with_other_clips_are_refused(parts: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_]]]) -> None:
    with pytest.raises(ValueError, match="same seeds and clips"):
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
