"""Figures of long recordings: frame by frame, and event by event.

The event-wise figures are those of Lea et al., "Temporal Convolutional Networks for Action Segmentation and Detection",
CVPR 2017: a predicted event is correct if it overlaps a true one of its class, which no other event has found, by at
least a share of what the two cover together; the edit score compares the order of the events and not their times. The
background is no event.

Legend: T frames of a recording, W windows, K classes; an event is a run of frames of one class.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

OVERLAPS = (10, 25, 50)  # percent of what both events cover together
UNKNOWN = -1  # the label of a frame that belongs to no class
_MOST_COMPARED = 5_000  # events of a recording, for the edit score

Labels = NDArray[np.int64]


class Event(NamedTuple):
    """A run of frames of one class: its first frame, the one after its last, and the class."""

    start: int
    stop: int
    label: int


@dataclass(frozen=True)
class RecordingFigures:
    """The figures of one recording, or of several together.

    Attributes:
        frames, correct: number of frames whose class is known, and of those that were recognised.
        true_events, predicted_events: number of events.
        matched: number of predicted events that are correct, for each of `OVERLAPS`.
        edit: the segmental edit score in percent; of several recordings their mean.
    """

    frames: int
    correct: int
    true_events: int
    predicted_events: int
    matched: tuple[int, ...]
    edit: float

    @property
    def accuracy(self) -> float:
        """Return the share of recognised frames in percent."""
        return 100.0 * self.correct / max(self.frames, 1)

    def f1(self, overlap: int) -> float:
        """Return the segmental F1 score at one of `OVERLAPS`, in percent; 100 if there are no events at all."""
        events = self.true_events + self.predicted_events
        return 200.0 * self.matched[OVERLAPS.index(overlap)] / events if events else 100.0


@dataclass(frozen=True)
class ClassFrames:
    """The frames of one class: how many there are, how many were predicted, and how many of those are correct."""

    index: int
    frames: int
    predicted: int
    correct: int

    @property
    def recall(self) -> float | None:
        """Return the share of its frames that were recognised, in percent; None if there are none."""
        return 100.0 * self.correct / self.frames if self.frames else None

    @property
    def precision(self) -> float | None:
        """Return the share of correct ones among its predicted frames, in percent; None if there are none."""
        return 100.0 * self.correct / self.predicted if self.predicted else None

    @property
    def f1(self) -> float | None:
        """Return the harmonic mean of both in percent; None if the class neither occurs nor was predicted."""
        both = self.frames + self.predicted
        return 200.0 * self.correct / both if both else None


def frame_means(frames: int, spans: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean probabilities, (T, K), of the windows that cover each frame; zeros where none does.

    Args:
        frames: T.
        spans: (W, 2) the first frame of each window, and the one after its last.
        scores: (W, K) its probabilities.
    """
    changes = np.zeros((frames + 1, scores.shape[1] + 1))
    weighted = np.concatenate([scores.astype(np.float64), np.ones((len(scores), 1))], axis=1)
    np.add.at(changes, spans[:, 0], weighted)
    np.add.at(changes, spans[:, 1], -weighted)
    sums = np.cumsum(changes, axis=0)[:-1]
    windows = np.round(sums[:, -1:])
    # Differences below this are rounding of the sums: equal means are equal, and the first class is predicted.
    return np.asarray(np.round(np.where(windows > 0, sums[:, :-1] / np.maximum(windows, 1), 0.0), 9), np.float64)


def predicted_labels(means: NDArray[np.float64], otherwise: int) -> Labels:
    """Return the class with the highest mean of each frame, (T,); `otherwise` where no window covers it."""
    return np.where(means.any(axis=1), means.argmax(axis=1), otherwise).astype(np.int64)


