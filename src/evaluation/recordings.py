"""What a model says about whole recordings, from its probabilities of their windows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.store.reader import Store
from ..data.store.recordings import RECORDING, START, STOP, Recording
from .events import (
    ClassFrames,
    Labels,
    RecordingFigures,
    class_frames,
    compare,
    frame_means,
    predicted_labels,
    together,
    without_short_runs,
)
from .metrics import Predictions


@dataclass(frozen=True, eq=False)
class EvaluatedRecording:
    """One recording.

    Attributes:
        recording: its name, length and true intervals.
        true, predicted: (T,) the class of each frame; negative for none.
        probabilities: (T,) the mean probability of the predicted class; 0 where no window is.
        figures: its figures.
    """

    recording: Recording
    true: Labels
    predicted: Labels
    probabilities: NDArray[np.float64]
    figures: RecordingFigures


@dataclass(frozen=True, eq=False)
class EvaluatedRecordings:
    """The result of an evaluation on long recordings.

    Attributes:
        each: the recordings.
        figures: those of all together.
        classes: the frames of each class.
        background: the class that is no event; negative if there is none.
        shortest_s: predicted runs shorter than this became part of a neighbour; 0 for none.
    """

    each: Sequence[EvaluatedRecording]
    figures: RecordingFigures
    classes: Sequence[ClassFrames]
    background: int
    shortest_s: float

    def mean_recall(self, *, with_background: bool) -> float:
        """Return the mean over the classes that occur of the share of their frames that were recognised, in percent."""
        found = [
            c.recall for c in self.classes if c.recall is not None and (with_background or c.index != self.background)
        ]
        return float(np.mean(found)) if found else 0.0


def evaluate_recordings(
    predictions: Predictions, store: Store, num_classes: int, shortest_s: float = 0.0
) -> EvaluatedRecordings | None:
    """Return what was predicted for the frames of the recordings whose windows were scored; None without windows.

    The probabilities of the windows that cover a frame are averaged, and the class with the highest mean is predicted.
    A frame that no window covers is background: there is no body in it.
    """
    known = store.recordings
    if known is None or not known.are_windows:
        return None
    row_of = {name: number for number, name in enumerate(store.clips["name"].tolist())}
    clips = store.clips[[row_of[name] for name in predictions.names]]
    found = []
    for number in np.unique(clips[RECORDING]).tolist():
        own = (clips[RECORDING] == number) & predictions.scored
        recording = known.all[number]
        spans = np.stack([clips[START][own], clips[STOP][own]], axis=1)
        means = frame_means(recording.frames, spans, predictions.scores[own])
        predicted = predicted_labels(means, known.background)
        if shortest_s:
            predicted = without_short_runs(predicted, round(shortest_s * (recording.fps or 1.0)))
        true = recording.labels(known.background)
        figures = compare(true, predicted, known.background)
        probabilities = np.take_along_axis(means, np.maximum(predicted, 0)[:, None], axis=1)[:, 0]
        found.append(EvaluatedRecording(recording, true, predicted, probabilities, figures))
    true, predicted = (np.concatenate([getattr(each, what) for each in found]) for what in ("true", "predicted"))
    classes = class_frames(true, predicted, num_classes)
    return EvaluatedRecordings(found, together([each.figures for each in found]), classes, known.background, shortest_s)
