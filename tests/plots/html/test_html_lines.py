"""Charts of lines: limits, ticks, and points that cannot be drawn."""

import math

import pytest

from last.plots.html import Series, lines_of
from last.plots.html.lines import round_ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 100, [0, 25, 50, 75, 100]), (0, 4, [0, 1, 2, 3, 4]), (0.2, 1.9, [0, 0.5, 1, 1.5, 2]), (5, 5, [4, 6])],
)
def test_ticks_are_round_and_enclose_the_range(low: float, high: float, ticks: list[float]) -> None:
    found = round_ticks(low, high)
    assert found[0] <= low and found[-1] >= high
    if low < high:
        assert found == ticks


def test_points_that_are_not_finite_are_left_out_and_none_have_no_chart() -> None:
    chart = lines_of([Series("a", "first", [(0, 1.0), (1, math.nan), (2, 3.0)], [(0, 2), (0, 1), (2, 4)])])
    assert chart is not None and len(chart.series[0].dots) == 2
    assert chart.series[0].band.count(",") == 4
    assert lines_of([Series("a", "first", [(0, math.inf)])]) is None and lines_of([]) is None


def test_points_lie_inside_the_frame_and_higher_values_higher_up() -> None:
    chart = lines_of([Series("a", "first", [(0, -5.0), (1, 50.0), (2, 120.0)])], up=(0.0, 100.0))
    assert chart is not None
    left, top, right, bottom = chart.frame
    assert [dot[0] for dot in chart.series[0].dots] == [left, (left + right) / 2, right]
    assert [dot[1] for dot in chart.series[0].dots] == [bottom, (top + bottom) / 2, top]


def test_long_lines_are_thinned_and_keep_their_ends() -> None:
    chart = lines_of([Series("a", "first", [(float(number), float(number)) for number in range(10_000)])])
    assert chart is not None
    points = chart.series[0].path.split()
    assert len(points) == 400 and not chart.series[0].dots
    assert points[0].split(",")[0] == f"{chart.frame[0]:.1f}" and points[-1].split(",")[0] == f"{chart.frame[2]:.1f}"
