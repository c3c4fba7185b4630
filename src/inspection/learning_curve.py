"""What more clips would bring: a power law through accuracies that were measured with fewer clips.

The error of a student with n training clips is taken to be a + b n^-c (Hestness et al., Deep Learning Scaling is
Predictable, Empirically, arXiv:1712.00409). Three points do not determine three numbers in the presence of chance, so c
is bounded, and the interval is that of fits to resampled held-out clips.

Legend: S shares of the training clips, F folds, N held-out clips, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..utils.numbers import percent
from .findings import CurvePoint, LearningCurve

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FORECAST_FACTORS = (2, 4)
_EXPONENTS = np.linspace(0.2, 1.0, 17)
_RESAMPLES = 400
_INTERVAL = (5.0, 95.0)  # percentiles of the fits to resampled clips
_CLASSES_NAMED = 3
_LEAST_GAIN = 0.02  # of accuracy that is worth recording clips for
_ENOUGH_ERROR = 0.02


@dataclass(frozen=True)
class PowerLaw:
    """The error of n training clips, a + b n^-c."""

    a: float
    b: float
    c: float

    def error(self, clips: float) -> float:
        """Return the error at a number of training clips, from 0 to 1."""
        return float(np.clip(self.a + self.b * clips**-self.c, 0.0, 1.0))


@dataclass(frozen=True)
class Measured:
    """What students with parts of the training clips did with the same held-out clips.

    Attributes:
        shares: (S,) of the training clips, ascending, the last one 1.
        clips: (S,) the mean number of training clips.
        correct: (S, N) which held-out clips were right, 1 or 0; one that cannot be scored is not right.
        folds: (N,) the fold of each held-out clip; a student was trained for each fold and share.
        labels: (N,) their classes.
    """

    shares: Sequence[float]
    clips: Sequence[int]
    correct: Floats
    folds: Integers
    labels: Integers


def fit_power_law(clips: Sequence[float], errors: Sequence[float]) -> PowerLaw:
    """Return the power law with the least squared differences; a and b are not negative, c is from 0.2 to 1.

    Args:
        clips: the numbers of training clips, two or more different ones.
        errors: the error at each, from 0 to 1.
    """
    numbers, wanted = np.asarray(clips, np.float64), np.asarray(errors, np.float64)
    best, least = PowerLaw(float(wanted.mean()), 0.0, 1.0), float(((wanted - wanted.mean()) ** 2).sum())
    for exponent in _EXPONENTS:
        powers = numbers**-exponent
        centred = powers - powers.mean()
        slope = float((centred @ wanted) / (centred @ centred))
        for b in (slope, float(powers @ wanted / (powers @ powers))):  # with a free, and with a = 0
            a = max(0.0, float(wanted.mean() - b * powers.mean()))
            misfit = float(((a + b * powers - wanted) ** 2).sum())
            if b >= 0 and misfit < least - 1e-15:
                best, least = PowerLaw(a, b, float(exponent)), misfit
    return best


def learning_curve(measured: Measured, classes: Sequence[str], seed: int = 0) -> LearningCurve:
    """Return the measured points, the forecast for twice and four times as many clips, and advice."""
    points = [
        CurvePoint(share, clips, [float(np.mean(row[measured.folds == fold])) for fold in np.unique(measured.folds)])
        for share, clips, row in zip(measured.shares, measured.clips, measured.correct, strict=True)
    ]
    forecast = _forecast(measured, seed)
    return LearningCurve(points, forecast, _advice(measured, points, forecast, classes))


def _forecast(measured: Measured, seed: int) -> Mapping[int, tuple[float, float, float]]:
    """Return the lowest, likely and highest accuracy for numbers of clips beyond the measured ones."""
    generator, folds = np.random.default_rng(seed), np.unique(measured.folds)
    members = [np.flatnonzero(measured.folds == fold) for fold in folds]
    numbers = [factor * measured.clips[-1] for factor in FORECAST_FACTORS]
    likely = _extrapolated(measured, np.arange(len(measured.folds)), numbers)
    drawn = []
    for _ in range(_RESAMPLES):
        chosen = [members[fold] for fold in generator.integers(len(folds), size=len(folds))]
        clips = np.concatenate([generator.choice(each, len(each)) for each in chosen])
        drawn.append(_extrapolated(measured, clips, numbers))
    low, high = np.percentile(np.array(drawn), _INTERVAL, axis=0)
    return {
        number: (min(float(low[at]), likely[at]), likely[at], max(float(high[at]), likely[at]))
        for at, number in enumerate(numbers)
    }


def _extrapolated(measured: Measured, chosen: Integers, numbers: Sequence[int]) -> list[float]:
    errors = 1 - np.mean(measured.correct[:, chosen], axis=1)
    law = fit_power_law(measured.clips, list(errors))
    return [1 - law.error(number) for number in numbers]


def _advice(
    measured: Measured,
    points: Sequence[CurvePoint],
    forecast: Mapping[int, tuple[float, float, float]],
    classes: Sequence[str],
) -> str:
    now = float(np.mean(measured.correct[-1]))
    (low, likely, high), *_ = forecast.values()
    sentences = [
        f"A small student, trained briefly, recognises {percent(now)} of the held-out clips after "
        f"{points[-1].clips:,} training clips, {percent(points[0].mean)} after {points[0].clips:,}.",
        f"With twice as many clips, {_range(low, high)} would be right (a rough estimate).",
    ]
    if likely - now < _LEAST_GAIN:
        enough = now >= 1 - _ENOUGH_ERROR
        sentences.append(
            "There are enough clips for this student."
            if enough
            else "More clips of this kind would help little: first check the labels, and train for longer or a larger "
            "model."
        )
    elif profiting := _profiting(measured, classes):
        sentences.append(f"Classes that would benefit most: {', '.join(profiting)}.")
    return " ".join(sentences)


def _range(low: float, high: float) -> str:
    lowest, highest = round(100 * low), round(100 * high)
    return f"about {lowest} %" if lowest == highest else f"about {lowest} to {highest} %"


def _profiting(measured: Measured, classes: Sequence[str]) -> list[str]:
    """Return the classes that more clips helped most so far and that still have errors, the first ones."""
    gains: dict[str, float] = {}
    for label in np.unique(measured.labels):
        recalls = np.mean(measured.correct[:, measured.labels == label], axis=1)
        gain = min(float(recalls[-1] - recalls[0]), float(1 - recalls[-1]))
        if gain > _LEAST_GAIN:
            gains[classes[label]] = gain
    return sorted(gains, key=lambda name: -gains[name])[:_CLASSES_NAMED]
