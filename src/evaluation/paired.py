"""Comparison of two trainings on the same test clips: their difference with an interval, and McNemar's test.

Legend: S seeds, N clips.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..utils.errors import UserError
from .intervals import DRAWS, LEVEL

BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"
_NUMBERS_AT_ONCE = 2_000_000  # weights of clips drawn at a time: 16 MB, however many clips there are

# Which clips two trainings with one seed recognised, by the clips' names.
Pair = tuple[Mapping[str, bool], Mapping[str, bool]]
_Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """The accuracy of one training minus that of another on the same clips, in percentage points.

    Attributes:
        mean: over all clips and seeds; a clip counts in each part that tests it.
        low, high: the ends of the interval, of the share `LEVEL`.
        clips: how many different ones it is a mean of.
        seeds: the same; of parts with different numbers of seeds the least.
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


def paired_difference(parts: Sequence[Sequence[Pair]], seed: int = 0) -> Difference:
    """Return how much more often the first of two trainings is correct than the second.

    Every clip counts the same in each part that tests it. The interval is that of a percentile bootstrap (Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13) over clips and, with several seeds, over the seeds
    of each part, drawn independently (Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1, 2007): a draw
    takes as many clips and seeds as there are, with replacement, and the same ones for both trainings. A clip is drawn
    once for all parts and seeds that test it. With one seed the interval contains only the noise of the clips. With
    few seeds it is somewhat too narrow: resampling S of S seeds underestimates their variance by the factor
    (S - 1) / S.

    Args:
        parts: for each test part the two trainings with each seed, which may be tested on different clips.
        seed: that of the draws.

    Raises:
        ValueError: there is no part, or a part or its clips are empty or differ between the trainings.
    """
    pairs = [pair for part in parts for pair in part]
    if not all(parts) or not pairs or any(not first or first.keys() != second.keys() for first, second in pairs):
        raise ValueError("A difference needs parts with the same clips for both trainings.")
    random = np.random.default_rng(seed)
    differences, counts = np.zeros((2, DRAWS))
    total, tests = 0.0, 0.0
    for linked in _linked_parts(parts):
        of_linked = _tables(linked)
        shares = _shares_of_clips([tested for _, tested in of_linked])
        drawn_seeds = [_drawn_counts(len(part), random) / len(part) for part in linked]
        for rows, clips in _drawn_clips(shares, random):
            for (difference, tested), seeds in zip(of_linked, drawn_seeds, strict=True):
                differences[rows] += (clips @ difference.T * seeds[rows]).sum(axis=1)
                counts[rows] += (clips @ tested.T * seeds[rows]).sum(axis=1)
        total += sum(difference.sum() / len(difference) for difference, _ in of_linked)
        tests += sum(tested.sum() / len(tested) for _, tested in of_linked)
    drawn = differences[counts > 0] / counts[counts > 0]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    names = {name for first, _ in pairs for name in first}
    return Difference(100 * float(total / tests), 100 * float(low), 100 * float(high), len(names), min(map(len, parts)))


def _linked_parts(parts: Sequence[Sequence[Pair]]) -> list[list[Sequence[Pair]]]:
    """Return the parts in groups: those that share clips, directly or by way of others, are in one."""
    groups: list[tuple[set[str], list[Sequence[Pair]]]] = []
    for part in parts:
        names, group = {name for first, _ in part for name in first}, [part]
        for each in [each for each in groups if each[0] & names]:
            groups.remove(each)
            names, group = names | each[0], [*each[1], *group]
        groups.append((names, group))
    return [group for _, group in groups]


def _tables(parts: Sequence[Sequence[Pair]]) -> list[tuple[_Numbers, _Numbers]]:
    """Return for each part the differences of each clip, and whether it was tested, each (S, N); N clips of all."""
    names = dict.fromkeys(name for part in parts for first, _ in part for name in first)
    position = {name: number for number, name in enumerate(names)}
    tables = [(np.zeros((len(part), len(position))), np.zeros((len(part), len(position)))) for part in parts]
    for part, (difference, tested) in zip(parts, tables, strict=True):
        for row, (first, second) in enumerate(part):
            places = [position[name] for name in first]
            difference[row, places] = [int(correct) - int(second[name]) for name, correct in first.items()]
            tested[row, places] = 1
    return tables


def _shares_of_clips(tested: Sequence[_Numbers]) -> _Numbers:
    """Return by how much a draw of clips has to move the weight of each clip, (N,), from 0 to 1.

    The draws of seeds already move a clip that only some seeds of a part test, such as a held-out one. The rest of its
    variance is left to the draws of clips, all of it if every seed tests the clip.

    Args:
        tested: of each part whether a clip is tested, (S, N).
    """
    of_seeds = [each.mean(axis=0) for each in tested]  # which share of the seeds tests the clip
    moved = sum(share * (1 - share) / len(each) for share, each in zip(of_seeds, tested, strict=True))
    shares: _Numbers = np.sqrt(1 - moved / sum(of_seeds) ** 2)
    return shares


def _drawn_counts(seeds: int, random: np.random.Generator) -> _Numbers:
    """Return how often each seed is drawn, (DRAWS, S)."""
    return random.multinomial(seeds, np.full(seeds, 1 / seeds), size=DRAWS).astype(np.float64)


def _drawn_clips(shares: _Numbers, random: np.random.Generator) -> Iterator[tuple[slice, _Numbers]]:
    """Yield the draws of clips in blocks: which draws, and the weight of each clip in each of them, (draws, N)."""
    clips = len(shares)
    at_once = max(1, _NUMBERS_AT_ONCE // clips)
    for start in range(0, DRAWS, at_once):
        draws = min(at_once, DRAWS - start)
        drawn = random.integers(clips, size=(draws, clips)) + clips * np.arange(draws)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=draws * clips).reshape(draws, clips)
        yield slice(start, start + draws), 1 + shares * (counts - 1)


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
