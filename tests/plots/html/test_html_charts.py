"""Charts of reports: lengths, axes and limits, for few and for very many values."""

import math
from itertools import pairwise

import pytest

from last.plots.html import bars_of, curve_of, range_of


def test_the_longest_bar_is_that_of_the_highest_value_and_few_keep_their_order() -> None:
    chart = bars_of("Clips", {"a": 5, "b": 20, "c": 0})
    assert [(bar.name, bar.length) for bar in chart.bars] == [("a", 25), ("b", 100), ("c", 0)]
    assert not chart.outline and not chart.smallest and chart.left_out == 0


@pytest.mark.parametrize("count", [25, 400, 10_000])
def test_many_bars_are_an_outline_by_value_with_a_bounded_list(count: int) -> None:
    chart = bars_of("Clips", {f"class {number}": number + 1 for number in range(count)})
    assert list(chart.outline) == sorted(chart.outline, reverse=True) and len(chart.outline) <= 120
    assert len(chart.bars) + chart.left_out == count and len(chart.bars) <= 1_000
    assert [bar.value for bar in chart.smallest] == [5, 4, 3, 2, 1]
    assert (chart.lowest, chart.highest) == (1, count)


@pytest.mark.parametrize("values", [{}, {"empty": 0}])
def test_a_chart_without_values_or_of_zeros_has_no_length(values: dict[str, float]) -> None:
    assert all(bar.length == 0 for bar in bars_of("Clips", values).bars)


def test_a_range_has_its_values_as_texts_and_their_places() -> None:
    line = range_of("Frames", (10, 20, 30.5, 1234.56, 2010))
    assert line is not None
    assert line.values == ["10", "20", "30.5", "1,234.6", "2,010"]
    assert line.places[0] == 0 and line.places[1] == pytest.approx(0.5) and line.places[4] == 100


def test_a_range_of_one_value_is_in_the_middle_and_one_that_is_not_finite_is_none() -> None:
    line = range_of("Frames", (7, 7, 7, 7, 7))
    assert line is not None and set(line.places) == {50}
    assert range_of("Frames", (1, 2, 3, 4, math.inf)) is None
    assert range_of("Frames", (1, 2, math.nan, 4, 5)) is None


def test_a_curve_has_the_mean_the_extent_and_a_forecast_that_starts_at_the_last_point() -> None:
    curve = curve_of({100: [0.5, 0.6], 50: [0.4]}, {200: (0.6, 0.7, 0.8), 80: (0.1, 0.1, 0.1)})
    assert curve is not None
    assert [dot.label for dot in curve.measured] == ["50 clips", "100 clips"]
    assert [dot.figures for dot in curve.measured] == ["40.0 %", "55.0 % (50.0 to 60.0)"]
    first, ahead = curve.forecast
    assert (first.x, first.y) == (curve.measured[1].x, curve.measured[1].y)
    assert ahead.label == "forecast: 200 clips" and ahead.figures == "70.0 % (60.0 to 80.0)"
    assert ahead.low > ahead.y > ahead.high  # y points down in a drawing


@pytest.mark.parametrize("accuracies", [[0.0], [1.0], [0.0, 1.0], [0.5, 0.51], [0.97, 1.0], [0.33, 0.68]])
def test_an_axis_contains_all_accuracies_between_none_and_all_with_whole_percents(accuracies: list[float]) -> None:
    curve = curve_of({10 * (number + 1): [value] for number, value in enumerate(accuracies)}, {})
    assert curve is not None and not curve.forecast
    _, top, _, bottom = curve.frame
    assert all(top - 1e-6 <= dot.y <= bottom + 1e-6 for dot in curve.measured)
    ticks = [int(text.rstrip(" %")) for _, text in curve.up]
    assert 0 <= ticks[0] <= 100 * min(accuracies) and 100 >= ticks[-1] >= 100 * max(accuracies)
    assert len({late - early for early, late in pairwise(ticks)}) == 1


@pytest.mark.parametrize("most", [1, 3, 9, 1_020, 999_999])
def test_the_numbers_of_clips_have_a_few_round_ticks(most: int) -> None:
    curve = curve_of({most: [0.5]}, {})
    assert curve is not None and 2 <= len(curve.across) <= 6 and curve.across[0][1] == "0"


def test_nothing_measured_is_no_curve() -> None:
    assert curve_of({}, {100: (0.1, 0.2, 0.3)}) is None
    assert curve_of({0: [0.5], 10: []}, {}) is None
