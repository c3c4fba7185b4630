"""Figure of a training run: losses, the metric and the learning rate by epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .figures import (
    LINE,
    SOFT_INK,
    TEST_COLOUR,
    TRAIN_COLOUR,
    finite_points,
    picture,
    plot_column,
    span_of_curve,
    spread_out,
    worth_of_a_clip,
    write_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEGEND_LINE = 0.09  # fraction of the height of a panel
_LOGARITHMIC_FROM = 30  # maximum in multiples of the median


@dataclass(frozen=True)
class CurveFacts:
    """Descriptions of the lines of a training curve.

    Attributes:
        train, test: descriptions of the two losses and their clips, since they are different quantities.
        part: the column and the description of a term of the train loss that is drawn too; empty for none.
        weights: the prefix of the columns for the tested weights: `ema_` for averaged ones.
        test_clips: the number of tested clips; None if it is not known.
        metric: the name of the metric in the rows, its title and its unit.
        higher_is_better: whether the best epoch has its highest value.
    """

    train: str = "minimised loss, augmented clips"
    test: str = "plain cross-entropy, unaugmented clips"
    part: tuple[str, str] = ("", "")
    weights: str = ""
    test_clips: int | None = None
    metric: tuple[str, str, str] = ("top1", "top-1", "%")
    higher_is_better: bool = True


_UNKNOWN_FACTS = CurveFacts()


def draw_training_curve(
    rows: Sequence[Mapping[str, Any]], path: Path, title: str, facts: CurveFacts = _UNKNOWN_FACTS
) -> None:
    """Draw the curves of a run as a PNG: loss and metric of train and test parts and the learning rate by epoch.

    The best epoch is marked: the first one with the best metric on held-out training clips if the run has them, else on
    the test part.

    Args:
        rows: the logbook's rows, with `epoch`, `train_loss`, `test_loss`, `train_`, `test_` and `val_<metric>`,
            the column of `facts.part`, and `learning_rate`. Missing and non-finite values are not
            drawn.
        path: the file.
        title: the title of the figure.
        facts: the texts of the legends.

    Raises:
        ValueError: there is no row.
        UserError: matplotlib cannot be imported, or the file cannot be written.
    """
    if not rows:
        raise ValueError("A training curve needs at least one epoch.")
    with picture(path, (8.0, 7.0)) as figure:
        panels = figure.subplots(3, 1, sharex=True, height_ratios=[3, 3, 1], gridspec_kw={"hspace": 0.1})
        loss, metric, rate = panels
        _plot_loss(loss, rows, facts)
        _plot_metric(metric, rows, facts)
        plot_column(rate, rows, "learning_rate", SOFT_INK, "")
        epochs = [int(row["epoch"]) for row in rows]
        rate.set(ylabel="learning\nrate", xlabel="epoch", xlim=(min(epochs) - 0.5, max(epochs) + 0.5))
        rate.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        rate.yaxis.set_major_formatter("{x:g}")
        for axes in panels:
            axes.grid(axis="y", color=LINE, linewidth=0.6, alpha=0.7)
        figure.align_ylabels(panels)
        write_title(loss, title, _mark_best(panels, rows, facts))


def _plot_loss(axes: "Axes", rows: Sequence[Mapping[str, Any]], facts: CurveFacts) -> None:
    columns = ("train_loss", facts.part[0], f"{facts.weights}test_loss")
    plot_column(axes, rows, columns[0], TRAIN_COLOUR, f"train: {facts.train}")
    if finite_points(rows, columns[1]):
        plot_column(axes, rows, columns[1], TRAIN_COLOUR, f"train: {facts.part[1]}", dashes=(3, 2))
    plot_column(axes, rows, columns[2], TEST_COLOUR, f"test: {facts.test}")
    axes.set_ylabel("loss")
    values = sorted(value for name in columns for _, value in finite_points(rows, name))
    if values and values[0] > 0 and values[-1] > _LOGARITHMIC_FROM * values[len(values) // 2]:
        axes.set_yscale("log")  # a run that nearly diverged would otherwise compress all other epochs
        axes.yaxis.set_major_formatter("{x:g}")
    _write_curve_legend(axes)


def _write_curve_legend(axes: "Axes") -> None:
    """Write the legend at the top of a panel, above its lines."""
    names = axes.get_legend_handles_labels()[1]
    above = axes.transAxes.transform((0, 1 + _LEGEND_LINE * (len(names) + 0.5)))
    axes.set_ylim(axes.get_ylim()[0], axes.transData.inverted().transform(above)[1])
    look: dict[str, Any] = {"edgecolor": "none", "framealpha": 1.0, "fontsize": 8, "labelcolor": SOFT_INK}
    axes.legend(loc="upper right", alignment="left", borderaxespad=0.2, **look)


def _plot_metric(axes: "Axes", rows: Sequence[Mapping[str, Any]], facts: CurveFacts) -> None:
    name, title, unit = facts.metric
    plot_column(axes, rows, f"train_{name}", TRAIN_COLOUR, "train")
    plot_column(axes, rows, f"{facts.weights}test_{name}", TEST_COLOUR, "test")
    axes.set_ylabel(f"{title}, {unit}" if unit else title)
    if unit == "%":
        axes.set_ylim(spread_out(*axes.get_ylim(), span_of_curve(facts.test_clips)))


def _mark_best(panels: Sequence["Axes"], rows: Sequence[Mapping[str, Any]], facts: CurveFacts) -> str:
    """Mark the best epoch in every panel and return its description."""
    name, title, unit = facts.metric
    tested = dict(finite_points(rows, f"{facts.weights}test_{name}"))
    if not tested:
        return "no test result"
    held_out = dict(finite_points(rows, f"{facts.weights}val_{name}"))
    chooser = {epoch: value for epoch, value in held_out.items() if epoch in tested} or tested
    sign = 1 if facts.higher_is_better else -1
    epoch = max(chooser, key=lambda each: (sign * chooser[each], -each))
    for axes in panels:
        axes.axvline(epoch, color=TEST_COLOUR, linewidth=0.8, dashes=(2, 3))
    panels[1].plot([epoch], [tested[epoch]], "o", color=TEST_COLOUR, markersize=6, markeredgecolor="white")
    last = max(tested)
    best_text, last_text = (f"{tested[each]:.1f}%" if unit == "%" else f"{tested[each]:.4g}" for each in (epoch, last))
    best = f"best {best_text} in epoch {epoch}{', chosen on held-out clips' if held_out else ''}"
    worth = worth_of_a_clip(facts.test_clips) if unit == "%" else ""
    return f"test {title}: {best}; last {last_text} in epoch {last}{worth}"
