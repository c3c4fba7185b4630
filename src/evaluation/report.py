"""The report of an evaluation: metrics, tables and pictures in a folder."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..plots.figures import draw_class_accuracy, draw_confusion, draws_or_warns
from ..runs.confusion import Confusion
from ..tasks.measures import CLASSIFICATION, TOP, Metric
from ..utils.files import write_csv, write_json
from .extras_report import in_metrics, write_extras
from .findings import Extras
from .metrics import ClassResult, Metrics, Predictions, ranked_classes, true_ranks
from .recording_report import summary, write_recordings
from .recordings import EvaluatedRecordings

_log = logging.getLogger(__name__)

PICTURES = "Drawing the pictures of the report"
_TITLE_FACTS = ("model", "dataset", "split", "subset")
_DECIMALS = 4
# What an earlier evaluation with other options may have left in the folder.
_OPTIONAL = (
    *("details.json", "robustness.json", "robustness.png", "confusion.png", "class_accuracy.png"),
    *("events.csv", "frames.csv", "recordings.csv", "timeline_*.png"),
)


def write_report(
    out: Path,
    metrics: Metrics,
    predictions: Predictions,
    class_names: Sequence[str],
    facts: Mapping[str, str],
    pictures: bool | None = None,
    added: Sequence[tuple[Metric, float]] = (),
    recordings: EvaluatedRecordings | None = None,
    extras: Extras = Extras(),  # noqa: B008 - it is frozen
) -> dict[str, Path]:
    """Write the report of an evaluation into the folder `out` and return its files by their content.

    Files of an earlier evaluation in the same folder that are not written again stay if its predictions were the same,
    and are removed if they were others.

    The keys are `metrics` (JSON: `facts` and all metrics except the confusion matrix), `per_class`, `confusion`
    and `predictions` (CSV), `confusion_picture` and `class_accuracy_picture` (PNG). If matplotlib cannot
    be imported, the pictures are skipped with one warning.

    Args:
        facts: what was evaluated and how (checkpoint, dataset, split, subset, model, date, versions ...);
            `model`, `dataset`, `split` and `subset` make up the title of the pictures.
        pictures: whether to draw them; None draws them if matplotlib can be imported.
        added: further metrics and their values, in the JSON file under `metrics`.
        recordings: the figures of long recordings, in the JSON file under `recordings`; `write_recordings` names their
            files.
        extras: what else was measured; `write_extras` names the files, and ensembles and averages are in the JSON file.

    Raises:
        ValueError: the number of names differs from that of the classes.
        UserError: a file cannot be written.
    """
    if len(class_names) != len(metrics.per_class):
        raise ValueError(f"{len(class_names)} class names for {len(metrics.per_class)} classes.")
    files = {
        "metrics": out / "metrics.json",
        "per_class": out / "per_class.csv",
        "confusion": out / "confusion.csv",
        "predictions": out / "predictions.csv",
    }
    further = _further(added) | ({"recordings": summary(recordings, class_names)} if recordings else {})
    further |= in_metrics(extras)
    write_json(files["metrics"], {**_summary(metrics, predictions, class_names, facts), **further})
    write_csv(files["per_class"], *_per_class_table(metrics, class_names))
    confusion = Confusion(class_names, metrics.confusion, metrics.unusable)
    write_csv(files["confusion"], *confusion.table())
    before = _content(files["predictions"])
    write_csv(files["predictions"], *_predictions_table(predictions, class_names))
    if pictures is None:
        pictures = draws_or_warns(PICTURES)
    if recordings is not None:
        files |= write_recordings(out, recordings, class_names, pictures=pictures)
    files |= write_extras(out, extras, class_names, _title(facts), pictures=pictures)
    files |= _draw_pictures(out, metrics, class_names, facts) if pictures else {}
    if before and before != _content(files["predictions"]):
        _remove_others(out, files.values())
    return files


def _content(path: Path) -> bytes:
    """Return the content of a file, nothing if there is none."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _remove_others(out: Path, written: Iterable[Path]) -> None:
    """Remove the optional files of an earlier report from the folder `out`, except those that were `written` now."""
    others = {path for pattern in _OPTIONAL for path in out.glob(pattern)}.difference(written)
    for path in sorted(others):
        _log.info("%s was of an earlier evaluation with other predictions: removed.", path)
        path.unlink(missing_ok=True)


