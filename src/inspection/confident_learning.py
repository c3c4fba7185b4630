"""Which labels are likely wrong, from out-of-fold probabilities.

Confident learning (Northcutt, Jiang and Chuang, Estimating Uncertainty in Dataset Labels, JAIR 70, 2021) compares a
clip's probability of each class with the mean probability of it: the mean that clips with a label have of that label is
the class's threshold, and pairs of a given and another class are counted. Here the means are taken for every pair, so
that a pair that students confuse anyway needs a larger probability than one that they never confuse. Ranked like this,
planted labels of NW-UCLA came far earlier than ranked by the margin between the two probabilities.

Legend: N clips, K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Chosen on NW-UCLA with other planted labels than those of the reported figures.
_SMALL = 0.02  # so that tiny probabilities do not decide
_WEIGHT_OF_GIVEN = 0.5


@dataclass(frozen=True)
class LikelyWrong:
    """Clips whose labels are likely wrong, the clearest first.

    Attributes:
        clips: (W,) positions among the judged clips.
        suggested: (W,) the class of each by the student.
        given: (W,) the probability of the given class.
        probability: (W,) the probability of the suggested class.
    """

    clips: Integers
    suggested: Integers
    given: Floats
    probability: Floats

    def __len__(self) -> int:
        return len(self.clips)


def mean_probabilities(probabilities: Floats, labels: Integers) -> Floats:
    """Return the mean probabilities of the other clips with the label of each clip, (N, K); NaN without another clip.

    Args:
        probabilities: (N, K), out of fold.
        labels: (N,) the given classes.
    """
    sums = np.zeros((probabilities.shape[1], probabilities.shape[1]))
    np.add.at(sums, labels, probabilities)
    others = np.bincount(labels, minlength=len(sums))[labels] - 1
    return np.where(others[:, None] > 0, (sums[labels] - probabilities) / np.maximum(others, 1)[:, None], np.nan)


def likely_wrong(probabilities: Floats, labels: Integers, least_score: float = 0.0) -> LikelyWrong:
    """Return the clips whose labels are likely wrong, those with the highest score first.

    The score of a class is the logarithm of how many times more probable it is than for other clips of the given label,
    minus half of that of the given class. Only classes that have clips, and that are more probable than the given
    class, are suggested.

    Args:
        probabilities: (N, K), of students that were not trained on the clip; NaN for a clip without any.
        labels: (N,) the given classes.
        least_score: clips with a lower score are not returned.
    """
    judged = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
    probabilities, labels = probabilities[judged], labels[judged]
    rows = np.arange(len(judged))
    usual = mean_probabilities(probabilities, labels)
    lift = np.log((probabilities + _SMALL) / (usual + _SMALL))
    scores = lift - _WEIGHT_OF_GIVEN * lift[rows, labels][:, None]
    possible = probabilities > probabilities[rows, labels][:, None]
    possible &= np.bincount(labels, minlength=probabilities.shape[1]) > 0
    scores = np.where(possible & np.isfinite(scores), scores, -np.inf)
    suggested = scores.argmax(axis=1)
    best = scores[rows, suggested]
    found = np.flatnonzero(best > least_score)
    found = found[np.argsort(-best[found], kind="stable")]
    chosen, clips = suggested[found], probabilities[found]
    return LikelyWrong(
        judged[found], chosen, clips[np.arange(len(found)), labels[found]], clips[np.arange(len(found)), chosen]
    )
