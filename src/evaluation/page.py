"""An evaluation as one HTML page: summary, curves, classes, confusions, mistakes, calibration, robustness, cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..plots.html import LineChart, Series, lines_of, player_of, write_report
from ..plots.player import PlayedClip, json_in_script
from ..tasks.measures import CLASSIFICATION, TOP, Measures
from ..utils.numbers import counted, percent
from .findings import Bin, Details, Estimate, Extras, Reliability, RobustnessCurve, WithoutCopies
from .metrics import ClassResult, Metrics, Predictions
from .mistakes import ClipOf, cut, played, worst_mistakes

_FOLDER = Path(__file__).parent
_MOST_CLASSES, _MOST_CELLS = 1_000, 20_000
_NAMED = 3
_PLAYER_BYTES = 1_500_000
_SMALL = (310.0, 200.0)


@dataclass(frozen=True)
class TrainingRows:
    """The epochs of a training, as the run's folder holds them.

    Attributes:
        rows: of its logbook, one for each epoch.
        measures: the metrics of its task.
        weights_prefix: of the columns of the reported weights.
        problem: why there are no rows.
    """

    rows: Sequence[Mapping[str, float]] = ()
    measures: Measures = CLASSIFICATION
    weights_prefix: str = ""
    problem: str = ""


@dataclass(frozen=True)
class PageContent:
    """What a page shows.

    Attributes:
        facts: what was evaluated and how; see `report.write_report`.
        checksums: what else identifies it, by its title.
        command: that evaluates it again; empty if unknown.
        metrics, predictions: of the clips.
        class_names: in the order of the classes.
        extras: with details.
        training: of the run of the first checkpoint.
        clip_of: returns the clip of a number in `predictions`; it may raise a UserError, and the page says why.
    """

    facts: Mapping[str, str]
    checksums: Mapping[str, str]
    command: str
    metrics: Metrics
    predictions: Predictions
    class_names: Sequence[str]
    extras: Extras
    training: TrainingRows
    clip_of: ClipOf


def write_evaluation_page(path: Path, content: PageContent) -> None:
    """Write the page of an evaluation: one file that needs no other.

    Raises:
        ValueError: its details were not measured.
        UserError: the file cannot be written.
    """
    details = content.extras.details
    if details is None:
        raise ValueError("A page needs the details of the evaluation.")
    flat: set[bool] = set()

    def clip_of(number: int) -> PlayedClip:
        clip = content.clip_of(number)
        flat.add(clip.layout.flat)
        return clip

    mistakes = worst_mistakes(content.predictions)
    shown = [partial(played, mistake, content.class_names, clip_of) for mistake in mistakes]
    player, _ = player_of(shown, _PLAYER_BYTES, label="Worst mistakes", heading=3)
    facts = content.facts
    curves, no_curves = _curves(content.training)
    values = {
        "title": f"{facts['model']} on {facts['dataset']} {facts['split']}",
        "about": f"Evaluation of epoch {facts['epoch']} on the {facts['subset']} part, {facts['date'][:10]}",
        "sections": _sections(content.extras),
        "details": details,
        "clips": len(content.predictions.names),
        "averaged": content.extras.test_time,
        "summary": _summary(content, details),
        "compared": content.extras.comparison,
        "notes": details.notes,
        "ensemble": content.extras.ensemble,
        "curves": curves,
        "no_curves": no_curves,
        "names": content.class_names,
        **_classes(content, details),
        **_confusions(content.metrics, content.class_names, details),
        "player": player,
        "turns": False in flat,
        "no_mistakes": "No clip was taken for another class." if not mistakes else "No clip can be shown.",
        "reliability": details.reliability,
        "diagram": _diagram(details.reliability),
        "robustness": [(curve, _robustness_chart(curve)) for curve in content.extras.robustness],
        "cost": _cost(details),
        "typed": content.command,
        "reproduced": _reproduced(content),
    }
    styles, programs = ([_FOLDER / f"page.{ending}"] for ending in ("css", "js"))
    write_report(path, _FOLDER / "page.html.j2", values, styles=styles, programs=programs)


def _sections(extras: Extras) -> list[tuple[str, str]]:
    """Return the anchors of the page's sections with their titles."""
    return [
        *([("networks", "Networks")] if extras.ensemble else []),
        ("training", "Training"),
        ("classes", "Classes"),
        ("confusions", "Confusions"),
        ("mistakes", "Worst mistakes"),
        ("calibration", "Calibration"),
        ("streams", "Streams"),
        *([("robustness", "Robustness")] if extras.robustness else []),
        ("cost", "Cost"),
        ("reproduce", "Reproduce it"),
    ]


