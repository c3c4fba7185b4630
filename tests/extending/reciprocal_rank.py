"""Mean reciprocal rank: one over the rank of the true class among a clip's scores.

Legend: N clips, K classes.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from last.tasks.measures import Metric
from last.utils.limits import Interval

METRIC = Metric("reciprocal_rank", "mean reciprocal rank")
UNUSABLE = 0.0


@dataclass
class Settings:
    """Settings of the reciprocal rank: predictions ranked lower count as zero."""

    places: Annotated[int, Interval(ge=1, le=1_000_000)] = 1_000_000


def values(scores: Tensor, labels: Tensor, settings: Settings) -> Tensor:
    """Return the metric of each clip (N,) from its probabilities (N, K) and label (N,)."""
    right = scores.gather(1, labels[:, None])
    places = 1 + (scores > right).sum(dim=1)
    return torch.where(places <= settings.places, 1.0 / places, 0.0)
