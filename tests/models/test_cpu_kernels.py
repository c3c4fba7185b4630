"""The CPU's own ways to compute are torch's formulas, in values, gradients and running statistics."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from last.models import cpu_kernels
from last.models.cpu_kernels import (
    apply_gates,
    dropped_sum,
    joint_and_frame_means,
    multiply,
    multiply_groups,
    normalise_by_batch,
)

CLOSE = {torch.float64: {"rtol": 1e-10, "atol": 1e-10}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}
TYPES = pytest.mark.parametrize("dtype", CLOSE)


def assert_alike(one: Callable[..., Tensor], other: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Compare two functions of the same inputs, and their gradients."""
    weights, found = torch.randn_like(other(*inputs)), []
    for function in (one, other):
        leaves = [each.clone().requires_grad_() for each in inputs]
        result = function(*leaves)
        found.append([result, *torch.autograd.grad((result * weights).sum(), leaves)])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, **CLOSE[ours.dtype])


@TYPES
@pytest.mark.parametrize("relu", [False, True])
def test_normalising_by_a_batch_is_a_batch_norm(dtype: torch.dtype, relu: bool) -> None:
    ours, plain = (nn.BatchNorm2d(5).to(dtype) for _ in range(2))
    for norm in (ours, plain):
        nn.init.constant_(norm.weight, 0.7)
        nn.init.constant_(norm.bias, -0.2)

    def normed(x: Tensor) -> Tensor:
        result: Tensor = plain(x[None, :, :, None])[0, :, :, 0]
        return torch.relu(result) if relu else result

    rows = torch.randn(5, 60, dtype=dtype) * 3 + 2
    assert_alike(lambda x: normalise_by_batch(ours, x, relu), normed, rows)
    # The plain one was called once more, to know its shape.
    ours(rows[None, :, :, None])
    torch.testing.assert_close(dict(ours.named_buffers()), dict(plain.named_buffers()), **CLOSE[dtype])


def test_normalising_passes_gradients_to_weight_and_bias() -> None:
    ours, plain = (nn.BatchNorm2d(5).double() for _ in range(2))
    rows = torch.randn(5, 60, dtype=torch.float64)
    (normalise_by_batch(ours, rows, True) ** 2).sum().backward()
    (torch.relu(plain(rows[None, :, :, None])) ** 2).sum().backward()
    for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@TYPES
@pytest.mark.parametrize("onednn_gains", [True, False])  # on this processor
def test_product_is_the_product_of_matrices(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, onednn_gains: bool
) -> None:
    monkeypatch.setattr(cpu_kernels, "_ONEDNN_GAINS", onednn_gains)
    assert_alike(multiply, torch.matmul, torch.randn(7, 5, dtype=dtype), torch.randn(5, 33, dtype=dtype))
    of_onednn = onednn_gains and dtype == torch.float32
    with_gradient = multiply(torch.randn(7, 5, dtype=dtype, requires_grad=True), torch.randn(5, 33, dtype=dtype))
    assert ("_Product" in type(with_gradient.grad_fn).__name__) is of_onednn
    groups = torch.randn(2, 7, 5, dtype=dtype), torch.randn(2, 5, 33, dtype=dtype)
    assert_alike(multiply_groups, torch.bmm, *groups)


@TYPES
def test_means_and_weighing_are_those_of_joint_attention(dtype: torch.dtype) -> None:
    def ours(x: Tensor, alpha: Tensor) -> Tensor:
        x, over_joints, over_frames = joint_and_frame_means(x)
        return apply_gates(x, torch.sigmoid(over_joints)[..., None], torch.sigmoid(2 * over_frames)[:, None], alpha)

    def plain(x: Tensor, alpha: Tensor) -> Tensor:
        gates = torch.sigmoid(x.mean(dim=3))[..., None] * torch.sigmoid(2 * x.mean(dim=1))[:, None]
        return x + alpha * (x * gates - x)

    assert_alike(ours, plain, torch.randn(3, 4, 2, 5, dtype=dtype), torch.randn(3, 1, 1, 1, dtype=dtype))


def test_dropped_sum_keeps_the_expectation_and_the_other_term() -> None:
    x, other = torch.ones(400, 500), torch.full((400, 500), 3.0)
    layer = nn.Dropout(0.25)
    total = dropped_sum(layer, x, other)
    assert total.unique().tolist() == pytest.approx([3.0, 3.0 + 4 / 3])
    assert float(total.mean()) == pytest.approx(4.0, abs=0.01)
    assert torch.equal(dropped_sum(layer.eval(), x, other), x + other)


def test_dropped_sum_passes_a_gradient_only_to_what_was_kept() -> None:
    x = torch.ones(50, 40, requires_grad=True)
    total = dropped_sum(nn.Dropout(0.5), x, torch.zeros(50, 40))
    total.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, total.detach())


def test_dropped_sum_drops_whole_channels_of_bodies_if_configured() -> None:
    x = torch.ones(50, 3, 40, 5)  # (C, T, B, V)
    total = dropped_sum(nn.Dropout2d(0.25), x, torch.zeros_like(x))
    assert torch.equal(total, total[:, :1, :, :1].expand_as(total))
    assert float(total.mean()) == pytest.approx(1.0, abs=0.05)
