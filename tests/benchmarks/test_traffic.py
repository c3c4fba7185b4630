"""The bytes that a step moves and keeps are counted exactly."""

import torch
from torch import nn

from last.benchmarks.traffic import MovedBytes
from last.models.cost import saved_bytes


def moved(run) -> int:
    with MovedBytes() as counted:
        run()
    return counted.total


def test_an_operation_moves_what_it_reads_and_writes() -> None:
    left, right = torch.ones(10), torch.ones(10)
    assert moved(lambda: left + right) == 3 * 40
    assert moved(lambda: left.add_(right)) == 3 * 40
    assert moved(lambda: torch._foreach_mul_([left, right], 2.0)) == 4 * 40


def test_views_and_reserved_memory_move_nothing_and_what_is_expanded_counts_once() -> None:
    matrix = torch.ones(4, 5)
    assert moved(lambda: matrix.t().reshape(20, 1)[3:].detach()) == 2 * 80  # of the copy that reshaping has to make
    assert moved(lambda: matrix.view(20).permute(0)) == 0
    assert moved(lambda: torch.empty(100)) == 0
    assert moved(lambda: torch.ones(1).expand(100).sum()) == 4 + 4 + 4


def test_what_backward_needs_is_kept_once_and_parameters_are_not_counted() -> None:
    layer, x = nn.Linear(3, 3), torch.ones(5, 3, requires_grad=True)
    kept = saved_bytes(lambda: torch.exp(layer(x)).mul(2).exp().sum(), [*layer.parameters(), x])
    assert kept == 2 * 5 * 3 * 4  # the results of both exponentials
