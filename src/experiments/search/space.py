"""The settings that a search varies, each a range or a list of values, and the candidates drawn from them."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.quasirandom import SobolEngine

from ...utils.errors import UserError
from ...utils.foreign_text import short
from ...utils.yaml_text import decimal

_RANGE = re.compile(r"(.+?)\.\.(.+?)(?::(log|linear))?")
_WIDE = 10  # a range of positive numbers whose ends differ by this factor is drawn evenly by ratio
_DIGITS = 3  # of drawn numbers and of their places within a range, so that they are easy to repeat
_DRAWN_AT_ONCE = 16
_FORM = "--search learning_rate=0.05..0.8, or a list of values: --search batch_size=16,32,64"

# The value of the configuration at a dotted key if `text` is set there; refuses an impossible text.
ValueOf = Callable[[str, str], Any]


@dataclass(frozen=True)
class SearchedSetting:
    """A setting that a search varies.

    Attributes:
        key: its dotted key.
        values: those of a list, as texts; empty for a range.
        low, high: the ends of a range, both included.
        whole: whether the values of a range are integers.
        logarithmic: whether a range is drawn evenly by ratio instead of by difference.
    """

    key: str
    values: Sequence[str] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    logarithmic: bool = False

    def value_at(self, position: float) -> str:
        """Return the value, as a text for `--set`, at a position from 0 to 1 within the range or list."""
        if self.values:
            return self.values[min(int(position * len(self.values)), len(self.values) - 1)]
        low, high = (self.low - 0.5, self.high + 0.5) if self.whole else (self.low, self.high)
        if self.logarithmic:
            found = math.exp(math.log(low) + position * (math.log(high) - math.log(low)))
        else:
            found = low + position * (high - low)
        if self.whole:
            return str(int(min(max(round(found), self.low), self.high)))
        return _text(min(max(self._rounded(found), self.low), self.high))

    def _rounded(self, value: float) -> float:
        """Return a value with few digits: as many as give it three of its own, and three of its place in the range."""
        width = self.high - self.low
        finer = _magnitude(value) - _magnitude(width) if abs(value) > width else 0
        return float(f"{value:.{_DIGITS + finer}g}")

    @property
    def count(self) -> float:
        """Return how many values it can have; of a range of real numbers they are not counted."""
        return len(self.values) or (self.high - self.low + 1 if self.whole else math.inf)

    @property
    def largest(self) -> float:
        """Return the largest value of a setting that is a number."""
        return max(map(float, self.values), default=self.high)

    def text(self) -> str:
        """Return a description, such as `learning_rate: 0.05 to 0.8 by ratio`."""
        if self.values:
            return f"{self.key}: {', '.join(self.values)}"
        return f"{self.key}: {_text(self.low)} to {_text(self.high)}{' by ratio' if self.logarithmic else ''}"


def split_setting(text: str) -> tuple[str, str]:
    """Return the key and the range or list of a `--search` text.

    Raises:
        UserError: it has no key, or no `=`.
    """
    key, equals, values = (part.strip() for part in text.partition("="))
    if not equals or not key or not values:
        raise UserError(f"--search {short(text)} should look like {_FORM}.")
    return key, values


def searched_setting(key: str, text: str, value_of: ValueOf) -> SearchedSetting:
    """Return the setting of a key and its range or list; both ends, or all values, are tried in the configuration.

    Raises:
        UserError: the range is empty or of a setting that is no number, a value occurs twice or is impossible.
    """
    values = values_of(text)
    if len(values) > 1:
        for each in values:
            value_of(key, each)
        if len(set(values)) != len(values):
            raise UserError(f"{_written(key, text)} has a value twice.")
        return SearchedSetting(key, values)
    matched = _RANGE.fullmatch(text)
    if matched is None:
        raise UserError(f"{_written(key, text)} has one value. Set it with --set, or write {_FORM}.")
    low, high = range_ends(key, text)
    ends = [value_of(key, end) for end in (matched[1], matched[2])]
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in ends):
        raise UserError(f"{_written(key, text)}: a range is of numbers, and {key} is none. List its values.")
    wide = low > 0 and high / low >= _WIDE
    if matched[3] == "log" and low <= 0:
        raise UserError(f"{_written(key, text)}: a range that is drawn by ratio begins above 0.")
    return SearchedSetting(
        key,
        low=low,
        high=high,
        whole=all(isinstance(end, int) for end in ends),
        logarithmic=matched[3] == "log" or (wide and matched[3] != "linear"),
    )


def range_ends(key: str, text: str) -> tuple[float, float]:
    """Return the ends of a range `LOW..HIGH`.

    Raises:
        UserError: they are no finite numbers, or the first one is not below the second.
    """
    matched = _RANGE.fullmatch(text)
    ends = [decimal(end.strip()) for end in matched.groups()[:2]] if matched else []
    if len(ends) != 2 or any(isinstance(end, str) or not math.isfinite(end) for end in ends):
        raise UserError(f"{_written(key, text)}: the ends of a range should be numbers, such as {_FORM}.")
    low, high = (float(end) for end in ends)
    if low >= high:
        why = "is empty" if low == high else f"is reversed: write {_text(high)}..{_text(low)}"
        raise UserError(f"{_written(key, text)}: the range {why}.")
    return low, high


def _text(number: float) -> str:
    return f"{number:.15g}"


def _magnitude(number: float) -> int:
    """Return the power of ten of the first digit of a number other than 0."""
    return math.floor(math.log10(abs(number)))


def _written(key: str, text: str) -> str:
    return f"--search {short(f'{key}={text}')}"


def values_of(text: str) -> list[str]:
    """Return the values of a list that is separated by commas; commas within brackets belong to a value."""
    values, depth = [""], 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth:
            values.append("")
        else:
            values[-1] += letter
    return [value.strip() for value in values]


def draw(settings: Sequence[SearchedSetting]) -> Iterator[Mapping[str, str]]:
    """Yield the values of one candidate after the other, by key; the sequence has no end and is always the same.

    Random candidates find good settings with fewer trainings than a grid, and those of a low-discrepancy sequence with
    fewer still (Bergstra and Bengio, JMLR 13, 2012). This one is Sobol's, scrambled: any number of further candidates
    fills the gaps between those that there are.
    """
    sequence = SobolEngine(len(settings), scramble=True, seed=0)  # type: ignore[no-untyped-call]
    while True:
        for positions in sequence.draw(_DRAWN_AT_ONCE, dtype=torch.float64).tolist():
            yield {each.key: each.value_at(position) for each, position in zip(settings, positions, strict=True)}
