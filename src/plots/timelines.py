"""A long recording as two bars over time: its true and its predicted events."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .figures import LINE, picture, shortened, write_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH_INCHES, _ROW_INCHES = 10.0, 0.45
_LEGEND_COLUMNS, _MOST_IN_LEGEND = 5, 40
_NONE = "#f1f3f5"  # background, and frames of no class


def draw_timeline(
    true: NDArray[np.int64],
    predicted: NDArray[np.int64],
    class_names: Sequence[str],
    path: Path,
    title: str,
    *,
    subtitle: str = "",
    fps: float = 0.0,
    background: int = -1,
) -> None:
    """Draw the true and the predicted class of each frame, (T,) each, as two coloured bars over time in a PNG.

    The background and frames without a class are pale. The legend names the classes that occur.

    Raises:
        UserError: matplotlib cannot be imported, or the file cannot be written.
    """
    from matplotlib.patches import Patch

    shown = [k for k in np.union1d(true, predicted).tolist() if k >= 0 and k != background]
    colours = dict(zip(shown, _colours(len(shown)), strict=True))
    with picture(path, (_WIDTH_INCHES, 2 * _ROW_INCHES + 0.1)) as figure:
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        scale = fps or 1.0
        for row, labels in enumerate((true, predicted)):
            _draw_runs(axes, row, labels, colours, scale)
        axes.set_yticks([0, 1], ["true", "predicted"])
        axes.tick_params(axis="y", length=0)
        axes.set(xlim=(0, len(true) / scale), ylim=(1.5, -0.5), xlabel="seconds" if fps else "frames")
        axes.spines[:].set_visible(False)
        named = [Patch(color=colours[k], label=shortened(class_names[k])) for k in shown[:_MOST_IN_LEGEND]]
        if len(shown) > _MOST_IN_LEGEND:
            named.append(Patch(color="none", label=f"and {len(shown) - _MOST_IN_LEGEND} more"))
        if background >= 0:
            named.append(Patch(facecolor=_NONE, edgecolor=LINE, label=shortened(class_names[background])))
        # Below the axis and its name, whatever the height of the figure.
        axes.legend(
            handles=named, loc="upper left", bbox_to_anchor=(0.0, -0.55), ncols=_LEGEND_COLUMNS, frameon=False,
            fontsize=8, borderaxespad=0.0, handlelength=1.2,
        )  # fmt: skip
        write_title(axes, title, subtitle)


def _draw_runs(axes: "Axes", row: int, labels: NDArray[np.int64], colours: dict[int, str], scale: float) -> None:
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    spans = [(start / scale, (stop - start) / scale) for start, stop in pairwise(edges)]
    faces = [colours.get(int(labels[start]), _NONE) for start in edges[:-1]]
    axes.broken_barh(spans, (row - 0.4, 0.8), facecolors=faces, linewidth=0)


def _colours(count: int) -> list[str]:
    """Return distinguishable colours: those of a list, then hues at equal distances."""
    from matplotlib import colormaps
    from matplotlib.colors import hsv_to_rgb, to_hex

    if count <= 20:
        return [to_hex(colormaps["tab20"](2 * k if k < 10 else 2 * k - 19)) for k in range(count)]
    return [to_hex(tuple(hsv_to_rgb((k / count, 0.65 + 0.2 * (k % 2), 0.85 - 0.2 * (k % 3))))) for k in range(count)]
