"""Operations of LAST-E that are several times faster on a CPU than torch's own; elsewhere torch's own are used.

docs/performance.md has the figures. Legend: C channels, P positions of a channel: T frames, B bodies, V joints.
"""

import logging
import math
import time
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from .batch_norm import move_statistics
from .padding import counted_bodies
from .tracing import has_hooks, is_traced

_log = logging.getLogger(__name__)

_SLOW_S = 5.0  # a longer start of numba is explained

_NO_CACHE = "numba cannot use its cache. Set NUMBA_CACHE_DIR to an empty folder that can be written."

_HAS_ONEDNN = hasattr(torch.ops.mkldnn, "_linear_pointwise")
_ONEDNN_GAINS = torch.backends.cpu.get_cpu_capability() != "AVX2"  # where MKL's products take less time


def _product_cost(a: Sequence[int], b: Sequence[int], *_: Any, **__: Any) -> int:
    """Return the additions and multiplications of `a @ b.T` from the shapes."""
    return 2 * a[0] * a[1] * b[0]


# For torch's counter of operations, which does not support oneDNN's product.
PRODUCT_COSTS = {torch.ops.mkldnn._linear_pointwise: _product_cost} if _HAS_ONEDNN else {}


def can_normalise_by_batch(norm: nn.Module, x: Tensor) -> bool:
    """Tell whether `normalise_by_batch` supports a BatchNorm in training on `x`; all bodies count in its statistics."""
    plain = type(norm) is nn.BatchNorm2d and norm.training and not has_hooks(norm)
    return _is_on_cpu(x) and plain and counted_bodies() is None


def normalise_by_batch(norm: nn.BatchNorm2d, rows: Tensor, relu: bool) -> Tensor:
    """Apply a BatchNorm in training, then ReLU if `relu`, (C, P) -> (C, P), and update its running statistics."""
    normed, mean, variance = _NormByBatch.apply(rows, norm.weight, norm.bias, norm.eps, relu)  # type: ignore[no-untyped-call]
    move_statistics(norm, mean, variance, rows.shape[1])
    result: Tensor = normed
    return result


def can_filter_by_batch(norm: nn.Module, layers: Sequence[nn.Module], x: Tensor) -> TypeGuard[nn.BatchNorm2d]:
    """Tell whether `filter_by_batch` supports a BatchNorm and depthwise convolutions of equal lengths on `x`."""
    known = all(isinstance(each, nn.Conv2d) and not has_hooks(each) for each in layers)
    return known and can_normalise_by_batch(norm, x) and is_fast(x)


def filter_by_batch(norm: nn.BatchNorm2d, layers: Sequence[nn.Module], x: Tensor) -> Tensor:
    """Apply a BatchNorm in training, ReLU, and depthwise (K, 1) convolutions, each to its part of the channels.

    (C, T, B, V) -> (C, T / stride, B, V).
    """
    convolutions = [each for each in layers if isinstance(each, nn.Conv2d)]
    taps = torch.cat([each.weight.flatten(1) for each in convolutions])  # (C, K)
    dilations = np.repeat([each.dilation[0] for each in convolutions], [len(each.weight) for each in convolutions])
    stride = convolutions[0].stride[0]
    filtered, mean, variance = _NormAndFilter.apply(x, norm.weight, norm.bias, norm.eps, taps, dilations, stride)  # type: ignore[no-untyped-call]
    move_statistics(norm, mean, variance, x[0].numel())
    result: Tensor = filtered
    return result


def can_close(norm: nn.Module, layer: nn.Module, x: Tensor) -> TypeGuard[nn.BatchNorm2d]:
    """Tell whether `close` supports a BatchNorm and a dropout on `x`."""
    drops = type(layer) is nn.Dropout or not layer.training
    return drops and not has_hooks(layer) and can_normalise_by_batch(norm, x) and is_fast(x)


def close(norm: nn.BatchNorm2d, layer: nn.Module, x: Tensor, other: Tensor) -> Tensor:
    """Return `relu(dropout(norm(x)) + other)`, with a BatchNorm in training, of (C, T, B, V) twice."""
    probability = layer.p if isinstance(layer, nn.Dropout) and layer.training else 0.0
    rows, others = (each.reshape(len(x), -1) for each in (x, other))
    closed, mean, variance = _NormAndSum.apply(rows, others, norm.weight, norm.bias, norm.eps, probability)  # type: ignore[no-untyped-call]
    move_statistics(norm, mean, variance, x[0].numel())
    result: Tensor = closed.view(x.shape)
    return result


