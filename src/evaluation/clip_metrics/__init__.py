"""Metrics of classification that not every run has, one module each, found by its name: `metrics: {NAME: {}}`.

A module has

- `METRIC`: its name, which is the module's, and whether a larger value is better;
- `values(scores, labels, settings)`: the metric of each clip, (N,), from its probabilities (N, K) and labels (N,);
- `UNUSABLE`: the value for a clip with non-finite scores;
- `Settings`, if it has its own configuration keys: a dataclass, filled from `metrics.NAME`.

A metric is averaged over the clips of an epoch or a test on the training device, and in `evaluate`.

Legend: N clips, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ...tasks.measures import CLASSIFICATION, RESERVED_NAMES, Metric, refuse_taken_names
from ...utils.errors import UserError
from ...utils.plug_ins import NUMBER, Kind, function_of, instance_of, settings_from

if TYPE_CHECKING:
    from torch import Tensor


KIND = Kind(
    __name__,
    "metric",
    reserved=(*CLASSIFICATION.names, *RESERVED_NAMES),
    needs={"METRIC": instance_of(Metric), "UNUSABLE": NUMBER, "values": function_of("scores", "labels", "settings")},
)


class MetricModule(Protocol):
    """The contents of a metric's module."""

    METRIC: Metric
    UNUSABLE: float

    def values(self, scores: "Tensor", labels: "Tensor", settings: Any) -> "Tensor": ...


@dataclass(frozen=True)
class ClipMetric:
    """A metric with its settings."""

    module: MetricModule
    settings: Any

    @property
    def metric(self) -> Metric:
        """Return its name and whether larger values are better."""
        return self.module.METRIC

    def total(self, scores: "Tensor", labels: "Tensor") -> "Tensor":
        """Return the sum () over clips, from their probabilities (N, K) and labels (N,)."""
        finite = scores.isfinite().all(dim=1)
        values = self.module.values(scores, labels, self.settings)
        return values.masked_fill(~finite, self.module.UNUSABLE).sum()


def list_metrics() -> list[str]:
    """Return the names that `metrics` and `evaluate --metric` accept, without importing any metric."""
    return KIND.names()


def get_metric(name: str) -> MetricModule:
    """Return the module of a metric by its name.

    Raises:
        UserError: there is no such metric, its module cannot be used, or its own name differs from the module's.
    """
    module: MetricModule = KIND.find(name)
    if module.METRIC.name != name:
        raise UserError(
            f"The metric in {name}.py has the name {module.METRIC.name!r}. Change it to {name!r}, the name of its file."
        )
    refuse_taken_names([name], KIND.file_of(name))
    return module


def clip_metrics(chosen: Mapping[str, Mapping[str, Any]]) -> list[ClipMetric]:
    """Return the metrics that a configuration names, each with its settings.

    Raises:
        UserError: a metric does not exist, or one of its settings is unknown or invalid.
    """
    found = {name: get_metric(name) for name in chosen}
    return [ClipMetric(found[name], settings_from(found[name], chosen[name], f"metrics.{name}")) for name in chosen]
