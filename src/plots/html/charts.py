"""Bars, curves and ranges as numbers for the templates, which draw them as SVG.

Positions are shares of the drawing, from 0 to 100, unless stated otherwise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_BARS = 24  # more are an outline, with a list to unfold
_MOST_LISTED = 1_000
_OUTLINE_BARS = 120
_EXTREMES = 5  # of the outline's smallest ones, which are listed beside it
_CURVE_WIDTH, _CURVE_HEIGHT = 440.0, 280.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 14.0, 12.0, 46.0  # margins of a curve
_STEPS = (3, 5, 10, 15, 20, 25)  # percentage points between two of the five ticks of an axis


@dataclass(frozen=True)
class Bar:
    """A bar with its name, its value and its length."""

    name: str
    value: float
    length: float


@dataclass(frozen=True)
class Bars:
    """The bars of one chart.

    Attributes:
        title: what the chart shows.
        bars: all that are listed, in the order of the values, or by value if there are many.
        outline: lengths of all bars by value, the longest first, if there are many; they may stand for several each.
        smallest: the last few of many.
        left_out: how many are in no list.
        lowest, median, highest: of all values.
    """

    title: str
    bars: Sequence[Bar]
    outline: Sequence[float]
    smallest: Sequence[Bar]
    left_out: int
    lowest: float
    median: float
    highest: float


@dataclass(frozen=True)
class Range:
    """Five numbers of a distribution: their values as texts, and their places on a line."""

    title: str
    values: Sequence[str]
    places: Sequence[float]


@dataclass(frozen=True)
class CurveDot:
    """A measured value, or a forecast one with its limits; x and y in the units of the drawing."""

    x: float
    y: float
    low: float
    high: float
    label: str
    figures: str


@dataclass(frozen=True)
class Curve:
    """A line with dots, and its forecast as a dashed line in a band.

    Attributes:
        width, height: of the drawing.
        measured, forecast: ascending; the forecast starts with the last measured dot.
        across, up: ticks of the axes, each with its place and its text.
        frame: left, top, right and bottom of the field inside the axes.
    """

    width: float
    height: float
    measured: Sequence[CurveDot]
    forecast: Sequence[CurveDot]
    across: Sequence[tuple[float, str]]
    up: Sequence[tuple[float, str]]
    frame: tuple[float, float, float, float]

    @property
    def band(self) -> str:
        """Return the outline of the forecast's limits as points of a polygon."""
        upper = [(dot.x, dot.high) for dot in self.forecast]
        lower = [(dot.x, dot.low) for dot in reversed(self.forecast)]
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in (*upper, *lower))


def points_of(dots: Sequence[CurveDot]) -> str:
    """Return dots as points of a line."""
    return " ".join(f"{dot.x:.1f},{dot.y:.1f}" for dot in dots)


def bars_of(title: str, values: Mapping[str, float]) -> Bars:
    """Return the chart of values by name; more than `MOST_BARS` are ordered by value."""
    many = len(values) > MOST_BARS
    ordered = sorted(values.items(), key=lambda item: -item[1]) if many else list(values.items())
    highest = max(values.values(), default=0.0)
    bars = [Bar(name, value, _share(value, highest)) for name, value in ordered]
    sizes = sorted(values.values())
    return Bars(
        title,
        bars[:_MOST_LISTED],
        _outline([bar.length for bar in bars]) if many else (),
        bars[-_EXTREMES:] if many else (),
        max(len(bars) - _MOST_LISTED, 0),
        sizes[0] if sizes else 0.0,
        sizes[len(sizes) // 2] if sizes else 0.0,
        highest,
    )


def _share(value: float, highest: float) -> float:
    return 100 * value / highest if highest > 0 else 0.0


def _outline(lengths: Sequence[float]) -> list[float]:
    """Return at most a few lengths of many that descend."""
    count = min(len(lengths), _OUTLINE_BARS)
    return [lengths[place * len(lengths) // count] for place in range(count)]


def range_of(title: str, numbers: Sequence[float]) -> Range | None:
    """Return the line of a distribution: its lowest value, quarter, median, three quarters and highest value.

    Values that are not finite have no line: None.
    """
    if not all(map(math.isfinite, numbers)):
        return None
    low, high = numbers[0], numbers[-1]
    places = [100 * (number - low) / (high - low) if high > low else 50.0 for number in numbers]
    return Range(title, [_figure(number) for number in numbers], places)


def _figure(number: float) -> str:
    """Return a number with three digits, or with all of those before the point."""
    if abs(number) < 1e9 and number == int(number):
        return f"{int(number):,}"
    return f"{number:,.1f}" if 100 <= abs(number) < 1e9 else f"{number:.3g}"


def curve_of(
    measured: Mapping[int, Sequence[float]], forecast: Mapping[int, tuple[float, float, float]], noun: str = "clip"
) -> Curve | None:
    """Return the curve of accuracies over numbers of clips; None if nothing was measured.

    Args:
        measured: for each number of clips the accuracies from 0 to 1, one for each repetition.
        forecast: for each larger number the lowest, likely and highest accuracy.
        noun: what was counted.
    """
    values = {
        count: (min(found), sum(found) / len(found), max(found))
        for count, found in sorted(measured.items())
        if found and count > 0
    }
    if not values:
        return None
    last = max(values)
    ahead = {count: limits for count, limits in sorted(forecast.items()) if count > last}
    low, high = _span([value for limits in (*values.values(), *ahead.values()) for value in limits])
    most = max((*values, *ahead))
    right, bottom = _CURVE_WIDTH - _RIGHT, _CURVE_HEIGHT - _BOTTOM

    def across(count: float) -> float:
        return _LEFT + (right - _LEFT) * count / most

    def upward(accuracy: float) -> float:
        return bottom - (bottom - _TOP) * (min(max(accuracy, low), high) - low) / (high - low)

    def dot(count: int, limits: tuple[float, float, float], label: str) -> CurveDot:
        lowest, middle, highest = limits
        extent = f" ({100 * lowest:.1f} to {100 * highest:.1f})" if highest > lowest else ""
        name = f"{count:,} {noun}{'' if count == 1 else 's'}"
        figures = f"{100 * middle:.1f} %{extent}"
        return CurveDot(across(count), upward(middle), upward(lowest), upward(highest), f"{label}{name}", figures)

    dots = [dot(count, limits, "") for count, limits in values.items()]
    start = CurveDot(dots[-1].x, dots[-1].y, dots[-1].y, dots[-1].y, dots[-1].label, dots[-1].figures)
    steps = [low + (high - low) * number / 4 for number in range(5)]
    return Curve(
        _CURVE_WIDTH,
        _CURVE_HEIGHT,
        dots,
        [start, *(dot(count, limits, "forecast: ") for count, limits in ahead.items())] if ahead else (),
        [(across(count), f"{count:,}") for count in _round_steps(most)],
        [(upward(step), f"{100 * step:.0f} %") for step in steps],
        (_LEFT, _TOP, right, bottom),
    )


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Return the narrowest limits from 0 to 1 of an axis around accuracies, with ticks at whole numbers of percent."""
    low, high = 100 * max(min(values), 0.0), 100 * min(max(values), 1.0)
    for step in _STEPS:
        lowest = min(math.floor(low / step) * step, 100 - 4 * step)
        if lowest + 4 * step >= high:
            return lowest / 100, (lowest + 4 * step) / 100
    return 0.0, 1.0


def _round_steps(most: int) -> list[int]:
    """Return round numbers from 0 to at most `most`, about four of them."""
    rough = max(most / 4, 1)
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return list(range(0, most + 1, step))
