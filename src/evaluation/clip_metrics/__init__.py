"""Metrics of classification beside top-1 and top-5, one module each, found by its name: `metrics: {NAME: {}}`.

A module has

- `METRIC`: what it is called and whether a larger value is better; its name is the module's;
- `values(scores, labels, settings)`: the metric of each clip, (N,), from its probabilities (N, K) and labels (N,);
- `UNANSWERED`: what a clip counts whose scores are not finite;
- `Settings`, where it has configuration keys of its own: a dataclass, filled from `metrics.NAME`.

A metric is averaged over clips: over those of an epoch and of a test on the training device, and in `evaluate`.

Legend: N clips, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ...tasks.measures import Metric
from ...utils.errors import UserError
from ...utils.plug_ins import find_plug_in, plug_in_names, settings_from

if TYPE_CHECKING:
    from torch import Tensor


class MetricModule(Protocol):
    """What a metric's module has."""

    METRIC: Metric
    UNANSWERED: float

    def values(self, scores: "Tensor", labels: "Tensor", settings: Any) -> "Tensor": ...


@dataclass(frozen=True)
class ClipMetric:
    """A metric with its settings."""

    module: MetricModule
    settings: Any

    @property
    def metric(self) -> Metric:
        """Return its name and which values are better."""
        return self.module.METRIC

    def total(self, scores: "Tensor", labels: "Tensor") -> "Tensor":
        """Return the sum () over clips, of their probabilities (N, K) and labels (N,)."""
        answered = scores.isfinite().all(dim=1)
        values = self.module.values(scores, labels, self.settings)
        return values.masked_fill(~answered, self.module.UNANSWERED).sum()


def list_metrics() -> list[str]:
    """Return the names that `metrics` and `evaluate --metric` accept; no metric is imported for it."""
    return plug_in_names(__name__)


def get_metric(name: str) -> MetricModule:
    """Return the module of a metric by its name.

    Raises:
        UserError: there is none of that name, or it calls itself otherwise.
    """
    module: MetricModule = find_plug_in(__name__, name, "metric")
    if module.METRIC.name != name:
        raise UserError(f"The metric in {name}.py calls itself {module.METRIC.name!r}. Call it {name!r}, as its file.")
    return module


def clip_metrics(chosen: Mapping[str, Mapping[str, Any]]) -> list[ClipMetric]:
    """Return the metrics that a configuration names, each with its settings.

    Raises:
        UserError: there is no metric of a name, or a setting of one is unknown or impossible.
    """
    found = {name: get_metric(name) for name in chosen}
    return [ClipMetric(found[name], settings_from(found[name], chosen[name], f"metrics.{name}")) for name in chosen]
