"""How often the clips of each class are drawn, and how much each of them counts in the loss.

Legend: N clips, K classes.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, from_numpy

from . import counter_rng

ClassSampling = Literal["natural", "square_root", "balanced"]
ClassWeights = Literal["none", "balanced", "effective"]

# The effective number of n clips is (1 - beta^n) / (1 - beta): Cui et al., CVPR 2019. With 0.99, the clips of a class
# are worth at most 100 different ones; their 0.999 and 0.9999 are for thousands of images of a class.
EFFECTIVE_BETA = 0.99

# The power of a class's number of clips to which the number of its draws is proportional.
_POWERS = {"natural": 1.0, "square_root": 0.5, "balanced": 0.0}


@dataclass(frozen=True)
class ClassDraws:
    """The clips of a class, and how many of them are drawn per epoch.

    The draws run through one shuffled pass over the clips after the other, across epochs: in any number of epochs the
    clips of a class are drawn equally often, give or take one.
    """

    clips: Tensor
    draws: int

    def in_epoch(self, seed: int, epoch: int) -> list[tuple[int, Tensor]]:
        """Return the passes that an epoch draws from, each with its number and the clips drawn from it, in order."""
        count, first = len(self.clips), epoch * self.draws
        last = first + self.draws  # excluded
        passes = range(first // count, -(-last // count))
        orders = ((each, counter_rng.shuffled(seed, each, self.clips)) for each in passes)
        return [(each, order[max(first - each * count, 0) : last - each * count]) for each, order in orders]


def class_draws(
    labels: NDArray[np.integer], indices: NDArray[np.int64], sampling: ClassSampling, total: int
) -> list[ClassDraws]:
    """Return how many clips of each class an epoch of `total` draws has, at least one of each class.

    Args:
        labels: of the clips `indices`, (N,).
        indices: the clips.
        sampling: `square_root` draws each class in proportion to the square root of its clips, `balanced` equally.
        total: at least N.
    """
    present, counts = np.unique(labels, return_counts=True)
    share = counts ** _POWERS[sampling]
    exact = total * share / share.sum()
    draws = np.floor(exact).astype(np.int64)
    most_cut = np.argsort(draws - exact, kind="stable")  # the largest remainders first
    draws[most_cut[: total - draws.sum()]] += 1
    members = [from_numpy(indices[labels == label]) for label in present]
    return [ClassDraws(clips, number) for clips, number in zip(members, draws.tolist(), strict=True)]


def class_weights(labels: NDArray[np.integer], weights: ClassWeights, num_classes: int) -> Tensor | None:
    """Return the weight of each class in the cross-entropy, (K,), with a mean of 1 over the clips, or None.

    A class without a clip has the weight 1, which is not used.

    Args:
        labels: of the training clips, (N,).
        weights: `balanced` divides by the number of clips, `effective` by their effective number.
        num_classes: K.
    """
    if weights == "none":
        return None
    counts = np.bincount(labels, minlength=num_classes).astype(np.float64)
    sizes = counts if weights == "balanced" else (1 - EFFECTIVE_BETA**counts) / (1 - EFFECTIVE_BETA)
    values = np.divide(1.0, sizes, out=np.zeros_like(sizes), where=counts > 0)
    values *= counts.sum() / (counts * values).sum()
    return from_numpy(np.where(counts > 0, values, 1.0).astype(np.float32))
