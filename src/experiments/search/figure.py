"""Plot of a search: the result of every candidate by each of its settings."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from ...plots import figures
from ...utils.numbers import counted
from ..sweep.plan import BASELINE
from ..sweep.results import METRIC
from .plan import Search
from .results import Stage, Standing
from .space import SearchedSetting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#9aa5b1", "#0b69a3", "#d9480f", "#7048a8", "#2f7d32")  # of the schedules, shortest first
_PANEL_INCHES, _HEIGHT_INCHES, _MOST_IN_A_ROW = 3.2, 2.8, 4


def draw_search(search: Search, standing: Standing, title: str, path: Path) -> bool:
    """Draw a PNG with one panel per searched setting, and return whether there was anything to draw.

    Raises:
        UserError: matplotlib cannot be imported, or the file cannot be written.
    """
    if standing.best() is None:
        return False
    panels = len(search.settings)
    across = min(panels, _MOST_IN_A_ROW)
    down = math.ceil(panels / across)
    with figures.picture(path, (_PANEL_INCHES * across, _HEIGHT_INCHES * down)) as figure:
        grid = figure.subplots(down, across, squeeze=False, sharey=True, gridspec_kw={"wspace": 0.12, "hspace": 0.45})
        cells = list(grid.flat)
        for setting, axes in zip(search.settings, cells, strict=False):
            _draw_panel(axes, search, standing, setting)
        for axes in cells[panels:]:
            axes.set_visible(False)
        for row in grid:
            row[0].set_ylabel(f"{METRIC.title}, %")
        figures.write_title(cells[0], title, "dashed: the recipe's own settings")
        figure.legend(*cells[0].get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(0.9, 0.9), frameon=False)
    return True


def _draw_panel(axes: "Axes", search: Search, standing: Standing, setting: SearchedSetting) -> None:
    """Draw the results of all candidates by one setting, a colour for each length of the schedule."""
    for stage in standing.stages:
        colour = _COLOURS[search.lengths.index(stage.epochs) % len(_COLOURS)]
        if points := _points(search, stage, setting):
            axes.plot(*zip(*points, strict=True), "o", color=colour, label=counted(stage.epochs, "epoch"))
        own = stage.results[0].together
        if own.known:
            axes.axhline(own.mean, color=colour, linewidth=1.0, linestyle=(0, (4, 3)), zorder=0)
    axes.set_xlabel(setting.key)
    axes.grid(axis="y", color=figures.LINE, linewidth=0.6, alpha=0.7)
    if setting.values:
        axes.set_xticks(range(len(setting.values)), [figures.shortened(each) for each in setting.values])
        axes.set_xlim(-0.5, len(setting.values) - 0.5)
    elif setting.logarithmic:
        axes.set_xscale("log")
        ticks = [setting.low, math.sqrt(setting.low * setting.high), setting.high]
        axes.set_xticks(ticks, [f"{each:.2g}" for each in ticks])
        axes.minorticks_off()


def _points(search: Search, stage: Stage, setting: SearchedSetting) -> list[tuple[float, float]]:
    """Return the position of each measured candidate's value on the axis, and its result in percent."""
    found = []
    for each in stage.results:
        if each.variant != BASELINE and each.together.known:
            text = search.candidate(each.variant).values[setting.key]
            position = setting.values.index(text) if setting.values else float(text)
            found.append((position, each.together.mean))
    return found
