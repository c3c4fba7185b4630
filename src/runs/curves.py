"""Plot of several runs: the primary test metric and the train loss over the epochs, one line per run.

The plotted loss is the term that all runs have, on augmented clips. For classification it is the cross-entropy with the
run's own label smoothing, without the other terms of the run's loss.
"""

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from ..plots import figures
from ..tasks.measures import PERCENT
from ..utils.numbers import counted
from .results import Run

_COLOURS = ("#0b69a3", "#d9480f", "#2b8a3e", "#862e9c", "#d69e00", "#0b9aa5", "#c2255c", "#6b4f3a")
_DASHES = ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (6, 2, 1.2, 2)))
_LOOKS = [(colour, dash) for dash, colour in product(_DASHES, _COLOURS)]
_MOST_IN_A_COLUMN = 16
_FEW = 4
_LONGEST_NAME = 36
_LOSS = "train loss of the labels,\nwith the run's smoothing"


def draw_curves(runs: Sequence[Run], path: Path) -> None:
    """Draw the primary test metric and the train loss of runs as a PNG, each with its final metric in the legend.

    A run without epochs has no line, and its legend says so.

    Raises:
        ValueError: no run has an epoch.
        UserError: matplotlib cannot be imported, or the file cannot be written.
    """
    if not any(run.rows for run in runs):
        raise ValueError("None of the runs has an epoch to draw.")
    primary = runs[0].measures.primary_metric
    width = 1.6 if len(runs) <= _FEW else 1.2
    with figures.picture(path, (8.0, 6.4)) as figure:
        metric, loss = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2], gridspec_kw={"hspace": 0.1})
        for number, (run, label) in enumerate(zip(runs, _labels(runs), strict=True)):
            colour, dash = _LOOKS[number % len(_LOOKS)]
            for axes, name in (
                (metric, f"{run.weights_prefix}test_{run.measures.primary}"),
                (loss, run.comparable_loss_column),
            ):
                figures.plot_column(axes, run.rows, name, colour, label)
                line = axes.get_lines()[-1]
                line.set(linestyle=dash, linewidth=width)
                if not run.rows:  # it has no line in the plot, so it gets no handle in the legend
                    line.set(linestyle="none", marker="")
        for axes in (metric, loss):
            axes.grid(axis="y", color=figures.LINE, linewidth=0.6, alpha=0.7)
        if primary.unit == PERCENT:
            low, high = metric.get_ylim()
            metric.set_ylim(figures.spread_out(low, high, figures.span_of_curve(_test_clips(runs))))
        epochs = [row["epoch"] for run in runs for row in run.rows]
        metric.set_ylabel(f"test {primary.label}")
        labelled = all(run.measures.classifies for run in runs)
        loss.set(
            ylabel=_LOSS if labelled else "train loss", xlabel="epoch", xlim=(min(epochs) - 0.5, max(epochs) + 0.5)
        )
        loss.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        figure.align_ylabels([metric, loss])
        columns = math.ceil(len(runs) / _MOST_IN_A_COLUMN)
        look = {"frameon": False, "labelspacing": 0.9, "handlelength": 2.6, "alignment": "left"}
        metric.legend(
            loc="upper left",
            bbox_to_anchor=(1.01, 1.02),
            ncols=columns,
            title=f"final test {primary.title}",
            **look,
        )
        figures.write_title(metric, *_title(runs))


def _test_clips(runs: Sequence[Run]) -> int | None:
    """Return the number of clips in the smallest known test part of the runs."""
    known = [run.figure("test_clips") for run in runs if math.isfinite(run.figure("test_clips"))]
    return int(min(known)) if known else None


def _title(runs: Sequence[Run]) -> tuple[str, str]:
    """Return the title and the line below it: what the runs have in common."""
    known = [{getattr(run, what) for run in runs} - {""} for what in ("model_title", "data")]
    title = " on ".join(values.pop() for values in known if len(values) == 1)
    return figures.shortened(title) or "Runs compared", f"{len(runs)} runs"


def _labels(runs: Sequence[Run]) -> list[str]:
    """Return the legend entry of each run: its name, what distinguishes it, its result."""
    distinct = [what for what in ("model_title", "data") if _several(runs, what)]
    seeds = len({run.seed for run in runs}) > 1
    labels = []
    for run in runs:
        facts = [getattr(run, what) for what in distinct] + [run.distillation_label]
        facts += [f"seed {run.seed}"] if seeds and run.seed is not None else []
        primary = run.measures.primary_metric
        final = run.figure(f"final_{primary.name}")
        facts += [f"{primary.text(final).strip()}{primary.unit}" if math.isfinite(final) else "no result yet"]
        facts += [f"{counted(run.epochs_done, 'epoch')} so far"] if run.epochs_done and not run.finished else []
        labels.append(f"{_shortened(run.name)}\n{', '.join(filter(None, facts))}")
    return labels


def _shortened(name: str) -> str:
    """Return a run's name cut to the width of the legend: the end of a long path, where runs of a sequence differ."""
    return name if len(name) <= _LONGEST_NAME else f"…{name[-_LONGEST_NAME + 1 :]}"


def _several(runs: Sequence[Run], what: str) -> bool:
    return len({getattr(run, what) for run in runs} - {""}) > 1
