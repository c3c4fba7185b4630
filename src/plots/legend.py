"""The legend of a drawing: which colours are those of left and right, and of which body."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..skeleton.layout import Layout
from .drawing import LIGHT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIZE = 9.0  # of the words, in points
_GAP, _WIDE_GAP = 0.06, 0.22  # between words and between entries, in inches
_LINE_BELOW, _LINE_POINTS = 0.085, 2.2  # inches from the middle of a word to its line, and the line's width


@dataclass(frozen=True)
class Entry:
    """What a legend says of the bodies of one colour.

    Attributes:
        body: the number of one of them, from 0.
        words: each with the side whose colour it has; the side is empty if it has none.
    """

    body: int
    words: tuple[tuple[str, str], ...]


def legend_of(layout: Layout, bodies: Sequence[int]) -> list[Entry]:
    """Return the legend of a drawing; nothing if there is but one colour.

    Args:
        layout: the layout of the bodies.
        bodies: the numbers of those that are drawn, from 0, ascending.
    """
    colours = len(LIGHT.bodies)
    entries = []
    for colour in range(colours):
        alike = [body for body in bodies if body % colours == colour]
        if not alike:
            continue
        title = ("body " if len(alike) == 1 else "bodies ") + ", ".join(str(body + 1) for body in alike)
        if layout.mirror:
            named = [(f"{title}:", "")] if len(bodies) > 1 else []
            entries.append(Entry(alike[0], (*named, ("left", "left"), ("right", "right"))))
        elif len(bodies) > 1:
            entries.append(Entry(alike[0], ((title, "trunk"),)))
    return entries


def draw_legend(figure: "Figure", entries: Sequence[Entry], left: float, middle: float) -> None:
    """Write a legend into a figure: words in a line, each with a line of its colour below.

    Args:
        figure: drawn by Agg.
        entries: the legend.
        left, middle: where it starts and the middle of its height, in inches from the lower left corner.
    """
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    for entry in entries:
        for text, side in entry.words:
            ink = LIGHT.ink if side else LIGHT.faint_ink
            word = figure.text(left / width, middle / height, text, color=ink, fontsize=_SIZE, va="center")
            word.set_fontweight("bold" if side else "normal")
            right = left + word.get_window_extent().width / figure.dpi
            if side:
                below = (middle - _LINE_BELOW) / height
                line = Line2D((left / width, right / width), (below, below), linewidth=_LINE_POINTS)
                line.set(color=LIGHT.bodies[entry.body % len(LIGHT.bodies)][side], transform=figure.transFigure)
                figure.add_artist(line)
            left = right + _GAP
        left += _WIDE_GAP - _GAP
