"""Plot of a training sequence: accuracy of each student alone and distilled, beside its teacher's."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...plots import figures
from ...utils.spread import MeanDeviation
from .table import METRIC, DataResult, Student

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ALONE, _DISTILLED, _TEACHER = "#7b8794", "#0b69a3", "#d9480f"
_AXIS = f"test {METRIC.title} after the last epoch, %"
_WIDTH_INCHES, _STUDENT_INCHES, _BETWEEN_INCHES = 6.5, 0.48, 1.05
_MARGIN_SHARE, _LEAST_MARGIN = 0.1, 0.2


def draw_sequence(found: Sequence[DataResult], path: Path) -> None:
    """Draw a PNG with one panel per data set and one line per student: accuracy alone, distilled, and of the teacher.

    Error bars are standard deviations over seeds. Runs that are not trained yet have no point.

    Raises:
        UserError: matplotlib cannot be imported, or the file cannot be written.
    """
    sides = [max(len(result.students), 1) * _STUDENT_INCHES for result in found]
    height = sum(sides) + _BETWEEN_INCHES * (len(found) - 1)
    with figures.picture(path, (_WIDTH_INCHES, height)) as figure:
        top = height
        for result, side in zip(found, sides, strict=True):
            axes = figure.add_axes((0.0, (top - side) / height, 1.0, side / height))
            _draw_panel(axes, result)
            top -= side + _BETWEEN_INCHES


def _draw_panel(axes: "Axes", result: DataResult) -> None:
    teacher = result.teacher.spread
    for row, student in enumerate(result.students):
        _draw_student(axes, student, row)
    if teacher.known:
        axes.axvline(teacher.mean, color=_TEACHER, linewidth=1.2, dashes=(4, 3), zorder=1)
    name = result.teacher.step.config.model.title
    beside: dict[str, Any] = {"xycoords": "axes fraction", "xytext": (8, 8), "textcoords": "offset points"}
    axes.annotate("gain", xy=(1.0, 1.0), **beside)
    known = f"teacher {name}: {teacher}{'%' if teacher.known else ''}"
    figures.write_title(axes, result.data, known)
    worth = figures.worth_of_a_clip(result.test_clips).lstrip("; ")
    axes.set_xlabel(_AXIS + (f" ({worth})" if worth else ""))
    _write_legend(axes)
    axes.set_yticks(range(len(result.students)), [_label(student) for student in result.students])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=figures.LINE, linewidth=0.6, alpha=0.7)
    axes.set_axisbelow(True)
    axes.set(xlim=_limits(result, teacher), ylim=(max(len(result.students), 1) - 0.5, -0.5))


def _draw_student(axes: "Axes", student: Student, row: int) -> None:
    """Draw the two points of a student, the line between them, and the gain beside it."""
    if student.alone.known and student.distilled.known:
        ends = [student.alone.mean, student.distilled.mean]
        axes.plot(ends, [row, row], color=_DISTILLED, linewidth=3.0, alpha=0.3, solid_capstyle="butt", zorder=2)
    for spread, colour in ((student.alone, _ALONE), (student.distilled, _DISTILLED)):
        if spread.known:
            width = spread.deviation if math.isfinite(spread.deviation) else None
            axes.errorbar(
                spread.mean, row, xerr=width, fmt="o", color=colour, markersize=7, elinewidth=1.2, capsize=3, zorder=3
            )
    if student.gain.known:
        colour = _DISTILLED if student.gain.mean >= 0 else _TEACHER
        axes.annotate(
            student.gain.text("+"),
            xy=(1.0, row),
            xycoords=("axes fraction", "data"),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            weight="bold",
        )


def _write_legend(axes: "Axes") -> None:
    """Draw the legend above the right end of the panel."""
    point: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 7}
    axes.plot([], [], color=_ALONE, label="alone", **point)
    axes.plot([], [], color=_DISTILLED, label="distilled", **point)
    axes.plot([], [], color=_TEACHER, linewidth=1.2, dashes=(4, 3), label="teacher")
    position: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "ncols": 3, "columnspacing": 1.4}
    axes.legend(frameon=False, handletextpad=0.5, borderaxespad=0.3, **position)


def _label(student: Student) -> str:
    if student.parameters is None:
        return student.title
    return f"{student.title}\n{student.parameters / 1000:,.0f} thousand parameters"


def _limits(result: DataResult, teacher: MeanDeviation) -> tuple[float, float]:
    """Return the limits of the axis: all points with their error bars and a margin, or 0 to 100 without points.

    The range is wide enough that the difference of one test clip looks small.
    """
    ends = [
        spread.mean + side * (spread.deviation if math.isfinite(spread.deviation) else 0.0)
        for spread in (teacher, *(each for student in result.students for each in (student.alone, student.distilled)))
        if spread.known
        for side in (-1.0, 1.0)
    ]
    if not ends:
        return 0.0, 100.0
    low, high = min(ends), max(ends)
    margin = max(_MARGIN_SHARE * (high - low), _LEAST_MARGIN)
    return figures.spread_out(low - margin, high + margin, figures.span_of_clips(result.test_clips))
