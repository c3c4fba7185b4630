"""Charts of lines as numbers for the templates, which draw them as SVG."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 14.0, 12.0, 44.0  # margins
_MOST_POINTS = 400  # of one line; more are thinned
_MOST_DOTS = 40
_STEPS = (1, 2, 2.5, 5, 10)
_TICKS = 4

Point = tuple[float, float]
Place = Callable[[float, float], Point]


@dataclass(frozen=True)
class Series:
    """A line of a chart.

    Attributes:
        name: for the key below the chart; empty for none.
        style: the class of its style: `first`, `second`, `third`, or `guide` for a thin dashed line.
        points: x and y.
        band: for each point the limits of its interval; empty for none.
    """

    name: str
    style: str
    points: Sequence[Point]
    band: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class DrawnSeries:
    """A line in the units of the drawing: its path, its dots if they are few, and the outline of its band."""

    name: str
    style: str
    path: str
    dots: Sequence[Point]
    band: str


@dataclass(frozen=True)
class LineChart:
    """Lines with axes.

    Attributes:
        width, height: of the drawing.
        series: the lines.
        across, up: ticks of the axes, each with its place and its text.
        frame: left, top, right and bottom of the field inside the axes.
    """

    width: float
    height: float
    series: Sequence[DrawnSeries]
    across: Sequence[tuple[float, str]]
    up: Sequence[tuple[float, str]]
    frame: tuple[float, float, float, float]


def lines_of(
    series: Sequence[Series],
    *,
    across: Sequence[tuple[float, str]] = (),
    up: tuple[float, float] | None = None,
    size: tuple[float, float] = (440.0, 260.0),
) -> LineChart | None:
    """Return the chart of some lines; None if no line has a finite point.

    Args:
        series: the lines; points that are not finite are left out.
        across: the ticks of the horizontal axis; round numbers if empty.
        up: the limits of the vertical axis; those of the points if None.
        size: width and height of the drawing.
    """
    kept = [_finite(each) for each in series]
    points = [point for each in kept for point in each.points]
    if not points:
        return None
    columns = [x for x, _ in points] + [x for x, _ in across]
    left, right = min(columns), max(columns)
    heights = [y for _, y in points] + [y for each in kept for limits in each.band for y in limits]
    ticks = round_ticks(*(up or (min(heights), max(heights))))
    low, high = up or (min(ticks[0], min(heights)), max(ticks[-1], max(heights)))
    frame = (_LEFT, _TOP, size[0] - _RIGHT, size[1] - _BOTTOM)

    def place(x: float, y: float) -> Point:
        share = (x - left) / (right - left) if right > left else 0.5
        height = (min(max(y, low), high) - low) / (high - low) if high > low else 0.5
        return frame[0] + share * (frame[2] - frame[0]), frame[3] - height * (frame[3] - frame[1])

    shown = across or [(tick, f"{tick:g}") for tick in round_ticks(left, right) if left <= tick <= right]
    return LineChart(
        *size,
        [_drawn(each, place) for each in kept if each.points],
        [(place(x, low)[0], text) for x, text in shown],
        [(place(left, tick)[1], f"{tick:g}") for tick in ticks if low <= tick <= high],
        frame,
    )


def round_ticks(low: float, high: float) -> list[float]:
    """Return round numbers at equal steps around a range, about four of them."""
    span = high - low if high > low else max(abs(high), 1.0)
    rough = span / _TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in _STEPS if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def _finite(series: Series) -> Series:
    """Return a line without points that are not finite, and with few enough points."""
    rows = [number for number, point in enumerate(series.points) if all(map(math.isfinite, point))]
    if len(rows) > _MOST_POINTS:
        rows = [rows[number * (len(rows) - 1) // (_MOST_POINTS - 1)] for number in range(_MOST_POINTS)]
    band = [series.band[row] for row in rows] if series.band else ()
    return Series(series.name, series.style, [series.points[row] for row in rows], band)


def _drawn(series: Series, place: Place) -> DrawnSeries:
    dots = [place(x, y) for x, y in series.points]
    band = ""
    if series.band:
        columns = [x for x, _ in series.points]
        upper = [place(x, high) for x, (_, high) in zip(columns, series.band, strict=True)]
        lower = [place(x, low) for x, (low, _) in zip(columns, series.band, strict=True)]
        band = _text([*upper, *reversed(lower)])
    few = series.style != "guide" and len(dots) <= _MOST_DOTS
    return DrawnSeries(series.name, series.style, _text(dots), dots if few else (), band)


def _text(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
