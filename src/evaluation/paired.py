"""Comparison of two trainings on the same test clips: their difference with an interval, and McNemar's test.

Legend: S seeds, N clips.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..utils.errors import UserError
from .intervals import DRAWS, LEVEL

BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"


@dataclass(frozen=True)
class Difference:
    """The accuracy of one training minus that of another on the same clips, in percentage points.

    Attributes:
        mean: over all clips and seeds.
        low, high: the ends of the interval, of the share `LEVEL`.
        clips, seeds: what it is a mean of; of parts with different numbers of seeds the least.
    """

    mean: float
    low: float
    high: float
    clips: int
    seeds: int

    @property
    def verdict(self) -> str:
        """Return `better` or `worse` if the interval has a width and excludes 0, else `undecided`."""
        if self.agrees:
            return UNDECIDED
        if self.low > 0:
            return BETTER
        return WORSE if self.high < 0 else UNDECIDED

    @property
    def agrees(self) -> bool:
        """Return whether the interval has no width: all clips differ alike, and the bootstrap cannot judge by them."""
        return self.low == self.high

    @property
    def resolution(self) -> float:
        """Return half of the interval's width: a smaller difference cannot be told from none."""
        return (self.high - self.low) / 2

    def text(self) -> str:
        """Return it as text, such as `+1.20 [-0.30, +2.60]`."""
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def paired_difference(parts: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_]]], seed: int = 0) -> Difference:
    """Return how much more often the first of two trainings is correct than the second.

    The interval is that of a percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    chapter 13) over the clips of each part and, with several seeds, over the seeds of each part: a draw takes as many
    clips and seeds as there are, with replacement, and the same ones for both trainings. With one seed the interval
    contains only the noise of the clips. With few seeds it is somewhat too narrow: resampling S of S seeds
    underestimates their variance by the factor (S - 1) / S.

    Args:
        parts: for each test part whether the clips were recognised by the first and by the second training, each
            (S, N) with the same seeds and clips.
        seed: that of the draws.

    Raises:
        ValueError: there is no part, or the arrays of a part differ in shape or are empty.
    """
    if not parts or any(first.shape != second.shape or not first.size for first, second in parts):
        raise ValueError("A difference needs parts with the same seeds and clips for both trainings.")
    differences = [first.astype(np.float64) - second for first, second in parts]
    clips = sum(each.shape[1] for each in differences)
    random = np.random.default_rng(seed)
    draws = np.zeros(DRAWS)
    for each in differences:
        seeds, count = each.shape
        for draw in range(DRAWS):
            of_seeds = each[random.integers(seeds, size=seeds)].mean(axis=0) if seeds > 1 else each[0]
            draws[draw] += of_seeds[random.integers(count, size=count)].sum()
    mean = sum(each.mean(axis=0).sum() for each in differences) / clips
    low, high = np.quantile(draws / clips, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    seeds = min(each.shape[0] for each in differences)
    return Difference(100 * float(mean), 100 * float(low), 100 * float(high), clips, seeds)


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the two-sided p of McNemar's exact test: whether two runs recognise equally many of the same clips.

    Only clips that one run recognises and the other does not count; without a difference each falls to either run with
    probability 1/2 (McNemar, Psychometrika 12, 1947; the exact form is the binomial test).

    Args:
        first, second: (N,), whether each run recognised the clips.

    Raises:
        UserError: the runs were tested on different numbers of clips.
    """
    if first.shape != second.shape:
        raise UserError(f"The runs were tested on {len(first):,} and {len(second):,} clips, which are not the same.")
    of_first, of_second = int((first & ~second).sum()), int((second & ~first).sum())
    total, fewer = of_first + of_second, min(of_first, of_second)
    logs = [
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) - total * math.log(2)
        for k in range(fewer + 1)
    ]
    return min(1.0, 2 * sum(map(math.exp, logs)))