def events_of(labels: Labels, background: int = UNKNOWN) -> list[Event]:
    """Return the events in the labels of frames, (T,), without the background and without frames of no class."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    starts, stops = np.r_[0, edges], np.r_[edges, len(labels)]
    runs = zip(starts.tolist(), stops.tolist(), labels[starts].tolist() if len(labels) else [], strict=False)
    return [Event(*run) for run in runs if run[2] not in (background, UNKNOWN)]


def without_short_runs(labels: Labels, shortest: int) -> Labels:
    """Return labels in which runs of fewer than `shortest` frames have become part of the longer run beside them.

    The shortest run is the first to go, and of equally short ones the earlier.
    """
    edges = np.flatnonzero(np.diff(labels)) + 1
    starts = [0, *edges.tolist()]
    lengths = np.diff([*starts, len(labels)]).tolist()
    classes = labels[starts].tolist() if len(labels) else []
    before, after = list(range(-1, len(starts) - 1)), [*range(1, len(starts)), -1]
    queue = [(length, run) for run, length in enumerate(lengths)]
    heapq.heapify(queue)
    gone: set[int] = set()
    while queue and queue[0][0] < shortest:
        length, run = heapq.heappop(queue)
        if run in gone or length != lengths[run]:
            continue  # it was merged, and has another entry, or none
        beside = [each for each in (before[run], after[run]) if each >= 0]
        if not beside:
            break
        classes[run] = classes[max(beside, key=lambda each: (lengths[each], -each))]
        for other in beside:
            if classes[other] == classes[run]:  # becomes part of this run
                gone.add(other)
                lengths[run] += lengths[other]
                starts[run] = min(starts[run], starts[other])
                if other == before[run]:
                    before[run] = before[other]
                else:
                    after[run] = after[other]
        if before[run] >= 0:
            after[before[run]] = run
        if after[run] >= 0:
            before[after[run]] = run
        heapq.heappush(queue, (lengths[run], run))
    smoothed = labels.copy()
    for run, start in enumerate(starts):
        if run not in gone:
            smoothed[start : start + lengths[run]] = classes[run]
    return smoothed


def compare(true: Labels, predicted: Labels, background: int = UNKNOWN) -> RecordingFigures:
    """Compare the labels of the frames of a recording, (T,) each; frames of unknown true class are not counted."""
    known = true != UNKNOWN
    predicted = np.where(known, predicted, UNKNOWN)
    real, found = events_of(true, background), events_of(predicted, background)
    matched = tuple(_matched(real, found, overlap / 100) for overlap in OVERLAPS)
    correct = int((true == predicted)[known].sum())
    return RecordingFigures(int(known.sum()), correct, len(real), len(found), matched, _edit_score(real, found))


def together(figures: Sequence[RecordingFigures]) -> RecordingFigures:
    """Return the figures of several recordings: sums of frames and events, and the mean edit score."""
    return RecordingFigures(
        frames=sum(each.frames for each in figures),
        correct=sum(each.correct for each in figures),
        true_events=sum(each.true_events for each in figures),
        predicted_events=sum(each.predicted_events for each in figures),
        matched=tuple(sum(each.matched[index] for each in figures) for index in range(len(OVERLAPS))),
        edit=float(np.mean([each.edit for each in figures])),
    )


def class_frames(true: Labels, predicted: Labels, num_classes: int) -> list[ClassFrames]:
    """Return the frames of each class, from the labels of all frames; those of unknown class are not counted."""
    known = true != UNKNOWN
    true, predicted = true[known], predicted[known]
    there, guessed, correct = (
        np.bincount(each[each >= 0], minlength=num_classes) for each in (true, predicted, true[true == predicted])
    )
    return [ClassFrames(k, int(there[k]), int(guessed[k]), int(correct[k])) for k in range(num_classes)]


def _matched(real: Sequence[Event], found: Sequence[Event], least: float) -> int:
    """Return how many predicted events are correct: each is compared with the true one that it overlaps most."""
    hit: set[int] = set()
    starts, stops = (np.array([event[side] for event in real]) for side in (0, 1))
    for event in found:
        # The events of a recording do not overlap, so those that this one overlaps are neighbours.
        first, end = np.searchsorted(stops, event.start, side="right"), np.searchsorted(starts, event.stop)
        shares = [(_overlap(real[n], event), -n) for n in range(int(first), int(end)) if real[n].label == event.label]
        share, number = max(shares, default=(0.0, 0))
        if shares and share >= least:
            hit.add(-number)  # found once, however often
    return len(hit)


def _overlap(one: Event, other: Event) -> float:
    """Return the share of the frames of two events that both have."""
    both = min(one.stop, other.stop) - max(one.start, other.start)
    return both / (max(one.stop, other.stop) - min(one.start, other.start))


def _edit_score(real: Sequence[Event], found: Sequence[Event]) -> float:
    """Return 100 minus the percentage of insertions, deletions and replacements between the orders of the events.

    Of a recording with more events the first 5,000 are compared.
    """
    if not real and not found:
        return 100.0
    one = np.array([event.label for event in real[:_MOST_COMPARED]], np.int64)
    other = np.array([event.label for event in found[:_MOST_COMPARED]], np.int64)
    row = np.arange(len(other) + 1)
    steps = np.arange(len(other) + 1)
    for number, label in enumerate(one.tolist(), start=1):
        changed = np.minimum(row[1:] + 1, row[:-1] + (other != label))
        row = np.minimum.accumulate(np.r_[number, changed] - steps) + steps  # insertions, from left to right
    return 100.0 * (1 - float(row[-1]) / max(len(one), len(other)))
