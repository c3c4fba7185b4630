"""The metrics of a task by name."""

import math
from dataclasses import replace

import pytest

from last.tasks.measures import CLASSIFICATION, PERCENT, Measures, Metric, measures_from, refuse_taken_names
from last.utils.errors import UserError

ERROR = Metric("error", "joint error", "m", higher_is_better=False)
OWN = Measures("masked_joints", (ERROR,), "error")


def test_any_value_is_better_than_the_worst_one_and_nan_never_is() -> None:
    for metric in (*CLASSIFICATION.metrics, ERROR):
        assert metric.is_better(0.0, metric.worst)
        assert not metric.is_better(math.nan, metric.worst)


def test_a_metric_of_which_less_is_better_is_compared_so() -> None:
    assert ERROR.is_better(0.1, 0.2) and not ERROR.is_better(0.2, 0.1)
    assert (ERROR.scale, ERROR.label, ERROR.text(0.12345)) == (1.0, "joint error, m", "0.1235")


def test_measures_are_read_from_what_they_write() -> None:
    assert measures_from(OWN.facts(), "a run") == OWN
    assert CLASSIFICATION.facts() == {} and measures_from({}, "a run") == CLASSIFICATION
    assert OWN.figures() == ("best_error", "final_error") and not OWN.classifies


@pytest.mark.parametrize(
    "other",
    [
        replace(CLASSIFICATION, metrics=(*CLASSIFICATION.metrics, Metric("recall", "mean recall", PERCENT))),
        replace(CLASSIFICATION, metrics=CLASSIFICATION.metrics[:1]),
        replace(CLASSIFICATION, primary="top5"),
    ],
)
def test_classification_with_other_metrics_is_written_and_read(other: Measures) -> None:
    assert other.classifies and other.facts() != {}
    assert measures_from(other.facts(), "a run") == other


@pytest.mark.parametrize(
    "facts", [{"task": 3}, {"metrics": [{"nam": "x"}]}, {"metrics": [], "task": "a", "primary": "b"}]
)
def test_values_that_describe_no_measures_are_refused(facts: dict[str, object]) -> None:
    with pytest.raises(UserError, match="a run"):
        measures_from(facts, "a run")


@pytest.mark.parametrize(("classes", "told"), [(1, True), (5, True), (6, False)])
def test_top_5_is_said_to_say_nothing_with_five_or_fewer_classes(classes: int, told: bool) -> None:
    assert bool(CLASSIFICATION.notes(classes)) == told
    assert not OWN.notes(classes) and not replace(CLASSIFICATION, metrics=CLASSIFICATION.metrics[:1]).notes(classes)


@pytest.mark.parametrize("names", [["loss"], ["epoch"], ["labels_loss"], ["top1", "top1"]])
def test_a_metric_cannot_replace_another_column(names: list[str]) -> None:
    with pytest.raises(UserError, match=r"The task a: .*[Rr]ename"):
        refuse_taken_names(names, "The task a")
    refuse_taken_names(["top1", "error"], "The task a")
