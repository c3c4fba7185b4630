"""Bootstrap intervals over clips."""

import numpy as np
import pytest

from last.evaluation import intervals
from last.evaluation.intervals import bootstrap_interval


def test_the_interval_of_right_and_wrong_is_that_of_a_binomial() -> None:
    correct = np.arange(400) < 300

    low, high = bootstrap_interval(correct)

    deviation = np.sqrt(0.75 * 0.25 / 400)
    assert low == pytest.approx(0.75 - 1.96 * deviation, abs=0.005)
    assert high == pytest.approx(0.75 + 1.96 * deviation, abs=0.005)


def test_values_of_many_kinds_are_drawn_clip_by_clip_with_the_same_result() -> None:
    values = np.random.default_rng(1).normal(2.0, 3.0, size=900)

    low, high = bootstrap_interval(values)

    width = 1.96 * values.std() / 30
    assert low == pytest.approx(values.mean() - width, abs=0.05)
    assert high == pytest.approx(values.mean() + width, abs=0.05)


def test_chunks_cover_all_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=50)
    monkeypatch.setattr(intervals, "_NUMBERS_AT_ONCE", 350)  # seven draws at a time

    means = intervals.resampled_means(values, draws=100, seed=0)

    assert means.shape == (100,)
    assert len(np.unique(means)) == 100


def test_the_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    values = np.random.default_rng(2).normal(size=80)

    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_a_higher_level_gives_a_wider_interval() -> None:
    values = np.random.default_rng(2).normal(size=80)

    narrow, wide = (bootstrap_interval(values, level=level) for level in (0.5, 0.99))

    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_one_clip_has_an_interval_without_width() -> None:
    assert bootstrap_interval(np.array([0.25])) == (0.25, 0.25)


@pytest.mark.parametrize("values", [np.array([]), np.array([1.0, np.nan]), np.ones((2, 2))])
def test_values_that_have_no_mean_are_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="one finite value"):
        bootstrap_interval(values)


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"level": 0.0}, {"level": 1.0}])
def test_draws_and_level_have_limits(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="at least one draw"):
        bootstrap_interval(np.ones(3), **wrong)  # type: ignore[arg-type]
