"""Plot of a sweep: each variant's difference from the baseline with its interval."""

from collections.abc import Sequence
from pathlib import Path

from ...evaluation.intervals import LEVEL
from ...evaluation.paired import BETTER, WORSE
from ...plots import figures
from .results import METRIC, VariantResult

_COLOURS = {BETTER: "#0b69a3", WORSE: "#d9480f"}
_UNDECIDED = "#7b8794"
_WIDTH_INCHES, _ROW_INCHES, _LEAST_INCHES = 6.5, 0.45, 1.2
_MARGIN_SHARE = 0.05
_LEAST_SPAN = 2.0  # points: the range is wide enough that a fraction of a point looks small


def draw_sweep(results: Sequence[VariantResult], title: str, clips: str, path: Path) -> None:
    """Draw a PNG with one line per variant that has a difference; nothing if there is none.

    Args:
        results: those of all variants.
        title: of the picture.
        clips: by which clips the variants are compared, for the label of the axis.
        path: the PNG.

    Raises:
        UserError: matplotlib cannot be imported, or the file cannot be written.
    """
    shown = [(each.variant, each.difference) for each in results if each.difference is not None]
    if not shown:
        return
    with figures.picture(path, (_WIDTH_INCHES, max(_LEAST_INCHES, _ROW_INCHES * len(shown)))) as figure:
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        for number, (_, difference) in enumerate(shown):
            colour = _COLOURS.get(difference.verdict, _UNDECIDED)
            axes.plot([difference.low, difference.high], [number, number], color=colour, linewidth=2.0)
            axes.plot(difference.mean, number, marker="o", markersize=7, color=colour)
            axes.annotate(
                f"{difference.text()}  {difference.verdict}",
                xy=(1.0, number),
                xycoords=("axes fraction", "data"),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                color=colour,
            )
        axes.axvline(0.0, color=figures.LINE, linewidth=1.0, zorder=0)
        figures.write_title(axes, title, f"difference from the baseline, with {LEVEL:.0%} intervals")
        axes.set_xlabel(f"{METRIC.title} on {clips}, percentage points")
        axes.set_yticks(range(len(shown)), [figures.shortened(name) for name, _ in shown])
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=figures.LINE, linewidth=0.6, alpha=0.7)
        low, high = min(each.low for _, each in shown), max(each.high for _, each in shown)
        margin = _MARGIN_SHARE * (max(high, 0.0) - min(low, 0.0))
        limits = figures.spread_out(min(low, 0.0) - margin, max(high, 0.0) + margin, _LEAST_SPAN)
        axes.set(xlim=limits, ylim=(len(shown) - 0.5, -0.5))
