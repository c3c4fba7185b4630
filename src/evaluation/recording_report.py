"""The part of an evaluation's report about long recordings: events, frames, and a picture of each recording."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..plots.timelines import draw_timeline
from ..utils.files import write_csv
from ..utils.names import file_name
from .events import OVERLAPS, RecordingFigures, events_of
from .recordings import EvaluatedRecording, EvaluatedRecordings

_logger = logging.getLogger(__name__)
_MOST_PICTURES = 50
_DECIMALS = 4


def write_recordings(
    out: Path, found: EvaluatedRecordings, class_names: Sequence[str], *, pictures: bool
) -> dict[str, Path]:
    """Write the files about recordings into the folder `out` and return them by their content.

    The keys are `events`, `frames` and `recordings` (CSV) and `timeline_1` and so on (PNG).

    Raises:
        UserError: a file cannot be written.
    """
    files = {name: out / f"{name}.csv" for name in ("events", "frames", "recordings")}
    write_csv(files["events"], *_events_table(found, class_names))
    write_csv(files["frames"], *_frames_table(found, class_names))
    write_csv(files["recordings"], *_recordings_table(found))
    if not pictures:
        return files
    if len(found.each) > _MOST_PICTURES:
        _logger.warning("Pictures of the first %d of %d recordings are drawn.", _MOST_PICTURES, len(found.each))
    for number, each in enumerate(found.each[:_MOST_PICTURES], start=1):
        path = out / f"timeline_{number:02d}_{file_name(each.recording.name)[:80]}.png"
        draw_timeline(
            each.true, each.predicted, class_names, path, each.recording.name,
            subtitle=_in_words(each.figures), fps=each.recording.fps, background=found.background,
        )  # fmt: skip
        files[f"timeline_{number}"] = path
    return files


def summary(found: EvaluatedRecordings, class_names: Sequence[str]) -> dict[str, Any]:
    """Return the figures of all recordings as plain values."""
    figures = found.figures
    return {
        "recordings": len(found.each),
        "frames": figures.frames,
        "frame_accuracy": round(figures.accuracy, _DECIMALS),
        "frame_mean_class_accuracy": round(found.mean_recall(with_background=True), _DECIMALS),
        "frame_mean_class_accuracy_without_background": round(found.mean_recall(with_background=False), _DECIMALS),
        "events": figures.true_events,
        "predicted_events": figures.predicted_events,
        **{f"event_f1_at_{overlap}": round(figures.f1(overlap), _DECIMALS) for overlap in OVERLAPS},
        "event_edit_score": round(figures.edit, _DECIMALS),
        "background": class_names[found.background] if found.background >= 0 else None,
        "shortest_event_s": found.shortest_s,
    }


def rows(found: EvaluatedRecordings) -> list[list[str]]:
    """Return the rows of a short table: descriptions and figures."""
    figures = found.figures
    return [
        ["recordings", str(len(found.each))],
        ["frames", str(figures.frames)],
        ["frame accuracy", f"{figures.accuracy:.2f} %"],
        ["mean class accuracy of frames", f"{found.mean_recall(with_background=True):.2f} %"],
        *(
            [["  without the background", f"{found.mean_recall(with_background=False):.2f} %"]]
            if found.background >= 0
            else []
        ),
        ["events, predicted events", f"{figures.true_events}, {figures.predicted_events}"],
        *([f"event F1 at {overlap} % overlap", f"{figures.f1(overlap):.2f} %"] for overlap in OVERLAPS),
        ["edit score of events", f"{figures.edit:.2f} %"],
    ]


def _in_words(figures: RecordingFigures) -> str:
    middle = OVERLAPS[-1]
    return f"{figures.accuracy:.1f} % of the frames, F1 {figures.f1(middle):.1f} % of the events at {middle} % overlap"


def _events_table(found: EvaluatedRecordings, class_names: Sequence[str]) -> tuple[list[str], Iterator[list[object]]]:
    header = ["recording", "kind", "start_frame", "stop_frame", "start", "stop", "label", "probability"]
    return header, (row for each in found.each for row in _events(each, found.background, class_names))


def _events(each: EvaluatedRecording, background: int, class_names: Sequence[str]) -> Iterator[list[object]]:
    """Yield the true events, then the predicted ones with the mean probability of their class."""
    fps = each.recording.fps
    for kind, labels in (("true", each.true), ("predicted", each.predicted)):
        for start, stop, label in events_of(labels, background):
            seconds = [f"{frame / fps:.3f}" if fps else "" for frame in (start, stop)]
            certain = float(np.mean(each.probabilities[start:stop])) if kind == "predicted" else None
            shown = "" if certain is None else f"{certain:.4f}"
            yield [each.recording.name, kind, start, stop, *seconds, class_names[label], shown]


def _frames_table(found: EvaluatedRecordings, class_names: Sequence[str]) -> tuple[list[str], Iterator[list[object]]]:
    header = ["index", "name", "frames", "predicted", "correct", "recall", "precision", "f1"]
    return header, (
        [c.index, class_names[c.index], c.frames, c.predicted, c.correct, *map(_text, (c.recall, c.precision, c.f1))]
        for c in found.classes
    )


def _recordings_table(found: EvaluatedRecordings) -> tuple[list[str], Iterator[list[object]]]:
    header = ["recording", "frames", "fps", "accuracy", "events", "predicted_events"]
    header += [*(f"f1_at_{overlap}" for overlap in OVERLAPS), "edit"]
    return header, (
        [
            *(each.recording.name, each.figures.frames, f"{each.recording.fps:g}", _text(each.figures.accuracy)),
            *(each.figures.true_events, each.figures.predicted_events),
            *(_text(each.figures.f1(overlap)) for overlap in OVERLAPS),
            _text(each.figures.edit),
        ]
        for each in found.each
    )


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.{_DECIMALS}f}"
