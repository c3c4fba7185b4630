"""Operations of LAST-E that are several times faster on a CPU than torch's own; elsewhere torch's own are used.

docs/performance.md has the figures. Legend: C channels, P positions of a channel: T frames, B bodies, V joints.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .batch_norm import move_statistics
from .tracing import has_hooks, is_traced

_HAS_ONEDNN = hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _product_cost(a: Sequence[int], b: Sequence[int], *_: Any, **__: Any) -> int:
    """Return the additions and multiplications of `a @ b.T` from the shapes."""
    return 2 * a[0] * a[1] * b[0]


# For torch's counter of operations, which does not support oneDNN's product.
PRODUCT_COSTS = {torch.ops.mkldnn._linear_pointwise: _product_cost} if _HAS_ONEDNN else {}


def can_normalise_by_batch(norm: nn.Module, x: Tensor) -> bool:
    """Tell whether `normalise_by_batch` supports a BatchNorm in training on `x`."""
    return _is_on_cpu(x) and type(norm) is nn.BatchNorm2d and norm.training and not has_hooks(norm)


def normalise_by_batch(norm: nn.BatchNorm2d, rows: Tensor, relu: bool) -> Tensor:
    """Apply a BatchNorm in training, then ReLU if `relu`, (C, P) -> (C, P), and update its running statistics."""
    normed, mean, variance = _NormByBatch.apply(rows, norm.weight, norm.bias, norm.eps, relu)  # type: ignore[no-untyped-call]
    move_statistics(norm, mean, variance, rows.shape[1])
    result: Tensor = normed
    return result


def multiply(weight: Tensor, rows: Tensor) -> Tensor:
    """Return `weight @ rows`, (C', C) x (C, P) -> (C', P).

    On processors that are not Intel's, oneDNN's product of float32 matrices takes about half the time of MKL's, which
    torch calls.
    """
    if _HAS_ONEDNN and _is_on_cpu(rows) and rows.dtype == torch.float32 and not torch.is_autocast_enabled("cpu"):
        product: Tensor = _Product.apply(weight, rows)  # type: ignore[no-untyped-call]
        return product
    return weight @ rows


def dropped_sum(layer: nn.Dropout | nn.Dropout2d, x: Tensor, other: Tensor) -> Tensor:
    """Return `dropout(x) + other` of (C, T, B, V); nn.Dropout2d drops whole channels of bodies.

    On the CPU single elements are dropped by a random number of 16 bits each, which is cheaper to generate than 64.
    """
    if not layer.training or layer.p == 0:
        return x + other
    if isinstance(layer, nn.Dropout2d):
        return torch.addcmul(other, x, nn.functional.dropout(x.new_ones(len(x), 1, x.shape[2], 1), layer.p))
    if not _is_on_cpu(x):
        return nn.functional.dropout(x, layer.p) + other
    return torch.addcmul(other, x, _kept(x, layer.p))


def joint_and_frame_means(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return `x` itself, for further use, and its means over joints and frames: (C, T, B, V), (C, T, B), (C, B, V)."""
    if not _is_on_cpu(x):
        return x, x.mean(dim=3), x.mean(dim=1)
    found: tuple[Tensor, Tensor, Tensor] = _Means.apply(x)  # type: ignore[no-untyped-call]
    return found


def apply_gates(x: Tensor, frame_gate: Tensor, joint_gate: Tensor, alpha: Tensor) -> Tensor:
    """Return `x + alpha * (x * g_t * g_s - x)` of (C, T, B, V), (C, T, B, 1), (C, 1, B, V) and (C, 1, 1, 1).

    The terms are reordered: two passes over the features instead of five.
    """
    if not _is_on_cpu(x):
        return x * _weights(frame_gate, joint_gate, alpha)
    result: Tensor = _Weighed.apply(x, frame_gate, joint_gate, alpha)  # type: ignore[no-untyped-call]
    return result


def _weights(frame_gate: Tensor, joint_gate: Tensor, alpha: Tensor) -> Tensor:
    return torch.addcmul(1 - alpha, alpha * frame_gate, joint_gate)


def _is_on_cpu(x: Tensor) -> bool:
    """Tell whether `x` is on the CPU, and not traced for a compiler or an exported file."""
    return x.device.type == "cpu" and not is_traced()


