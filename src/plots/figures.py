"""Figures of an evaluation, and what all figures share: style, titles, axes, saving.

They are drawn with matplotlib's Agg canvas, without a window or the state of `pyplot`. Class names and titles are
shown literally: a `$` in a folder's name does not start a formula.
"""

import logging
import math
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..utils.extras import extra_problem
from ..utils.files import atomic_path
from ..utils.numbers import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class ClassFigures(Protocol):
    """Contents of the accuracy bar of one class: index, number of clips, number and percentage of correct ones."""

    @property
    def index(self) -> int: ...
    @property
    def clips(self) -> int: ...
    @property
    def correct(self) -> int: ...
    @property
    def accuracy(self) -> float | None: ...


_logger = logging.getLogger(__name__)

_DOTS_PER_INCH = 150
_LONGEST_NAME = 36
_MOST_CLASSES_WITH_COUNTS = 24
_MOST_BARS = 20
_LEAST_LABEL_POINTS = 6.5
_NARROWEST_MATRIX_INCHES, _WIDEST_MATRIX_INCHES = 2.4, 24.0
_TALLEST_SCALE_INCHES = 5.0
_LEAST_SPAN, _LEAST_CURVE_SPAN = 2.0, 10.0  # percentage points on an axis
_CLIPS_SHOWN = 20  # an axis spans at least this many clips, so that a difference of one clip does not look large
_TITLE_LINES = 3
_NARROWEST_TITLE_INCHES, _TITLE_LETTER_POINTS = 6.0, 8.2
_WORTH_STATING = 0.1  # percentage points