def multiply(weight: Tensor, rows: Tensor) -> Tensor:
    """Return `weight @ rows`, (C', C) x (C, P) -> (C', P).

    On AMD's processors with AVX-512, oneDNN's product of float32 matrices takes about half the time of MKL's, which
    torch calls; on those with AVX2 alone a tenth more.
    """
    if _uses_onednn(rows):
        product: Tensor = _Product.apply(weight, rows)  # type: ignore[no-untyped-call]
        return product
    return weight @ rows


def multiply_groups(weight: Tensor, rows: Tensor) -> Tensor:
    """Return `weight @ rows` of each group, (G, C', C) x (G, C, P) -> (G, C', P), see `multiply`."""
    if _uses_onednn(rows):
        product: Tensor = _GroupProduct.apply(weight, rows)  # type: ignore[no-untyped-call]
        return product
    return torch.bmm(weight, rows)


def _uses_onednn(rows: Tensor) -> bool:
    """Tell whether products with `rows` are computed by oneDNN."""
    in_float32 = rows.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return _HAS_ONEDNN and _ONEDNN_GAINS and _is_on_cpu(rows) and in_float32


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


def is_fast(x: Tensor) -> bool:
    """Tell whether numba's kernels support `x`, and are installed."""
    in_float32 = x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return _is_on_cpu(x) and in_float32 and fast_kernels() is not None