def _kept(x: Tensor, probability: float) -> Tensor:
    """Return the factors of `x`: zero with a probability, otherwise the factor that preserves the expectation."""
    lowest, levels = -(2**15), 2**16
    dropped = round(probability * levels)
    drawn = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = drawn.view(torch.int16)[: x.numel()].view(x.shape) >= lowest + dropped
    return kept.to(x.dtype).mul_(levels / (levels - dropped))


class _NormByBatch(torch.autograd.Function):
    """Normalise by the statistics of the batch, and apply ReLU if requested.

    A BatchNorm over (1, C, P) in training is a GroupNorm with one group per channel, and that kernel computes a
    channel's statistics and its result while it is in the cache.
    """

    @staticmethod
    def forward(
        context: Any, rows: Tensor, weight: Tensor, bias: Tensor, eps: float, relu: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        channels, positions = rows.shape
        normed, mean, scale = torch.native_group_norm(rows[None], weight, bias, 1, channels, positions, channels, eps)
        normed = normed[0].relu_() if relu else normed[0]
        context.save_for_backward(rows, weight, mean, scale, normed if relu else None)
        mean, variance = mean[0].clone(), (scale[0].double() ** -2 - eps).clamp_(min=0)
        context.mark_non_differentiable(mean, variance)
        return normed, mean, variance

    @staticmethod
    def backward(context: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        rows, weight, mean, scale, normed = context.saved_tensors
        channels, positions = rows.shape
        gradient = gradient.contiguous()
        if normed is not None:
            gradient = torch.ops.aten.threshold_backward(gradient, normed, 0)
        of_rows, of_weight, of_bias = torch.ops.aten.native_group_norm_backward(
            gradient[None], rows[None], mean, scale, weight, 1, channels, positions, channels, [True, True, True]
        )
        return of_rows[0], of_weight, of_bias, None, None


class _Means(torch.autograd.Function):
    """Average over joints and over frames, with one sum of gradients instead of three expanded ones."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        context.shape = x.shape
        return x.view_as(x), x.mean(dim=3), x.mean(dim=1)

    @staticmethod
    def backward(context: Any, gradient: Tensor, over_joints: Tensor, over_frames: Tensor) -> Tensor:
        _, frames, _, joints = context.shape
        total: Tensor = gradient + (over_joints / joints).unsqueeze(3)
        return total.add_((over_frames / frames).unsqueeze(1))


class _Weighed(torch.autograd.Function):
    """Weight frames and joints; the gradients of the gates share the product of features and gradient."""

    @staticmethod
    def forward(context: Any, x: Tensor, frame_gate: Tensor, joint_gate: Tensor, alpha: Tensor) -> Tensor:
        weights = _weights(frame_gate, joint_gate, alpha)
        context.save_for_backward(x, frame_gate, joint_gate, alpha, weights)
        return x * weights

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x, frame_gate, joint_gate, alpha, weights = context.saved_tensors
        product = gradient * x
        of_frames = (product * joint_gate).sum(dim=3, keepdim=True)
        total = product.sum(dim=(1, 2, 3), keepdim=True)
        of_joints = product.mul_(frame_gate).sum(dim=1, keepdim=True)
        of_alpha = (of_frames * frame_gate).sum(dim=(1, 2, 3), keepdim=True) - total
        return gradient * weights, alpha * of_frames, alpha * of_joints, of_alpha


class _Product(torch.autograd.Function):
    """Multiply matrices with oneDNN, whose linear layer is `input @ weight.T`."""

    @staticmethod
    def forward(context: Any, weight: Tensor, rows: Tensor) -> Tensor:
        context.save_for_backward(weight, rows)
        return _onednn(weight, rows.t())

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        weight, rows = context.saved_tensors
        of_weight = _onednn(gradient, rows) if context.needs_input_grad[0] else None
        of_rows = _onednn(weight.t(), gradient.t()) if context.needs_input_grad[1] else None
        return of_weight, of_rows


def _onednn(a: Tensor, b: Tensor) -> Tensor:
    """Return `a @ b.T`."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(a.contiguous(), b, None, "none", [], "")
    return product
