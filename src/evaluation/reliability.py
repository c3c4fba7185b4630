"""Whether probabilities mean what they say: the expected calibration error, and a temperature from held-out clips.

Legend: N clips, K classes.
"""

import numpy as np
from numpy.typing import NDArray

from ..utils.numbers import counted
from ..utils.temperature import best_temperature, log_probabilities
from .findings import Bin, Reliability
from .metrics import Predictions

BINS = 15
NOT_HELD_OUT = "not available: the run held out no clips"
ALL_TESTED = "not available: the clips that the run held out are those that are tested"
_LEAST = float(np.finfo(np.float32).tiny)
_FEWEST_CLASSES = 2


def measure_reliability(
    predictions: Predictions, held_out: Predictions | None, why_none: str = NOT_HELD_OUT
) -> Reliability:
    """Return the calibration of predictions, and what a temperature fitted on held-out training clips would change.

    Args:
        predictions: of the tested clips; unusable ones are left out.
        held_out: of training clips that the model did not learn from, and that are not tested; None if there are none.
        why_none: why there are none.
    """
    scores, labels = predictions.scores[predictions.scored], predictions.labels[predictions.scored]
    if scores.shape[1] < _FEWEST_CLASSES:
        return Reliability([], None, problem="with one class every probability is 1")
    bins = bins_of(scores, labels)
    if held_out is None or not held_out.scored.any():
        return Reliability(bins, calibration_error(bins), source=why_none)
    usable = held_out.scored
    temperature = best_temperature(_logits(held_out.scores[usable]), held_out.labels[usable])
    tempered = bins_of(np.exp(log_probabilities(_logits(scores) / temperature)), labels)
    source = f"fitted on {counted(int(usable.sum()), 'training clip')} that the run held out"
    return Reliability(
        bins, calibration_error(bins), temperature, source, calibration_error(tempered), bins_with_temperature=tempered
    )


def bins_of(scores: NDArray[np.floating], labels: NDArray[np.int64]) -> list[Bin]:
    """Return `BINS` bins of equal width over the highest probability of clips.

    Args:
        scores: (N, K) probabilities.
        labels: (N,) the true classes.
    """
    highest = scores.max(axis=1).astype(np.float64)
    correct = scores.argmax(axis=1) == labels
    place = np.clip(np.ceil(highest * BINS).astype(np.int64) - 1, 0, BINS - 1)
    found = []
    for number in range(BINS):
        inside = place == number
        count = int(inside.sum())
        means = (float(highest[inside].mean()), float(correct[inside].mean())) if count else (None, None)
        found.append(Bin(number / BINS, (number + 1) / BINS, count, *means))
    return found


def calibration_error(bins: list[Bin]) -> float:
    """Return the expected calibration error: the mean distance of confidence and accuracy, weighted by clips."""
    clips = sum(each.clips for each in bins)
    distances = [
        each.clips * abs(each.confidence - each.accuracy)
        for each in bins
        if each.confidence is not None and each.accuracy is not None
    ]
    return sum(distances) / clips


def _logits(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.log(np.maximum(scores.astype(np.float64), _LEAST))
    return found