@dataclass(frozen=True)
class _Row:
    """A figure of the summary: an estimate, a text, or why there is none; and its average at test time."""

    title: str
    estimate: Estimate | None = None
    text: str = ""
    problem: str = ""
    averaged: str = ""


def _summary(content: PageContent, details: Details) -> list[_Row]:
    metrics, averaged = content.metrics, content.extras.test_time
    other = None if averaged is None else averaged.metrics
    few = f"there are {counted(len(content.class_names), 'class')}, so it counts every clip"
    rows = [
        _Row("top-1", details.top1, averaged=_figure(other, "top1")),
        *_row_without_copies(content.extras.without_copies),
        _Row(
            f"top-{TOP}",
            text=f"{metrics.top5:.2f} %",
            problem=few if len(content.class_names) <= TOP else "",
            averaged=_figure(other, "top5") if len(content.class_names) > TOP else "",
        ),
        _Row("mean class accuracy", details.mean_class_accuracy, averaged=_figure(other, "mean_class_accuracy")),
        _Row("loss", text=f"{metrics.loss:.4f}", averaged="" if other is None else f"{other.loss:.4f}"),
        _Row("wrong clips", text=f"{details.wrong:,}"),
    ]
    if unusable := int(metrics.unusable.sum()):
        rows.append(_Row("unusable clips, counted as not recognised", text=f"{unusable:,}"))
    rows.append(_Row("parameters", text=f"{details.cost.parameters:,}"))
    return rows


def _row_without_copies(found: WithoutCopies | None) -> list[_Row]:
    if found is None:
        return []
    return [_Row(found.title, found.top1, problem="" if found.top1 else "all clips are copies")]


def _figure(metrics: Metrics | None, name: str) -> str:
    return "" if metrics is None else f"{getattr(metrics, name):.2f} %"


@dataclass(frozen=True)
class _Curve:
    """A chart of the training with its title and the title of its vertical axis."""

    title: str
    up: str
    chart: LineChart


def _curves(training: TrainingRows) -> tuple[list[_Curve], str]:
    """Return the charts of a training, or why there are none."""
    primary, prefix = training.measures.primary_metric, training.weights_prefix
    unit = f", {primary.unit}" if primary.unit else ""
    charts = [
        (
            f"{primary.title} by epoch",
            f"{primary.title}{unit}",
            {
                "training clips, augmented": f"train_{primary.name}",
                "test clips": f"{prefix}test_{primary.name}",
                "held-out training clips": f"{prefix}val_{primary.name}",
            },
        ),
        ("loss by epoch", "loss", {"training, as minimised": "train_loss", "test clips": f"{prefix}test_loss"}),
    ]
    found = []
    for title, up, columns in charts:
        styles = ("second", "first", "third")
        series = [
            Series(name, style, [(row["epoch"], row[column]) for row in training.rows if column in row])
            for (name, column), style in zip(columns.items(), styles, strict=False)
        ]
        if chart := lines_of([each for each in series if each.points]):
            found.append(_Curve(title, up, chart))
    return found, "" if found else training.problem or "the run's folder has no epochs"


@dataclass(frozen=True)
class _ClassRow:
    """A class in the table."""

    name: str
    clips: int
    accuracy: Estimate | None
    problem: str
    precision: float | None
    confused: str


def _classes(content: PageContent, details: Details) -> dict[str, Any]:
    """Return the rows of the classes, least recognised first, those without clips last."""
    names = content.class_names

    def row(result: ClassResult) -> _ClassRow:
        estimate = details.classes[result.index]
        other = "" if result.confused_with is None else f"{names[result.confused_with]} ({result.confused_count})"
        return _ClassRow(
            names[result.index], result.clips, estimate.accuracy, estimate.problem, result.precision, other
        )

    ordered = _least_recognised_first(content.metrics)
    rows = [row(result) for result in ordered[:_MOST_CLASSES]]
    return {"classes": rows, "classes_left_out": len(ordered) - len(rows)}


def _least_recognised_first(metrics: Metrics) -> list[ClassResult]:
    """Return the classes in the order of their accuracies, those without clips last."""
    return sorted(metrics.per_class, key=lambda each: (each.accuracy is None, each.accuracy or 0.0, each.index))