def _draw_pictures(
    out: Path, metrics: Metrics, class_names: Sequence[str], facts: Mapping[str, str]
) -> dict[str, Path]:
    pictures = {
        "confusion_picture": out / "confusion.png",
        "class_accuracy_picture": out / "class_accuracy.png",
    }
    title = _title(facts)
    missing = int(metrics.unusable.sum())
    draw_confusion(metrics.confusion, class_names, pictures["confusion_picture"], title, missing)
    draw_class_accuracy(metrics.per_class, class_names, pictures["class_accuracy_picture"], title)
    return pictures


def _title(facts: Mapping[str, str]) -> str:
    return " · ".join(facts[name] for name in _TITLE_FACTS if facts.get(name)) or "Evaluation"


def _summary(
    metrics: Metrics, predictions: Predictions, class_names: Sequence[str], facts: Mapping[str, str]
) -> dict[str, Any]:
    """Return the metrics as plain values, without the confusion matrix."""
    return {
        "facts": dict(facts),
        "clips": len(predictions.names),
        "unusable_clips": [predictions.names[number] for number in np.flatnonzero(~predictions.scored)],
        "classes": len(class_names),
        **{name: round(getattr(metrics, name), _DECIMALS) for name in CLASSIFICATION.names},
        "mean_class_accuracy": round(metrics.mean_class_accuracy, _DECIMALS),
        "loss": round(metrics.loss, _DECIMALS),
        "per_class": [_class_entry(result, class_names) for result in metrics.per_class],
    }


def _further(added: Sequence[tuple[Metric, float]]) -> dict[str, Any]:
    """Return further metrics as plain values; empty if there are none."""
    return {"metrics": {metric.name: round(value, _DECIMALS) for metric, value in added}} if added else {}


def _class_entry(result: ClassResult, class_names: Sequence[str]) -> dict[str, Any]:
    """Return a class's result as plain values, with its name and that of the class it is confused with."""
    confused = result.confused_with
    return {
        **{name: _rounded(value) for name, value in asdict(result).items()},
        "name": class_names[result.index],
        "confused_with_name": None if confused is None else class_names[confused],
    }


def _rounded(value: float | int | None) -> float | int | None:
    return round(value, _DECIMALS) if isinstance(value, float) else value


def _per_class_table(metrics: Metrics, class_names: Sequence[str]) -> tuple[list[str], Iterator[list[object]]]:
    header = ["index", "name", "clips", "correct", "accuracy", "precision"]
    header += ["confused_with", "confused_with_name", "confused_count"]
    entries = (_class_entry(result, class_names) for result in metrics.per_class)
    return header, ([entry[column] for column in header] for entry in entries)


def _predictions_table(
    predictions: Predictions, class_names: Sequence[str]
) -> tuple[list[str], Iterator[list[object]]]:
    header = ["name", "true_label", "true_name", "predicted_label", "predicted_name"]
    header += ["probability", "correct", "true_rank", "top5_labels"]
    return header, _prediction_rows(predictions, class_names)


def _prediction_rows(predictions: Predictions, class_names: Sequence[str]) -> Iterator[list[object]]:
    columns = zip(
        predictions.names,
        predictions.labels.tolist(),
        predictions.scored.tolist(),
        predictions.scores,
        ranked_classes(predictions.scores, TOP).tolist(),
        true_ranks(predictions).tolist(),
        strict=True,
    )
    for name, true, scored, scores, best, rank in columns:
        if not scored:  # an unusable clip
            yield [name, true, class_names[true], "", "", "", 0, "", ""]
            continue
        predicted = best[0]
        prediction = [predicted, class_names[predicted], f"{scores[predicted]:.6f}"]
        yield [name, true, class_names[true], *prediction, int(rank == 1), rank, " ".join(map(str, best))]