_INK, SOFT_INK, LINE, _EMPTY = "#1f2933", "#616e7c", "#cbd2d9", "#eceff1"
TRAIN_COLOUR, TEST_COLOUR = "#9aa5b1", "#0b69a3"
_STYLE: Any = {
    "text.usetex": False,
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": _INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT_INK,
    "axes.linewidth": 0.8,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT_INK,
    "ytick.labelcolor": SOFT_INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draws_or_warns(what: str) -> bool:
    """Tell whether figures can be drawn; if not, warn that `what`, such as `Drawing the plot`, is skipped.

    Called before the work starts, so that a missing plot is known in advance.
    """
    problem = extra_problem("matplotlib", what)
    if problem is not None:
        _logger.warning("%s (the command continues without)", problem)
    return problem is None


def draw_confusion(
    confusion: NDArray[np.int64],
    class_names: Sequence[str],
    path: Path,
    title: str,
    unusable: int = 0,
    state: str = "",
) -> None:
    """Draw a confusion matrix (classes, classes; rows true, columns predicted) as a PNG.

    The colour of a cell is its share of its row, on a scale that stretches small shares; a class without clips is grey.
    Small matrices have counts in their cells. The subtitle has the model's `state`, such as `after epoch 19`, top-1,
    and the number of `unusable` clips, whose scores are not finite: they are in no cell and count as wrong.

    Raises:
        UserError: matplotlib cannot be imported, or the file cannot be written.
    """
    classes = len(class_names)
    side = min(max(classes * _cell_inches(classes), _NARROWEST_MATRIX_INCHES), _WIDEST_MATRIX_INCHES)
    scale_height = min(side, _TALLEST_SCALE_INCHES) / side
    width = side + 1.0
    with picture(path, (width, side)) as figure:
        axes = figure.add_axes((0.0, 0.0, side / width, 1.0))
        scale = figure.add_axes((1.0 - 0.75 / width, 1.0 - scale_height, 0.16 / width, scale_height))
        _draw_cells(axes, scale, confusion)
        _label_cells(axes, class_names, side / classes)
        if classes <= _MOST_CLASSES_WITH_COUNTS:
            _write_counts(axes, confusion)
        clips, correct = int(confusion.sum()) + unusable, int(np.trace(confusion))
        figures = f"top-1 {100 * correct / max(clips, 1):.1f}%, {correct:,} of {counted(clips, 'clip')}"
        figures += f"; {unusable:,} unusable" if unusable else ""
        write_title(axes, title, "; ".join(filter(None, [state, figures])), enlarged=side / 8)


def draw_class_accuracy(results: Sequence[ClassFigures], class_names: Sequence[str], path: Path, title: str) -> None:
    """Draw the accuracy of each class as sorted bars in a PNG, the lowest on top; of many classes only the lowest 20.

    Raises:
        ValueError: no class has a clip.
        UserError: matplotlib cannot be imported, or the file cannot be written.
    """
    rated = [(result.accuracy, result) for result in results if result.accuracy is not None]
    if not rated:
        raise ValueError("No class has a clip, so there is no accuracy to draw.")
    rated.sort(key=lambda pair: (pair[0], pair[1].index))
    shown = rated[:_MOST_BARS]
    which = f"the {len(shown)} least accurate of {len(rated)} classes" if shown != rated else "accuracy by class"
    with picture(path, (6.0, 0.3 * len(shown) + 0.2)) as figure:
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.barh(range(len(shown)), [accuracy for accuracy, _ in shown], height=0.68, color=TEST_COLOUR)
        mean = float(np.mean([accuracy for accuracy, _ in rated]))
        axes.axvline(mean, color=SOFT_INK, linewidth=0.8, dashes=(4, 3))
        for row, (accuracy, result) in enumerate(shown):
            text = f"{accuracy:.1f}  ({result.correct}/{result.clips})"
            axes.text(102, row, text, va="center", fontsize=8, color=SOFT_INK)
        axes.set_yticks(range(len(shown)), [shortened(class_names[result.index]) for _, result in shown])
        axes.tick_params(length=0)
        axes.set(xlim=(0, 100), ylim=(len(shown) - 0.4, -0.6), xlabel="% of the class's clips recognised")
        write_title(axes, title, f"{which}; dashed: mean class accuracy, {mean:.1f}%")


def span_of_clips(clips: int | None) -> float:
    """Return the minimum span of an axis in percentage points, so that a difference of one clip looks small."""
    return min(max(_LEAST_SPAN, _CLIPS_SHOWN * points_of_a_clip(clips)), 100.0)


def span_of_curve(clips: int | None) -> float:
    """Return the minimum span of a curve's axis in percentage points, larger than for bars."""
    return max(_LEAST_CURVE_SPAN, span_of_clips(clips))


def points_of_a_clip(clips: int | None) -> float:
    """Return the percentage points per clip of a part; 0 if its size is not known."""
    return 100.0 / clips if clips else 0.0


def spread_out(low: float, high: float, least: float) -> tuple[float, float]:
    """Return the ends of an axis in percent, at least `least` points apart.

    They stay between 0 and 100 with a small margin, if possible.
    """
    missing = max(least - (high - low), 0.0) / 2
    if not missing:
        return low, high
    low, high = low - missing, high + missing
    air = 0.03 * (high - low)
    shift = max(-air - low, 0.0) - max(high - 100.0 - air, 0.0)
    return low + shift, high + shift


@contextmanager
def missing_letters_as_boxes() -> Iterator[None]:
    """Draw letters that the font lacks, such as Chinese ones, as boxes without a warning for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


@contextmanager
def picture(path: Path, size_inches: tuple[float, float]) -> "Iterator[Figure]":
    """Yield a figure; save it, cropped to its content, if the block succeeds."""
    problem = extra_problem("matplotlib", "Drawing a picture")
    if problem is not None:
        raise problem
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE), missing_letters_as_boxes():
        figure = Figure(figsize=size_inches, dpi=_DOTS_PER_INCH)
        FigureCanvasAgg(figure)
        yield figure
        with atomic_path(path) as temporary:
            _save(figure, temporary)


def _save(figure: "Figure", path: Path) -> None:
    figure.savefig(path, format="png", bbox_inches="tight", pad_inches=0.25)


def _cell_inches(classes: int) -> float:
    """Return the side of a cell in inches: enough for a count, or for a line of a label if there are many classes."""
    return min(max(12.0 / classes, 0.15), 0.5)


def _draw_cells(axes: "Axes", scale: "Axes", confusion: NDArray[np.int64]) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.where(totals > 0, 100.0 * confusion / np.maximum(totals, 1), np.nan)
    colours = colormaps["Blues"].with_extremes(bad=_EMPTY)
    image = axes.imshow(shares, cmap=colours, norm=PowerNorm(0.5, 0, 100), aspect="auto", interpolation="nearest")
    bar = axes.figure.colorbar(image, cax=scale, ticks=[0, 1, 5, 10, 25, 50, 75, 100])
    bar.outline.set_visible(False)
    scale.set_ylabel("% of the true class's clips")


def _label_cells(axes: "Axes", class_names: Sequence[str], cell_inches: float) -> None:
    points = min(9.0, max(72 * cell_inches * 0.75, _LEAST_LABEL_POINTS))
    step = math.ceil(points / (72 * cell_inches))
    labelled = range(0, len(class_names), step)
    names = [shortened(class_names[index]) for index in labelled]
    axes.set_xticks(labelled, names, rotation=90)
    axes.set_yticks(labelled, names)
    axes.tick_params(length=0, labelsize=points)
    axes.set_xlabel("predicted", fontsize=11, labelpad=10)
    axes.set_ylabel("true", fontsize=11, labelpad=10)
    edges = np.arange(len(class_names) + 1) - 0.5
    axes.hlines(edges, -0.5, edges[-1], color="white", linewidth=0.6)
    axes.vlines(edges, -0.5, edges[-1], color="white", linewidth=0.6)
    axes.spines[:].set_visible(False)


def _write_counts(axes: "Axes", confusion: NDArray[np.int64]) -> None:
    totals = np.maximum(confusion.sum(axis=1), 1)
    for row, column in np.argwhere(confusion):
        colour = "white" if confusion[row, column] > 0.35 * totals[row] else _INK
        axes.text(column, row, f"{confusion[row, column]}", ha="center", va="center", color=colour, fontsize=8)


def plot_column(
    axes: "Axes",
    rows: Sequence[Mapping[str, Any]],
    name: str,
    colour: str,
    label: str,
    dashes: tuple[float, float] | None = None,
) -> None:
    """Draw the finite values of a logbook column over the epochs."""
    points = finite_points(rows, name)
    marker = "o" if len(points) <= 10 else ""
    axes.plot(
        [epoch for epoch, _ in points],
        [value for _, value in points],
        color=colour,
        label=label,
        linewidth=1.6,
        linestyle="-" if dashes is None else (0, dashes),
        marker=marker,
        markersize=3.5,
    )


def finite_points(rows: Sequence[Mapping[str, Any]], name: str) -> list[tuple[int, float]]:
    """Return (epoch, value) of the rows with a finite value."""
    pairs = [(int(row["epoch"]), row.get(name)) for row in rows]
    return [(epoch, float(value)) for epoch, value in pairs if value is not None and math.isfinite(value)]


def worth_of_a_clip(clips: int | None) -> str:
    """Return a note on the size of the test part, if a difference of one clip is visible."""
    points = points_of_a_clip(clips)
    if clips == 1:
        return "; of one clip"
    return f"; one of the {clips} clips is {points:.1f} points" if points >= _WORTH_STATING else ""


def write_title(axes: "Axes", title: str, subtitle: str, enlarged: float = 1.0) -> None:
    """Write a title and a subtitle above the panel, at most twice their usual size.

    A title that is much wider than the panel takes up to three lines; the rest is cut.
    """
    factor = min(max(enlarged, 1.0), 2.0)
    position: dict[str, Any] = {"xy": (0, 1), "xycoords": "axes fraction", "textcoords": "offset points"}
    room_inches = max(axes.get_window_extent().width / _DOTS_PER_INCH, _NARROWEST_TITLE_INCHES)
    fitting = int(72 * room_inches / (_TITLE_LETTER_POINTS * factor))
    lines = textwrap.wrap(" ".join(title.split()), fitting, max_lines=_TITLE_LINES, placeholder=" …")
    large: dict[str, Any] = {"fontsize": 13 * factor, "weight": "bold", "va": "bottom"}
    axes.annotate("\n".join(lines), xytext=(0, 21 * factor), **large, **position)
    axes.annotate(subtitle, xytext=(0, 8 * factor), fontsize=10 * factor, color=SOFT_INK, **position)


def shortened(name: str, longest: int = _LONGEST_NAME) -> str:
    """Return a class name on one line, cut to a length that fits the figure."""
    line = " ".join(name.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