def _confusions(metrics: Metrics, class_names: Sequence[str], details: Details) -> dict[str, Any]:
    """Return the matrix as JSON, and what is said about it."""
    counts = metrics.confusion
    order = np.argsort(-counts, axis=None, kind="stable")[: int((counts > 0).sum())]
    kept = order[:_MOST_CELLS].tolist()
    classes = len(counts)
    cells = [[*divmod(cell, classes), int(counts.flat[cell])] for cell in kept]
    orders = {
        "class": list(range(classes)),
        "accuracy": [each.index for each in _least_recognised_first(metrics)],
        "alike": confused_together(counts),
    }
    clips = [each.clips for each in metrics.per_class]
    names = [cut(name) for name in class_names]
    first = sum(each.count for each in details.confusions[:_NAMED])
    verb = "is" if details.wrong == 1 else "are"
    words = f"{counted(details.wrong, 'clip')} of {sum(clips):,} {verb} taken for another class."
    if details.wrong and len(details.confusions) > _NAMED:
        words += f" The {_NAMED} costliest confusions are {percent(first / details.wrong)} of them."
    return {
        "matrix": json_in_script({"names": names, "clips": clips, "cells": cells, "orders": orders}),
        "cells_left_out": len(order) - len(kept),
        "confusions": details.confusions,
        "confusion_words": words,
    }


def confused_together(counts: NDArray[np.int64]) -> list[int]:
    """Return the classes in an order in which those that are confused stand together.

    Each class follows the one that it is most confused with among those left, beginning with the most confused pair.
    """
    mutual = np.triu(counts + counts.T, 1)
    rows, columns = np.nonzero(mutual)
    pairs = np.argsort(-mutual[rows, columns], kind="stable")
    near: dict[int, list[int]] = {}  # of each class, the most confused one first
    for one, other in zip(rows[pairs].tolist(), columns[pairs].tolist(), strict=True):
        near.setdefault(one, []).append(other)
        near.setdefault(other, []).append(one)
    order: dict[int, None] = {}
    for start in (*rows[pairs].tolist(), *range(len(counts))):
        following: int | None = None if start in order else start
        while following is not None:
            order[following] = None
            following = next((each for each in near.get(following, ()) if each not in order), None)
    return list(order)


def _diagram(reliability: Reliability) -> LineChart | None:
    """Return the reliability diagram: accuracy by confidence, before and after the temperature."""
    series = [Series("perfect", "guide", [(0.0, 0.0), (100.0, 100.0)])]
    series.append(Series("as it is", "first", _dots(reliability.bins)))
    if reliability.bins_with_temperature:
        series.append(Series("with the temperature", "third", _dots(reliability.bins_with_temperature)))
    if not series[1].points:
        return None
    return lines_of(series, up=(0.0, 100.0), size=(400.0, 320.0))


def _dots(bins: Sequence[Bin]) -> list[tuple[float, float]]:
    return [
        (100 * each.confidence, 100 * each.accuracy)
        for each in bins
        if each.confidence is not None and each.accuracy is not None
    ]


def _robustness_chart(curve: RobustnessCurve) -> LineChart | None:
    points = [(float(place), point) for place, point in enumerate(curve.points)]
    series = Series(
        "",
        "first",
        [(place, point.top1.value) for place, point in points],
        [(point.top1.low, point.top1.high) for _, point in points],
    )
    return lines_of([series], across=[(place, point.label) for place, point in points], up=(0.0, 100.0), size=_SMALL)


def _cost(details: Details) -> list[tuple[str, str]]:
    cost = details.cost
    several = f", of {cost.networks} networks" if cost.networks > 1 else ""
    counted_ones = "-" if cost.multiply_adds is None else f"{cost.multiply_adds / 1e6:,.1f} million"
    return [
        ("parameters", f"{cost.parameters:,}{several}"),
        (f"multiply-adds of one clip ({cost.input})", f"{counted_ones}{several}"),
        ("size of the checkpoint", f"{cost.file_bytes / 1e6:,.2f} MB{several}"),
    ]


def _reproduced(content: PageContent) -> list[tuple[str, str]]:
    """Return what identifies the evaluation."""
    facts = content.facts
    shown = [(name.replace("_", " "), str(value)) for name, value in facts.items() if name not in ("store", "last")]
    return [*shown, *content.checksums.items(), ("version of LAST", facts.get("last", ""))]
