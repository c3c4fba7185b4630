"""The metrics of a task by name, and which one decides the best epoch.

The logbook, the summary, the list of runs and the plots take names from here, or from the `task.json` of a run. It
does not import torch, so that runs can be listed without it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..utils.errors import UserError
from ..utils.numbers import counted

PERCENT = "%"
TOP = 5  # the classes of highest score that top-5 looks at
RESERVED_NAMES = ("loss", "epoch")  # no metrics, though a run has `train_loss` and `best_epoch`
_END_OF_TERMS = "_loss"  # of the columns of loss terms, `train_<term>_loss`


@dataclass(frozen=True)
class Metric:
    """A quantity that is averaged over clips.

    Attributes:
        name: the end of its columns in the logbook, `train_<name>` and `test_<name>`.
        title: its name in tables and plots.
        unit: `%` for a share of the clips, which is summed as a number from 0 to 1; empty for a plain number.
        higher_is_better: whether a larger value is better.
    """

    name: str
    title: str
    unit: str = ""
    higher_is_better: bool = True

    @property
    def scale(self) -> float:
        """Return the factor between the mean over clips and the value in the logbook."""
        return 100.0 if self.unit == PERCENT else 1.0

    @property
    def worst(self) -> float:
        """Return the value that means "no value yet": any other value is better."""
        if not self.higher_is_better:
            return math.inf
        return -1.0 if self.unit == PERCENT else -math.inf

    @property
    def label(self) -> str:
        """Return the title with the unit, for an axis."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    def is_better(self, value: float, other: float) -> bool:
        """Tell whether `value` is better than `other`; NaN never is."""
        return value > other if self.higher_is_better else value < other

    def text(self, value: float) -> str:
        """Return a value formatted for display, without the unit."""
        return f"{value:5.2f}" if self.unit == PERCENT else f"{value:.4g}"


@dataclass(frozen=True)
class Measures:
    """The metrics of a task.

    Attributes:
        task: the task's name.
        metrics: the quantities in the order of their columns.
        primary: the name of the one that decides the best epoch.
    """

    task: str
    metrics: tuple[Metric, ...]
    primary: str

    @property
    def primary_metric(self) -> Metric:
        """Return the primary metric."""
        return next(each for each in self.metrics if each.name == self.primary)

    @property
    def classifies(self) -> bool:
        """Tell whether they are those of classification, possibly with further metrics."""
        return self.task == CLASSIFICATION.task

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all metrics."""
        return tuple(each.name for each in self.metrics)

    def figures(self) -> tuple[str, ...]:
        """Return the names of a summary's figures: each metric in the best epoch, then in the last one."""
        return tuple(f"{which}_{name}" for which in ("best", "final") for name in self.names)

    def notes(self, classes: int) -> list[str]:
        """Return sentences about metrics that say nothing with this number of classes, to be shown beside them."""
        if classes > TOP or not self.classifies or "top5" not in self.names:
            return []
        return [f"With {counted(classes, 'class')} top-{TOP} counts every clip that has a score, so it says nothing."]

    def facts(self) -> dict[str, Any]:
        """Return them as plain values for a file; empty for classification, the default of files without them."""
        return {} if self == CLASSIFICATION else {**asdict(self), "metrics": [asdict(each) for each in self.metrics]}


# Top-1 and top-5 in percent: the default of every run and checkpoint.
CLASSIFICATION = Measures(
    "classification", (Metric("top1", "top-1", PERCENT), Metric("top5", f"top-{TOP}", PERCENT)), "top1"
)


def refuse_taken_names(names: Sequence[str], origin: str) -> None:
    """Refuse names of metrics whose columns or figures would replace others of a run.

    Raises:
        UserError: there are such names; the message begins with `origin`.
    """
    for name in names:
        if name in RESERVED_NAMES or name.endswith(_END_OF_TERMS):
            raise UserError(
                f"{origin}: a metric cannot have the name {name!r}: {', '.join(RESERVED_NAMES)} and names that end in "
                f"{_END_OF_TERMS} belong to the losses and epochs of a run. Rename it."
            )
        if names.count(name) > 1:
            raise UserError(f"{origin}: two metrics have the name {name!r}. Rename one.")


def measures_from(facts: Mapping[str, Any], origin: str) -> Measures:
    """Return the measures from plain values; those of classification if there are none.

    Raises:
        UserError: the values do not describe measures; the message names `origin`.
    """
    if not facts:
        return CLASSIFICATION
    try:
        metrics = tuple(Metric(**each) for each in facts["metrics"])
        measures = Measures(str(facts["task"]), metrics, str(facts["primary"]))
        kinds = [(each.name, each.title, each.unit, str(each.higher_is_better)) for each in metrics]
        if measures.primary in measures.names and all(isinstance(each, str) for kind in kinds for each in kind):
            return measures
    except (KeyError, TypeError):
        pass
    raise UserError(f"{origin} does not describe the metrics of a task: it needs task, metrics and primary.")
