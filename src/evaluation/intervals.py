"""Intervals of means by the percentile bootstrap over clips.

A clip is drawn as a whole: an interval says how far a figure would move with other clips of the same kind. It says
nothing of other seeds, subjects or cameras.

Legend: N clips.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
LEVEL = 0.95
_NUMBERS_AT_ONCE = 4_000_000  # values drawn at a time: 32 MB, however many clips there are


def bootstrap_interval(
    values: NDArray[np.floating[Any] | np.integer[Any] | np.bool_],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Return the percentile interval of the mean of values, one for each clip.

    Equal values, draws and seed give the same interval. One clip, or clips of equal values, give an interval without
    width, which says that the bootstrap has nothing to judge by, and not that the mean is certain.

    Args:
        values: (N,) such as 1 for a correct clip and 0 for a wrong one, or the difference of two runs on each clip.
        draws: how many times N clips are drawn with replacement.
        seed: of the draws.
        level: the share of the draws inside, between 0 and 1.

    Raises:
        ValueError: there are no values, one is not finite, or `draws` or `level` is out of its limits.
    """
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        raise ValueError("An interval needs one finite value for each of some clips.")
    if draws < 1 or not 0 < level < 1:
        raise ValueError(f"{draws} draws and the level {level:g}: expected at least one draw and 0 < level < 1.")
    means = resampled_means(numbers, draws, seed)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def resampled_means(values: NDArray[np.float64], draws: int, seed: int) -> NDArray[np.float64]:
    """Return the means (draws,) of values (N,) drawn with replacement.

    Few different values, such as right and wrong, are drawn as counts, which takes no memory for the single clips.
    """
    generator = np.random.default_rng(seed)
    clips = len(values)
    different, counts = np.unique(values, return_counts=True)
    if len(different) <= math.isqrt(clips):
        drawn = generator.multinomial(clips, counts / clips, size=draws)  # (draws, different)
        found: NDArray[np.float64] = drawn @ different / clips
        return found
    at_once = max(1, _NUMBERS_AT_ONCE // clips)
    means = [
        values[generator.integers(0, clips, size=(min(at_once, draws - start), clips))].mean(axis=1)
        for start in range(0, draws, at_once)
    ]
    return np.concatenate(means)


def mean_class_interval(
    correct: NDArray[np.integer[Any]],
    clips: NDArray[np.integer[Any]],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Return the interval of the mean of the classes' accuracies, from 0 to 1; clips are drawn within each class.

    Args:
        correct, clips: (K,) the recognised clips and all clips of each class, at least one.
        draws, seed, level: see `bootstrap_interval`.
    """
    generator = np.random.default_rng(seed)
    accuracies = generator.binomial(clips, correct / clips, size=(draws, len(clips))) / clips
    low, high = np.quantile(accuracies.mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
