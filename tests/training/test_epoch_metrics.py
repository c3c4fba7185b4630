"""Averages of an epoch, worked by hand."""

import math

import pytest
import torch

from last.data.loading.loader import Batch
from last.evaluation.metrics import Predictions, measure
from last.runtime.distributed import ALONE, World
from last.tasks.measures import CLASSIFICATION, Measures, Metric
from last.training.classification import Classification, measure_scores
from last.training.epoch_metrics import EpochMetrics
from last.training.epoch_report import columns_of

CPU = torch.device("cpu")


def add(
    metrics: EpochMetrics, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor, **options: torch.Tensor
) -> None:
    """Count a training batch as the trainer does."""
    sums = Classification(torch.nn.Identity(), 0.0).sums(logits, batch_of(labels))
    metrics.add(loss, len(labels), sums, **options)


def add_scores(metrics: EpochMetrics, scores: torch.Tensor, labels: torch.Tensor) -> None:
    """Count a tested batch as the trainer does."""
    metrics.add_test(measure_scores(scores, labels), labels)


def batch_of(labels: torch.Tensor) -> Batch:
    """Return a batch of which only the labels matter."""
    return Batch(labels, labels, labels, labels, labels, labels)


def test_averages_weigh_every_clip_the_same_whatever_its_batch() -> None:
    metrics = EpochMetrics(CPU)
    # The label is ranked first for clip one, third for clip two, sixth for clip three.
    scores = torch.tensor([[9.0, 8, 7, 6, 5, 4], [7.0, 9, 8, 6, 5, 4], [4.0, 9, 8, 7, 6, 5]])
    add(metrics, torch.tensor(1.0), scores[:1], torch.zeros(1, dtype=torch.int64))
    add(metrics, torch.tensor(4.0), scores[1:], torch.zeros(2, dtype=torch.int64))
    figures = metrics.read(ALONE)
    assert (figures.loss, *figures.metrics) == pytest.approx((3.0, 100 / 3, 200 / 3))


def test_with_few_classes_top5_counts_all_classes() -> None:
    metrics = EpochMetrics(CPU)
    add(metrics, torch.tensor(1.0), torch.tensor([[1.0, 2.0]]), torch.tensor([0]))
    assert tuple(metrics.read(ALONE).metrics) == (0.0, 100.0)


def test_gradient_norm_is_averaged_over_the_updates_that_were_made() -> None:
    metrics = EpochMetrics(CPU)
    add(metrics, torch.tensor(1.0), torch.zeros(1, 2), torch.tensor([0]))
    for norm in (1.0, math.inf, 3.0, math.nan):
        metrics.add_update(torch.tensor(norm), made=torch.tensor(math.isfinite(norm)))
    assert metrics.read(ALONE).grad_norm == 2.0


def test_an_epoch_of_which_every_batch_was_skipped_has_no_figures() -> None:
    figures = EpochMetrics(CPU).read(ALONE)
    assert all(math.isnan(each) for each in (figures.loss, figures.grad_norm))
    assert all(math.isnan(each) for each in columns_of("test", figures, CLASSIFICATION).values())


def test_batch_that_was_refused_does_not_count() -> None:
    metrics = EpochMetrics(CPU)
    add(metrics, torch.tensor(1.0), torch.tensor([[1.0, 2.0]]), torch.tensor([1]), counts=torch.tensor(True))
    add(metrics, torch.tensor(math.nan), torch.tensor([[1.0, 2.0]]), torch.tensor([0]), counts=torch.tensor(False))
    assert (metrics.read(ALONE).loss, metrics.read(ALONE).metrics[0]) == (1.0, 100.0)


@pytest.mark.parametrize("spoilt", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_no_hit_wherever_they_stand(spoilt: float) -> None:
    for place in range(3):
        metrics = EpochMetrics(CPU)
        scores = torch.tensor([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])
        scores[0, place] = spoilt
        add_scores(metrics, scores, torch.tensor([place, 2]))
        figures = metrics.read(ALONE)
        assert figures.metrics == [50.0, 50.0]


def test_a_score_that_is_nan_makes_the_loss_nan() -> None:
    metrics = EpochMetrics(CPU)
    add_scores(metrics, torch.tensor([[0.5, 0.5], [math.nan, 0.5]]), torch.tensor([0, 0]))
    assert math.isnan(metrics.read(ALONE).loss)


class Doubled(World):
    """Two processes that have counted the same."""

    def all_reduce_sum(self, tensor: torch.Tensor) -> None:
        tensor *= 2


def test_confusion_counts_true_classes_in_rows_and_predictions_in_columns_over_all_processes() -> None:
    metrics = EpochMetrics(CPU, classes=3)
    add_scores(metrics, torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1]]), torch.tensor([0, 0]))
    add_scores(metrics, torch.tensor([[0.1, 0.2, 0.7]]), torch.tensor([1]))
    assert metrics.confusion(ALONE).tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert metrics.confusion(Doubled()).tolist() == [[2, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]]
    assert metrics.confusion(ALONE).sum() == 3


def test_a_clip_whose_scores_are_not_finite_has_no_prediction() -> None:
    metrics = EpochMetrics(CPU, classes=2)
    add_scores(metrics, torch.tensor([[math.nan, 0.5], [0.1, math.inf], [0.9, 0.1]]), torch.tensor([0, 1, 1]))
    assert metrics.confusion(ALONE).tolist() == [[0, 0, 1], [1, 0, 1]]


def test_confusion_and_top1_agree_where_scores_are_equal() -> None:
    metrics = EpochMetrics(CPU, classes=4)
    scores = torch.tensor([[0.25] * 4, [0.3, 0.3, 0.3, 0.1], [0.0, 0.5, 0.0, 0.5]]).repeat(4, 1)
    add_scores(metrics, scores, torch.arange(4).repeat_interleave(3))
    assert 100 * metrics.confusion(ALONE).trace() / 12 == pytest.approx(metrics.read(ALONE).metrics[0])


def test_a_metric_of_another_task_keeps_its_own_scale_and_is_worst_where_it_is_not_a_number() -> None:
    metrics = EpochMetrics(CPU, Measures("other", (Metric("error", "error", higher_is_better=False),), "error"))
    metrics.add(torch.tensor(1.0), 2, [torch.tensor(3.0)])
    assert metrics.read(ALONE).metrics == [1.5]
    metrics.add(torch.tensor(1.0), 2, [torch.tensor(math.nan)])
    assert metrics.read(ALONE).metrics == [math.inf]


def test_equal_scores_count_as_in_an_evaluation_of_the_same_scores() -> None:
    """Half precision makes many of them, and `topk` takes any."""
    drawn = torch.randint(0, 3, (200, 7), generator=torch.Generator().manual_seed(0)) + 1.0
    scores, labels = drawn / drawn.sum(dim=1, keepdim=True), torch.arange(200) % 7
    metrics = EpochMetrics(CPU)
    add_scores(metrics, scores, labels)
    found = measure(Predictions([str(number) for number in range(200)], labels.numpy(), scores.numpy()), 7)
    assert tuple(metrics.read(ALONE).metrics) == pytest.approx((found.top1, found.top5))
    assert measure_scores(scores, labels).predicted_classes.tolist() == scores.numpy().argmax(axis=1).tolist()
