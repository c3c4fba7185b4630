"""Mean and standard deviation of results."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class MeanDeviation(NamedTuple):
    """Mean and sample standard deviation, such as over seeds; NaN if unknown."""

    mean: float
    deviation: float

    def __str__(self) -> str:
        return self.text()

    @classmethod
    def of(cls, values: Sequence[float]) -> "MeanDeviation":
        """Return mean and deviation of some values; NaN if values are missing or not finite."""
        if not values or not all(map(math.isfinite, values)):
            return cls(math.nan, math.nan)
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan)

    @property
    def known(self) -> bool:
        """Whether there is a mean."""
        return math.isfinite(self.mean)

    def text(self, sign: str = "") -> str:
        """Return it as text, with an explicit plus if `sign` is `+`; a dash if unknown."""
        if not self.known:
            return "-"
        return f"{self.mean:{sign}.2f}" + (f" ± {self.deviation:.2f}" if math.isfinite(self.deviation) else "")

    def facts(self) -> dict[str, float | None]:
        """Return it as JSON values; an unknown number is None."""
        return {"mean": finite_or_none(self.mean), "standard_deviation": finite_or_none(self.deviation)}


def finite_or_none(value: float) -> float | None:
    """Return a number for JSON, which has no NaN."""
    return value if math.isfinite(value) else None
