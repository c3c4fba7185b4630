"""Metrics of predictions: top-1, top-5, mean class accuracy, loss, confusion.

Legend: N clips, classes counted from 0.

Classes with equal scores are ordered by their index, lowest first, in every metric. A model that gives all classes
the same score is therefore correct in top-1 only on class 0 and in top-5 only on classes 0 to 4: ties score no higher
than predicting the same five classes for each clip.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..tasks.measures import TOP
from ..utils.errors import UserError
from ..utils.numbers import counted

_SUM_TOLERANCE = 0.01
_LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Predictions:
    """A model's probabilities for each clip.

    Attributes:
        names: the N names of the clips.
        labels: (N,) the true class, counted from 0.
        scores: (N, classes) probabilities, each row summing to one.
        unusable: (N,) bool, unusable clips (see `unusable_clips`), whose scores are ignored; None if there are none.

    Raises:
        ValueError: the shapes disagree, or the scores are not probabilities.
        UserError: another score is not finite, or a label is outside the scores' classes.
    """

    names: list[str]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    unusable: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        clips = len(self.names)
        if self.labels.shape != (clips,) or self.scores.ndim != 2 or len(self.scores) != clips:
            raise ValueError(
                f"{clips} names, labels of shape {self.labels.shape} and scores of shape {self.scores.shape} "
                "do not belong together; expected (N,) and (N, classes)."
            )
        self._check_scores()
        self._check_labels()

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Return which clips have valid scores, (N,)."""
        return np.ones(len(self.names), np.bool_) if self.unusable is None else ~self.unusable

    def _check_scores(self) -> None:
        broken = np.flatnonzero(~np.isfinite(self.scores).all(axis=1) & self.scored)
        if len(broken):
            raise UserError(
                f"The model's scores of {len(broken)} of {counted(len(self.names), 'clip')} are not finite, first of "
                f"{self.names[broken[0]]}. Its training probably diverged: evaluate an earlier checkpoint."
            )
        scores = self.scores[self.scored]
        sums = scores.sum(axis=1, dtype=np.float64)
        if (scores < 0).any() or (np.abs(sums - 1) > _SUM_TOLERANCE).any():
            raise ValueError("Scores should be probabilities that sum to one in each row; apply a softmax first.")

    def _check_labels(self) -> None:
        classes = self.scores.shape[1]
        outside = np.flatnonzero((self.labels < 0) | (self.labels >= classes))
        if len(outside):
            first = outside[0]
            raise UserError(
                f"Clip {self.names[first]} has label {self.labels[first]}, but the model knows classes 0 to "
                f"{classes - 1}. Evaluate it on the data set that it was trained for."
            )


@dataclass(frozen=True)
class ClassResult:
    """The result for the clips of one class.

    Attributes:
        index: the class.
        clips: the number of clips of this class.
        correct: the number of correctly classified ones.
        accuracy: their share in percent (the recall); None if there are no clips.
        precision: the share of correct ones among the predictions of this class, in percent; None if there are none.
        confused_with: the wrong class most often predicted for its clips, the lowest of equals; None if there is none.
        confused_count: the number of those predictions.
    """

    index: int
    clips: int
    correct: int
    accuracy: float | None
    precision: float | None
    confused_with: int | None
    confused_count: int


@dataclass(frozen=True)
class Metrics:
    """The metrics of one evaluation.

    Attributes:
        top1, top5: the share of clips whose class has the highest score, or one of the five highest, in percent.
        mean_class_accuracy: the accuracy averaged over the classes that have clips, in percent.
        loss: the mean negative log likelihood of the true classes, in nats, without label smoothing.
        per_class: one result per class, in the order of the classes.
        confusion: (classes, classes) counts; rows are true classes, columns predicted ones.
        unusable: (classes,) number of unusable clips of each class: they count as wrong, are in no
            cell of `confusion`, and are excluded from the loss.
    """

    top1: float
    top5: float
    mean_class_accuracy: float
    loss: float
    per_class: list[ClassResult]
    confusion: NDArray[np.int64]
    unusable: NDArray[np.int64]