@cache
def fast_kernels() -> Any:
    """Return the module of numba's kernels; None if numba is missing, or does not work, which is warned of once."""
    if find_spec("numba") is None:
        return None
    began = time.monotonic()
    try:
        from . import numba_kernels
    except Exception as error:  # any error of a broken numba; torch computes the same
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        _log.warning("numba's kernels do not work here; torch computes instead, a third slower (%s).", reason)
        return None
    if (took := time.monotonic() - began) > _SLOW_S:
        when = f"at every start: {_NO_CACHE}" if numba_kernels.uncached else "the first time only."
        _log.info("Compiling the CPU kernels (numba) took %.0f s, %s", took, when)
    return numba_kernels


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
        context.fast = is_fast(rows)
        if context.fast:
            rows, normed, mean, scale = rows.contiguous(), *(torch.empty_like(x) for x in (rows, weight, weight))
            fast = fast_kernels()
            fast.run(fast.normalise, rows, weight, bias, eps, 0.0 if relu else -math.inf, normed, mean, scale)
            context.save_for_backward(rows, weight, bias, mean, scale)
            context.floor = 0.0 if relu else -math.inf
            return normed, *_statistics(context, mean, scale, eps)
        normed, mean, scale = torch.native_group_norm(rows[None], weight, bias, 1, channels, positions, channels, eps)
        normed = normed[0].relu_() if relu else normed[0]
        context.save_for_backward(rows, weight, mean, scale, normed if relu else None)
        return normed, *_statistics(context, mean[0], scale[0], eps)

    @staticmethod
    def backward(context: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        gradient = gradient.contiguous()
        if context.fast:
            rows, weight, bias, mean, scale = context.saved_tensors
            fast, found = fast_kernels(), [torch.empty_like(each) for each in (rows, weight, weight)]
            fast.run(fast.normalise_back, gradient, rows, weight, bias, context.floor, mean, scale, *found)
            return found[0], found[1], found[2], None, None
        rows, weight, mean, scale, normed = context.saved_tensors
        channels, positions = rows.shape
        if normed is not None:
            gradient = torch.ops.aten.threshold_backward(gradient, normed, 0)
        of_rows, of_weight, of_bias = torch.ops.aten.native_group_norm_backward(
            gradient[None], rows[None], mean, scale, weight, 1, channels, positions, channels, [True, True, True]
        )
        return of_rows[0], of_weight, of_bias, None, None


class _NormAndFilter(torch.autograd.Function):
    """Normalise by the statistics of the batch, apply ReLU, and filter the frames, by numba's kernels."""

    @staticmethod
    def forward(
        context: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, taps: Tensor, dilations: Any, stride: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        fast, x, taps = fast_kernels(), x.contiguous(), taps.contiguous()
        out = x.new_empty(len(x), -(-x.shape[1] // stride), *x.shape[2:])
        mean, scale = torch.empty_like(weight), torch.empty_like(weight)
        given = (x.flatten(2), weight, bias, eps, taps, dilations, stride)
        fast.run(fast.filter, *given, out.flatten(2), mean, scale)
        context.save_for_backward(x, weight, bias, taps, mean, scale)
        context.how = dilations, stride
        return out, *_statistics(context, mean, scale, eps)

    @staticmethod
    def backward(context: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, taps, mean, scale = context.saved_tensors
        fast, found = fast_kernels(), [torch.empty_like(each) for each in (x, weight, weight, taps)]
        given = (gradient.contiguous().flatten(2), x.flatten(2), weight, bias, taps, *context.how, mean, scale)
        fast.run(fast.filter_back, *given, found[0].flatten(2), *found[1:])
        return found[0], found[1], found[2], None, found[3], None, None


class _NormAndSum(torch.autograd.Function):
    """Return `relu(dropout(norm(x)) + other)`, (C, P) and (C, P), by numba's kernels."""

    @staticmethod
    def forward(
        context: Any, x: Tensor, other: Tensor, weight: Tensor, bias: Tensor, eps: float, probability: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        fast, x, other = fast_kernels(), x.contiguous(), other.contiguous()
        out, mean, scale = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
        # Drawn from torch's generator, so that its state determines what is dropped; nothing where nothing is dropped.
        drawn = torch.zeros(2, dtype=torch.int64)
        keys = (drawn.random_(2**32) if probability > 0 else drawn).numpy().astype(np.uint32)
        context.how = keys, np.uint32(round(probability * 2**32))
        fast.run(fast.close, x, other, weight, bias, eps, *context.how, out, mean, scale)
        context.save_for_backward(out, x, weight, mean, scale)
        return out, *_statistics(context, mean, scale, eps)

    @staticmethod
    def backward(context: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        out, x, weight, mean, scale = context.saved_tensors
        fast, found = fast_kernels(), [torch.empty_like(each) for each in (x, x, weight, weight)]
        fast.run(fast.close_back, gradient.contiguous(), out, x, weight, *context.how, mean, scale, *found)
        return *found, None, None


def _statistics(context: Any, mean: Tensor, scale: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return the mean (C,) and the variance (C,) of a batch, without gradients, from the mean and 1 / deviation."""
    mean, variance = mean.clone(), (scale.double() ** -2 - eps).clamp_(min=0)
    context.mark_non_differentiable(mean, variance)
    return mean, variance


class _Means(torch.autograd.Function):
    """Average over joints and over frames, with one sum of gradients instead of three expanded ones."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        context.shape = x.shape
        return x.view_as(x), x.mean(dim=3), x.mean(dim=1)

    @staticmethod
    def backward(context: Any, gradient: Tensor, over_joints: Tensor, over_frames: Tensor) -> Tensor:
        _, frames, _, joints = context.shape
        if is_fast(gradient):
            fast, summed = fast_kernels(), torch.empty(context.shape)
            fast.run(fast.spread_means, *(each.contiguous() for each in (gradient, over_joints, over_frames)), summed)
            return summed
        total: Tensor = gradient + (over_joints / joints).unsqueeze(3)
        return total.add_((over_frames / frames).unsqueeze(1))


class _Weighed(torch.autograd.Function):
    """Weight frames and joints; the gradients of the gates share the product of features and gradient."""

    @staticmethod
    def forward(context: Any, x: Tensor, frame_gate: Tensor, joint_gate: Tensor, alpha: Tensor) -> Tensor:
        trains = context.needs_input_grad[0]  # to evaluate, numba need not be loaded
        context.fast = trains and is_fast(x) and all(each.dtype == x.dtype for each in (frame_gate, joint_gate, alpha))
        if context.fast:
            shapes = x.shape, x.shape[:3], (x.shape[0], *x.shape[2:]), x.shape[:1]
            given = [
                each.reshape(shape).contiguous()
                for each, shape in zip((x, frame_gate, joint_gate, alpha), shapes, strict=True)
            ]
            fast, weighed = fast_kernels(), torch.empty_like(given[0])
            fast.run(fast.weigh, *given, weighed)
            context.save_for_backward(*given)
            return weighed
        weights = _weights(frame_gate, joint_gate, alpha)
        context.save_for_backward(x, frame_gate, joint_gate, alpha, weights)
        return x * weights

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if context.fast:
            fast, given = fast_kernels(), context.saved_tensors
            found = [torch.empty_like(each) for each in given]
            fast.run(fast.weigh_back, gradient.contiguous(), *given, *found)
            return found[0], found[1].unsqueeze(3), found[2].unsqueeze(1), found[3].view(-1, 1, 1, 1)
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


class _GroupProduct(torch.autograd.Function):
    """Multiply matrices of several groups with oneDNN, one group after the other."""

    @staticmethod
    def forward(context: Any, weight: Tensor, rows: Tensor) -> Tensor:
        context.save_for_backward(weight, rows)
        return torch.stack([_onednn(*each) for each in zip(weight, rows.transpose(1, 2), strict=True)])

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        weight, rows = context.saved_tensors
        of_weight = [_onednn(*each) for each in zip(gradient, rows, strict=True)]
        of_rows = [_onednn(w.t(), g.t()) for w, g in zip(weight, gradient, strict=True)]
        return torch.stack(of_weight), torch.stack(of_rows)


def _onednn(a: Tensor, b: Tensor) -> Tensor:
    """Return `a @ b.T`."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(a.contiguous(), b, None, "none", [], "")
    return product
