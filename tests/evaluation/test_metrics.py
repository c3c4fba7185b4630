import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from last.evaluation.metrics import Metrics, Predictions, measure, ranked_classes, true_ranks
from last.utils.errors import UserError


def predictions(labels: list[int], scores: list[list[float]]) -> Predictions:
    names = [f"clip{index}" for index in range(len(labels))]
    return Predictions(names, np.array(labels, np.int64), np.array(scores, np.float32))


def one_hot(predicted: list[int], classes: int) -> list[list[float]]:
    return np.eye(classes)[predicted].tolist()


def constant(clips: int, classes: int) -> list[list[float]]:
    return [[1 / classes] * classes] * clips


@st.composite
def scored_clips(draw: st.DrawFn) -> tuple[Predictions, int]:
    """Draw clips whose scores hold many ties: few different weights, brought to sum one."""
    classes = draw(st.integers(1, 8))
    weights = st.lists(st.sampled_from([1, 2, 4]), min_size=classes, max_size=classes)
    rows = draw(st.lists(weights, min_size=1, max_size=12))
    labels = [draw(st.integers(0, classes - 1)) for _ in rows]
    return predictions(labels, [[weight / sum(row) for weight in row] for row in rows]), classes


def slow_order(scores: np.ndarray) -> list[int]:
    return sorted(range(len(scores)), key=lambda index: (-scores[index], index))


def slow_measure(given: Predictions, classes: int) -> tuple[float, float, float, float]:
    """Return top-1, top-5, mean class accuracy and loss, a clip at a time."""
    first, among_five, loss = 0, 0, 0.0
    by_class: dict[int, list[bool]] = {}
    for label, scores in zip(given.labels.tolist(), given.scores, strict=True):
        order = slow_order(scores)
        first += order[0] == label
        among_five += label in order[:5]
        loss -= math.log(scores[label])
        by_class.setdefault(label, []).append(order[0] == label)
    clips = len(given.names)
    mean = sum(sum(hits) / len(hits) for hits in by_class.values()) / len(by_class)
    return 100 * first / clips, 100 * among_five / clips, 100 * mean, loss / clips


@settings(deadline=None)
@given(scored_clips())
def test_figures_equal_those_of_a_plain_reference(drawn: tuple[Predictions, int]) -> None:
    found = measure(*drawn)
    figures = (found.top1, found.top5, found.mean_class_accuracy, found.loss)
    assert figures == pytest.approx(slow_measure(*drawn), abs=1e-5)


@settings(deadline=None)
@given(scored_clips())
def test_ranks_and_ranked_classes_tell_the_same_order(drawn: tuple[Predictions, int]) -> None:
    given_, classes = drawn
    order = ranked_classes(given_.scores, classes)
    assert order.tolist() == [slow_order(scores) for scores in given_.scores]
    found_at = [row.index(label) + 1 for row, label in zip(order.tolist(), given_.labels.tolist(), strict=True)]
    assert true_ranks(given_).tolist() == found_at


@settings(deadline=None)
@given(scored_clips())
def test_confusion_counts_every_clip_once_and_its_diagonal_is_top1(drawn: tuple[Predictions, int]) -> None:
    given_, classes = drawn
    found = measure(given_, classes)
    assert found.confusion.sum(axis=1).tolist() == np.bincount(given_.labels, minlength=classes).tolist()
    assert found.top1 == pytest.approx(100 * np.trace(found.confusion) / len(given_.names))


def test_rows_of_the_confusion_are_true_classes_and_columns_predicted_ones() -> None:
    found = measure(predictions([0, 0, 2], one_hot([1, 0, 1], 3)), 3)
    assert found.confusion.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0]]


def test_constant_scores_name_the_lowest_classes_only() -> None:
    found = measure(predictions(list(range(10)), constant(10, 10)), 10)
    assert (found.top1, found.top5) == (10.0, 50.0)


def test_top5_of_three_classes_counts_all_three() -> None:
    assert measure(predictions([2, 1], one_hot([0, 0], 3)), 3).top5 == 100.0


def test_one_class_is_always_recognised() -> None:
    found = measure(predictions([0, 0], [[1.0], [1.0]]), 1)
    assert (found.top1, found.top5, found.mean_class_accuracy, found.loss) == (100.0, 100.0, 100.0, 0.0)
    assert found.per_class[0].confused_with is None


