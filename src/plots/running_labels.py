"""The labels that a model gives to the frames of a clip, drawn beside its skeleton: names with bars."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..utils.foreign_text import printable
from .drawing import LIGHT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LABELS = 3
_LONGEST_NAME = 22
_ROWS = MOST_LABELS + 1  # with the title


@dataclass(frozen=True)
class LabelledFrames:
    """Frames of a clip, counted from 0, from `start` to before the next ones, and their labels.

    Attributes:
        start: the first frame.
        labels: the most probable labels with their probabilities, the best one first; empty if there is none.
    """

    start: int
    labels: Sequence[tuple[str, float]]


@dataclass(frozen=True)
class RunningLabels:
    """The labels of a clip over time.

    Attributes:
        title: whose labels they are, such as `body 1`; empty if they are those of the whole clip.
        spans: in the order of time.
    """

    title: str
    spans: Sequence[LabelledFrames]

    def at(self, frame: int) -> Sequence[tuple[str, float]]:
        """Return the labels of a frame; empty before the first span."""
        number = bisect_right([span.start for span in self.spans], frame) - 1
        return self.spans[number].labels[:MOST_LABELS] if number >= 0 else ()


def draw_labels(figure: "Figure", running: Sequence[RunningLabels], frame: int, height: float) -> list[Any]:
    """Draw the labels of a frame at the bottom of a figure, one column for each of `running`.

    Args:
        figure: the figure.
        running: the labels of one or two bodies.
        frame: its number in the clip.
        height: of the drawing, as a share of the figure's.

    Returns:
        What was drawn, to be removed before the next frame.
    """
    from matplotlib.patches import Rectangle

    drawn: list[Any] = []
    columns = max(len(running), 1)
    width = (1 - 0.04) / columns
    row = height / (_ROWS + 0.5)
    size = 8.5 if columns == 1 else 7.5
    for number, each in enumerate(running):
        left = 0.04 + number * width
        name_width, bar_width = 0.48 * width, 0.3 * width
        if each.title:
            drawn.append(_text(figure, left, height - 0.5 * row, each.title, LIGHT.faint_ink, size))
        for place, (name, share) in enumerate(each.at(frame)):
            middle = height - (place + 1.5) * row
            ink = LIGHT.ink if place == 0 else LIGHT.faint_ink
            drawn.append(_text(figure, left, middle, _shortened(name, columns), ink, size, bold=place == 0))
            for extent, colour in ((1.0, LIGHT.grid), (share, LIGHT.bodies[number % 2]["left"])):
                corner = (left + name_width, middle - 0.25 * row)
                bar = Rectangle(corner, extent * bar_width, 0.5 * row, transform=figure.transFigure, color=colour, lw=0)
                figure.add_artist(bar)
                drawn.append(bar)
            after = left + name_width + bar_width + 0.015
            drawn.append(_text(figure, after, middle, f"{100 * share:.0f} %", ink, size))
        if not each.at(frame):
            drawn.append(_text(figure, left, height - 1.5 * row, "no body", LIGHT.faint_ink, size))
    return drawn


def _shortened(name: str, columns: int) -> str:
    shown, most = printable(name), _LONGEST_NAME // columns
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def _text(figure: "Figure", x: float, y: float, text: str, ink: str, size: float, *, bold: bool = False) -> Any:
    found = figure.text(x, y, text, color=ink, fontsize=size, va="center")
    found.set(parse_math=False, fontweight="bold" if bold else "normal")
    return found
