"""Sums of gradients without those of skipped batches."""

import math

import pytest
import torch
from torch import nn

from last.training.gradient_accumulation import GradientAccumulator

CPU = torch.device("cpu")


def batch(accumulated: GradientAccumulator, value: float, clips: int = 4, *, good: bool = True) -> None:
    for parameter in accumulated.parameters:
        parameter.grad = torch.full_like(parameter, value)
    accumulated.add(torch.tensor(good), clips)


@pytest.fixture
def sums() -> GradientAccumulator:
    return GradientAccumulator([nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(5))], True, CPU)


def test_gradients_and_clips_are_summed(sums: GradientAccumulator) -> None:
    batch(sums, 1.0), batch(sums, 2.0, clips=3)
    assert [gradient.unique().tolist() for gradient in sums.close()] == [[3.0], [3.0]]
    assert sums.clips == 7
    sums.reset()
    assert sums.close() == [] and sums.clips == 0


def test_a_skipped_batch_leaves_no_trace_even_if_it_is_not_finite(sums: GradientAccumulator) -> None:
    batch(sums, 1.0), batch(sums, math.nan, good=False)
    assert [gradient.unique().tolist() for gradient in sums.close()] == [[1.0], [1.0]]
    assert sums.clips == 4


def test_a_sum_is_resumed_with_another_scale(sums: GradientAccumulator) -> None:
    batch(sums, 8.0)
    state = sums.state(scale=8.0)
    other = GradientAccumulator([nn.Parameter(torch.zeros_like(each)) for each in sums.parameters], True, CPU)
    other.load_state(state, scale=2.0)
    assert [gradient.unique().tolist() for gradient in other.close()] == [[2.0], [2.0]]
    assert other.clips == 4


def test_a_single_batch_needs_no_sum() -> None:
    alone = GradientAccumulator([nn.Parameter(torch.zeros(2))], False, CPU)
    batch(alone, 5.0)
    assert alone.close()[0].tolist() == [5.0, 5.0]
    assert set(alone.state(1.0)) == {"clips"}
