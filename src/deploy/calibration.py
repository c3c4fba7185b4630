"""Probabilities that mean what they say, and thresholds for a rate of false alarms, from clips held out of training.

Legend: N clips, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..utils.temperature import best_temperature, log_probabilities

FALSE_ALARMS = 0.01  # share of the clips of other classes that may reach the threshold of a class
_LOWEST_THRESHOLD = 0.5  # so that one class at most reaches its threshold


@dataclass(frozen=True)
class Calibration:
    """How logits become probabilities, and from which probability an action is believed.

    Attributes:
        temperature: what the logits are divided by before the softmax; 1 where nothing was measured.
        thresholds: of each class, see `calibrate`; empty where nothing was measured.
        false_alarms: the share of the clips of other classes that reached the threshold of a class at most.
        clips: how many clips were measured.
        source: what they were.
    """

    temperature: float = 1.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    false_alarms: float = FALSE_ALARMS
    clips: int = 0
    source: str = "none: the run kept no training clips back (validation: split does)"

    def facts(self) -> dict[str, Any]:
        """Return its fields as plain values."""
        return asdict(self)


def calibrate(
    logits: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], classes: Sequence[str], source: str
) -> Calibration:
    """Return the calibration of logits (N, K) of clips that the model was not trained on.

    The temperature is that of the lowest negative log-likelihood (Guo et al., ICML 2017, "On Calibration of Modern
    Neural Networks"). The threshold of a class is the lowest probability, and at least 0.5, that at most `FALSE_ALARMS`
    of the clips of other classes reach.

    Args:
        logits: (N, K).
        labels: (N,) the classes of the clips.
        classes: the names of the K classes.
        source: what the clips are.
    """
    temperature = best_temperature(logits, labels)
    probabilities = np.exp(log_probabilities(logits / temperature))
    thresholds = {}
    for number, name in enumerate(classes):
        others = np.sort(probabilities[labels != number, number])[::-1]
        allowed = int(FALSE_ALARMS * len(others))  # clips that may reach it
        reached = float(np.nextafter(others[allowed], 2.0)) if len(others) else 0.0
        thresholds[name] = min(1.0, max(_LOWEST_THRESHOLD, round(reached + 5e-5, 4)))
    return Calibration(round(temperature, 4), thresholds, FALSE_ALARMS, len(labels), source)