def test_mean_class_accuracy_weighs_rare_classes_like_common_ones() -> None:
    found = measure(predictions([0, 0, 0, 1], one_hot([0, 0, 0, 0], 3)), 3)
    assert found.top1 == 75.0
    assert found.mean_class_accuracy == 50.0


def test_loss_of_a_certain_mistake_is_large_but_finite() -> None:
    loss = measure(predictions([0], one_hot([1], 2)), 2).loss
    assert 80 < loss < 100


def results_of_a_confused_class() -> Metrics:
    return measure(predictions([0, 0, 0, 0, 0, 1], one_hot([0, 2, 2, 1, 1, 0], 4)), 4)


def test_class_result_has_counts_accuracy_and_precision() -> None:
    first = results_of_a_confused_class().per_class[0]
    assert (first.clips, first.correct, first.accuracy, first.precision) == (5, 1, 20.0, 50.0)


def test_class_result_names_the_lowest_of_equally_frequent_confusions() -> None:
    first = results_of_a_confused_class().per_class[0]
    assert (first.confused_with, first.confused_count) == (1, 2)


def test_class_without_clips_or_predictions_has_no_accuracy_and_no_precision() -> None:
    last = results_of_a_confused_class().per_class[3]
    assert (last.clips, last.accuracy, last.precision, last.confused_with) == (0, None, None, None)


def test_no_clips_are_refused() -> None:
    nothing = Predictions([], np.zeros(0, np.int64), np.zeros((0, 3), np.float32))
    with pytest.raises(UserError, match="no clip"):
        measure(nothing, 3)


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="3 classes"):
        measure(predictions([0], constant(1, 3)), 4)


@pytest.mark.parametrize(
    ("names", "labels", "scores"),
    [(1, (2,), (2, 3)), (2, (2, 1), (2, 3)), (2, (2,), (3, 3)), (2, (2,), (2,))],
)
def test_shapes_that_disagree_are_refused(names: int, labels: tuple[int, ...], scores: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="belong together"):
        Predictions(["clip"] * names, np.zeros(labels, np.int64), np.ones(scores, np.float32))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_refused_with_the_first_clip(bad: float) -> None:
    with pytest.raises(UserError, match=r"1 of 2 clips.*clip1"):
        predictions([0, 0], [[0.5, 0.5], [bad, 0.5]])


@pytest.mark.parametrize("row", [[2.0, -1.0], [0.1, 0.1], [3.0, 4.0]])
def test_scores_that_are_no_probabilities_are_refused(row: list[float]) -> None:
    with pytest.raises(ValueError, match="softmax"):
        predictions([0], [row])


@pytest.mark.parametrize("label", [-1, 3])
def test_label_outside_the_classes_is_refused(label: int) -> None:
    with pytest.raises(UserError, match=f"clip1 has label {label}.*0 to 2"):
        predictions([0, label], constant(2, 3))


def test_a_clip_that_no_model_can_take_is_wrong_everywhere_and_has_no_part_in_the_loss() -> None:
    scores = np.array([[0.9, 0.1], [-np.inf, -np.inf], [0.2, 0.8]], np.float32)
    predictions = Predictions(["a", "b", "c"], np.array([0, 0, 1]), scores, np.array([False, True, False]))
    metrics = measure(predictions, 2)
    assert metrics.top1 == metrics.top5 == pytest.approx(200 / 3)
    assert metrics.confusion.tolist() == [[1, 0], [0, 1]]
    assert metrics.unusable.tolist() == [1, 0]
    assert [(each.clips, each.accuracy) for each in metrics.per_class] == [(2, 50.0), (1, 100.0)]
    assert metrics.loss == pytest.approx(-(np.log(0.9) + np.log(0.8)) / 2, rel=1e-5)


def test_a_part_of_which_no_model_can_take_a_clip_is_refused() -> None:
    predictions = Predictions(["a"], np.array([0]), np.full((1, 2), -np.inf, np.float32), np.array([True]))
    with pytest.raises(UserError, match="every clip of this part has values that no model can take"):
        measure(predictions, 2)