def measure(predictions: Predictions, num_classes: int) -> Metrics:
    """Compute the metrics of predictions over `num_classes` classes.

    With fewer than five classes, top-5 counts all of them. A probability that float32 rounds to zero is replaced by the
    smallest normal one, about 1.2e-38, so that the loss stays finite.

    Raises:
        UserError: there is no clip, or none with valid scores.
        ValueError: the scores have another number of classes.
    """
    if not predictions.names:
        raise UserError("There are no predictions to measure: this part of the data set has no clips.")
    if not predictions.scored.any():
        raise UserError("There is nothing to measure: every clip of this part has values that no model can take.")
    if predictions.scores.shape[1] != num_classes:
        raise ValueError(f"Scores of {predictions.scores.shape[1]} classes cannot be measured over {num_classes}.")
    ranks = true_ranks(predictions)
    confusion = _confusion(predictions, num_classes)
    unusable = np.bincount(predictions.labels[~predictions.scored], minlength=num_classes).astype(np.int64)
    per_class = [_class_result(index, confusion, int(unusable[index])) for index in range(num_classes)]
    accuracies = [result.accuracy for result in per_class if result.accuracy is not None]
    return Metrics(
        top1=_percent(int((ranks == 1).sum()), len(ranks)),
        top5=_percent(int((ranks <= TOP).sum()), len(ranks)),
        mean_class_accuracy=float(np.mean(accuracies)),
        loss=_negative_log_likelihood(predictions),
        per_class=per_class,
        confusion=confusion,
        unusable=unusable,
    )


def ranked_classes(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the `count` best classes of each clip, best first: (N, classes) -> (N, min(count, classes))."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :count].astype(np.int64)


def true_ranks(predictions: Predictions) -> NDArray[np.int64]:
    """Return the rank of each clip's true class by score, (N,), 1 if it is correct.

    For a clip without valid scores it is larger than the number of classes and than five, which top-5 counts.
    """
    labels, scores = predictions.labels[:, None], predictions.scores
    true_scores = np.take_along_axis(scores, labels, axis=1)  # (N, 1)
    earlier = np.arange(scores.shape[1]) < labels  # (N, classes)
    ahead = (scores > true_scores) | ((scores == true_scores) & earlier)
    ranks: NDArray[np.int64] = 1 + ahead.sum(axis=1, dtype=np.int64)
    ranks[~predictions.scored] = max(scores.shape[1], TOP) + 1
    return ranks


def _confusion(predictions: Predictions, num_classes: int) -> NDArray[np.int64]:
    predicted = predictions.scores.argmax(axis=1)
    cells = (predictions.labels * num_classes + predicted)[predictions.scored]
    cells = np.bincount(cells, minlength=num_classes**2)
    confusion: NDArray[np.int64] = cells.reshape(num_classes, num_classes).astype(np.int64)
    return confusion


def _class_result(index: int, confusion: NDArray[np.int64], unusable: int) -> ClassResult:
    clips, predicted = int(confusion[index].sum()) + unusable, int(confusion[:, index].sum())
    correct = int(confusion[index, index])
    mistakes = confusion[index].copy()
    mistakes[index] = 0
    worst = int(mistakes.argmax())
    return ClassResult(
        index=index,
        clips=clips,
        correct=correct,
        accuracy=_percent(correct, clips) if clips else None,
        precision=_percent(correct, predicted) if predicted else None,
        confused_with=worst if mistakes[worst] else None,
        confused_count=int(mistakes[worst]),
    )


def _negative_log_likelihood(predictions: Predictions) -> float:
    likely = np.take_along_axis(predictions.scores, predictions.labels[:, None], axis=1)[predictions.scored]
    return float(-np.log(np.maximum(likely.astype(np.float64), _LEAST_PROBABILITY)).mean()) + 0.0  # not -0.0


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole
