"""What `evaluate` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..tasks.measures import CLASSIFICATION
from ..utils.numbers import counted
from .terminal import say, table

if TYPE_CHECKING:
    from ..evaluation.evaluate import EvalResult
    from ..evaluation.findings import ComparisonResult, Details, EnsembleResult, RobustnessCurve, TestTimeResult

_WORST_SHOWN = 10
_CONFUSIONS_SHOWN = 8


def show(result: "EvalResult") -> None:
    """Print the results of an evaluation and its worst classes."""
    from ..evaluation.recording_report import rows as rows_of

    metrics, facts = result.metrics, result.facts
    title = f"{facts['model']} on {facts['dataset']} {facts['split']}, {facts['subset']} part"
    rows = [
        ["clips", str(sum(each.clips for each in metrics.per_class))],
        *([each.title, f"{getattr(metrics, each.name):.2f} %"] for each in CLASSIFICATION.metrics),
        ["mean class accuracy", f"{metrics.mean_class_accuracy:.2f} %"],
        *([metric.title, f"{metric.text(value).strip()} {metric.unit}".strip()] for metric, value in result.added),
        ["loss", f"{metrics.loss:.4f}"],
    ]
    if (apart := result.extras.without_copies) is not None:
        rows.insert(2, [apart.title, "-" if apart.top1 is None else f"{apart.top1.value:.2f} %"])
    if missing := int(metrics.unusable.sum()):
        rows.insert(1, ["unusable clips, counted as not recognised", str(missing)])
    averaged = result.extras.test_time
    if averaged is None:
        table(title, ["figure", "value"], rows)
    else:
        column = f"average of {averaged.looks} looks: {averaged.title}"
        table(title, ["figure", "value", column], _with_column(rows, averaged))
    for note in CLASSIFICATION.notes(len(result.class_names)):
        say(note)
    if result.recordings is not None:
        table("whole recordings, from the windows over them", ["figure", "value"], rows_of(result.recordings))
    names = result.class_names
    tested = [each for each in metrics.per_class if each.accuracy is not None]
    worst = sorted(tested, key=lambda each: each.accuracy or 0.0)[:_WORST_SHOWN]
    shown = [
        [
            names[each.index],
            each.clips,
            f"{each.accuracy:.1f}",
            "" if each.confused_with is None else f"{names[each.confused_with]} ({each.confused_count})",
        ]
        for each in worst
    ]
    which = f"{len(worst)} of " if len(worst) < len(tested) else "all " if len(tested) > 1 else ""
    heading = f"{which}{counted(len(tested), 'class')}, worst first"
    table(heading, ["class", "clips", "accuracy %", "most often taken for"], shown)
    _show_extras(result)


def _with_column(rows: Sequence[Sequence[str]], averaged: "TestTimeResult") -> list[list[str]]:
    """Return the rows of the plain figures with those of an average beside them, and what it gained."""
    metrics = averaged.metrics
    beside = {
        **{each.title: f"{getattr(metrics, each.name):.2f} %" for each in CLASSIFICATION.metrics},
        "mean class accuracy": f"{metrics.mean_class_accuracy:.2f} %",
        "loss": f"{metrics.loss:.4f}",
    }
    gain = ["gain of top-1, with its 95 % interval", "", averaged.gain.text("+")]
    return [*([*row, beside.get(row[0], "")] for row in rows), gain]


def _show_extras(result: "EvalResult") -> None:
    """Print what was measured beside the metrics."""
    extras, names = result.extras, result.class_names
    if extras.ensemble is not None:
        _show_ensemble(extras.ensemble, result.metrics.top1)
    if extras.comparison is not None:
        _show_comparison(extras.comparison, result.metrics.top1)
    if extras.details is not None:
        _show_details(extras.details, names)
    if extras.robustness:
        _show_robustness(extras.robustness)


def _show_ensemble(ensemble: "EnsembleResult", top1: float) -> None:
    rows = [
        [member.path, member.model, f"{member.weight:.3f}", f"{member.parameters:,}", f"{member.top1:.2f}"]
        for member in ensemble.members
    ]
    total = ["all, summed", "", "1.000", f"{ensemble.parameters:,}", f"{top1:.2f}"]
    title = f"{len(ensemble.members)} networks; the weights are {ensemble.source}"
    table(title, ["checkpoint", "model", "weight", "parameters", "top-1 %"], [*rows, total])
    say(ensemble.agreement)


def _show_comparison(found: "ComparisonResult", top1: float) -> None:
    rows = [
        ["top-1 % of this one", f"{top1:.2f}"],
        ["top-1 % of the other", found.top1.text()],
        ["difference, with its 95 % interval", found.gain.text("+")],
        ["clips that this one alone recognises", f"{found.only_this:,}"],
        ["clips that the other alone recognises", f"{found.only_other:,}"],
        ["p of McNemar's exact test", f"{found.p:.4f}"],
    ]
    table(f"compared with {found.path} ({found.model}) on the same clips", ["figure", "value"], rows)


def _show_details(details: "Details", names: Sequence[str]) -> None:
    reliability = details.reliability
    rows = [["top-1 %", details.top1.text()], ["mean class accuracy %", details.mean_class_accuracy.text()]]
    rows.append(["calibration error", _share(reliability.error) or f"-, {reliability.problem}"])
    if not reliability.problem:
        temperature = "-" if reliability.temperature is None else f"{reliability.temperature:.3f}"
        rows.append(["temperature", f"{temperature}, {reliability.source}"])
    if reliability.error_with_temperature is not None:
        rows.append(["calibration error with it", _share(reliability.error_with_temperature)])
    rows += [[f"{each.title} (epoch {each.epoch}), top-1 %", each.top1.text()] for each in details.epochs]
    if details.epochs_difference is not None:
        rows.append(["best epoch minus last epoch", details.epochs_difference.text("+")])
    rows += [["best and last epoch", f"-, {details.no_epochs}"]] if details.no_epochs else []
    cost = details.cost
    rows.append(["parameters", f"{cost.parameters:,}"])
    if cost.multiply_adds is not None:
        rows.append([f"multiply-adds of {cost.input}", f"{cost.multiply_adds / 1e6:,.1f} M"])
    table(f"details, with {100 * details.level:g} % intervals over clips", ["figure", "value"], rows)
    if details.streams:
        shown = [[each.name, each.without.text(), each.alone.text()] for each in details.streams]
        table(
            "top-1 % of this network if a stream is zero, or all others are", ["stream", "without it", "alone"], shown
        )
    elif details.no_streams:
        say(f"Streams: {details.no_streams}.")
    if details.confusions:
        first = details.confusions[:_CONFUSIONS_SHOWN]
        shown = [
            [names[each.true], names[each.predicted], str(each.count), f"{each.cost:.2f}", str(each.back)]
            for each in first
        ]
        title = f"{len(first)} of {len(details.confusions)} confusions, costliest first"
        table(title, ["class", "taken for", "clips", "points of top-1", "the other way round"], shown)
    for note in details.notes:
        if note not in CLASSIFICATION.notes(len(names)):  # said below the first table
            say(note)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _show_robustness(curves: "Sequence[RobustnessCurve]") -> None:
    rows = [
        [
            curve.name,
            curve.problem or ", ".join(f"{point.label}: {point.top1.value:.1f}" for point in curve.points),
        ]
        for curve in curves
    ]
    table("top-1 % of disturbed clips", ["disturbance", "by level"], rows)
