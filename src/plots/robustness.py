"""Figure of how accuracy falls when clips are disturbed more and more."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .figures import LINE, SOFT_INK, TEST_COLOUR, picture, write_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3
_PANEL_INCHES = (2.7, 2.1)


@dataclass(frozen=True)
class Disturbed:
    """One disturbance.

    Attributes:
        name, unit: what is done, and what its levels are.
        points: the label of each level, the accuracy there in percent, and the limits of its interval.
        problem: why it was not measured; shown instead of the points.
    """

    name: str
    unit: str
    points: Sequence[tuple[str, float, float, float]]
    problem: str = ""


def draw_robustness(disturbed: Sequence[Disturbed], path: Path, title: str) -> None:
    """Draw a panel for each disturbance as a PNG: accuracy by its level, with intervals.

    Raises:
        UserError: matplotlib cannot be imported, or the file cannot be written.
    """
    rows = -(-len(disturbed) // _COLUMNS)
    width, height = _PANEL_INCHES
    with picture(path, (_COLUMNS * width, rows * height)) as figure:
        panels = figure.subplots(
            rows, _COLUMNS, squeeze=False, sharey=True, gridspec_kw={"hspace": 0.75, "wspace": 0.12}
        )
        for number, axes in enumerate(panels.flat):
            if number < len(disturbed):
                _draw_panel(axes, disturbed[number])
            else:
                axes.set_axis_off()
        for row in panels:
            row[0].set_ylabel("top-1 %")
        write_title(panels[0][0], title, "top-1 on disturbed clips, with 95 % intervals over clips")


def _draw_panel(axes: "Axes", one: Disturbed) -> None:
    axes.set_title(one.name, loc="left", fontsize=9)
    axes.set(ylim=(0, 100), xlabel=one.unit)
    axes.grid(axis="y", color=LINE, linewidth=0.6, alpha=0.7)
    if one.problem:
        axes.text(0.5, 0.5, one.problem, ha="center", va="center", wrap=True, fontsize=8, transform=axes.transAxes)
        axes.set_xticks([])
        return
    labels, values, lows, highs = zip(*one.points, strict=True)
    places = range(len(labels))
    axes.fill_between(places, lows, highs, color=TEST_COLOUR, alpha=0.18, linewidth=0)
    axes.plot(places, values, color=TEST_COLOUR, marker="o", markersize=3.5, linewidth=1.5)
    axes.set_xticks(list(places), list(labels))
    axes.tick_params(labelsize=8)
    axes.axhline(values[0], color=SOFT_INK, linewidth=0.7, dashes=(4, 3))
