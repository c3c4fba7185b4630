"""The one rule that decides how much a finding matters: how harmful its kind is, and the share of clips it affects."""

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from .findings import Severity

SPOILING_SHARE, SPOILING_SHARE_OF_A_CLASS = 0.1, 0.5
WARNED_SHARE, WARNED_SHARE_OF_A_CLASS = 0.01, 0.1


class Harm(Enum):
    """What a fault does to the training on a clip that has it."""

    GRAVE = "it teaches nothing, or something false"
    MILD = "it makes the clip harder to learn from"
    NONE = "it is a fact to know"


def severity_of(affected: NDArray[np.bool_], labels: NDArray[np.int64], harm: Harm) -> Severity:
    """Return the severity of a fault of the clips `affected` (N,), whose classes are `labels` (N,), -1 if unknown.

    A grave fault spoils a training if it affects a tenth of the clips, or half of the clips of a class. It is a
    warning from a hundredth, or a tenth of a class, and below a note. A mild fault is a warning where a grave one would
    spoil, else a note. A class counts if at least two of its clips are affected.
    """
    share = float(affected.mean()) if len(affected) else 0.0
    of_a_class = _largest_share_of_a_class(affected, labels)
    if harm is Harm.NONE:
        return Severity.NOTE
    if share >= SPOILING_SHARE or of_a_class >= SPOILING_SHARE_OF_A_CLASS:
        return Severity.SPOILS if harm is Harm.GRAVE else Severity.WARNING
    if harm is Harm.GRAVE and (share >= WARNED_SHARE or of_a_class >= WARNED_SHARE_OF_A_CLASS):
        return Severity.WARNING
    return Severity.NOTE


def _largest_share_of_a_class(affected: NDArray[np.bool_], labels: NDArray[np.int64]) -> float:
    known = labels >= 0
    if not known.any():
        return 0.0
    _, of_class = np.unique(labels[known], return_inverse=True)
    counts = np.bincount(of_class)
    hit = np.bincount(of_class, weights=affected[known], minlength=len(counts))
    return float(np.where(hit >= 2, hit / counts, 0.0).max())
