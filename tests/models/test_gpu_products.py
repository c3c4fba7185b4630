"""Products whose gradients sum in parts, on a CPU."""

import pytest
import torch
from torch import Tensor

from last.models.gpu_products import mix_subsets, multiply_groups, multiply_joints, parts_of, uses_split_sums


def leaf(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape))).requires_grad_()


@pytest.mark.parametrize("positions", [12, 4096, 6144])
def test_groups_and_their_gradients_are_those_of_the_plain_product(positions: int) -> None:
    weight, rows = leaf(2, 3, 4), leaf(2, 4, positions)
    plain, split = weight @ rows, multiply_groups(weight, rows)
    torch.testing.assert_close(split, plain)
    for one, other in zip(*(torch.autograd.grad(y.sin().sum(), (weight, rows)) for y in (plain, split)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("positions", [12, 4096])
def test_joints_and_their_gradients_are_those_of_the_plain_product(positions: int) -> None:
    x, adjacency = leaf(3, positions, 5), leaf(3, 5, 5)
    plain, split = x @ adjacency, multiply_joints(x, adjacency)
    torch.testing.assert_close(split, plain)
    for one, other in zip(*(torch.autograd.grad(y.sin().sum(), (x, adjacency)) for y in (plain, split)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("positions", "parts"), [(1, 1), (4095, 1), (4096, 2), (6144, 2), (1 << 24, 256)])
def test_a_sum_has_equal_parts_that_are_neither_short_nor_many(positions: int, parts: int) -> None:
    assert parts_of(positions) == parts and positions % parts == 0


def test_a_cpu_computes_the_plain_product() -> None:
    assert not uses_split_sums(leaf(2, 2))


@pytest.mark.parametrize("shape", [(3, 4, 2, 5), (2, 1, 1, 25), (4, 64, 64, 3)])
def test_subsets_and_their_gradients_are_those_of_the_plain_products(shape: tuple[int, ...]) -> None:
    channels, frames, bodies, joints = shape
    projected, shared, own = (
        leaf(4 * channels, frames, bodies, joints),
        leaf(3, joints, joints),
        leaf(bodies, joints, joints),
    )
    parts = projected.chunk(4)
    plain = sum(
        (part @ each for part, each in zip(parts, shared, strict=False)), torch.einsum("ctbv,bvw->ctbw", parts[3], own)
    )
    mixed = mix_subsets(projected, shared, own)
    torch.testing.assert_close(mixed, plain)
    given = (projected, shared, own)
    for one, other in zip(*(torch.autograd.grad(y.sin().sum(), given) for y in (plain, mixed)), strict=True):
        torch.testing.assert_close(one, other)
