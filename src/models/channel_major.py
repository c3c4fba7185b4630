"""Features with channels outermost, (C, T, B, V), and the layers of LAST-E on them as matrix products.

In this order nearly all a network of graph and temporal convolutions does is one large or C small matrix products of
contiguous memory, without a copy in between: a 1x1 convolution is one product of its weight with (C, T*B*V), joints are
mixed by C products (T*B, V) x (V, V), frames by C products (T', T) x (T, B*V), and a channel's BatchNorm reads one run
of memory. A filter over frames as a full product does T / 9 times the work of its nine taps and is still several times
faster than a depthwise convolution, which matrix units do not help; for long clips it is not.

Legend: B folded bodies, C channels, T frames, V joints, K taps of a filter.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_LONGEST_PRODUCT_FRAMES = 128  # longer clips are filtered by a depthwise convolution
_filters_are_products = True


def channels_first(x: Tensor) -> Tensor:
    """Turn (B, C, T, V) into contiguous (C, T, B, V)."""
    return x.permute(1, 2, 0, 3).contiguous()


def normalise(norm: nn.Module, x: Tensor) -> Tensor:
    """Apply a BatchNorm over channels, (C, T, B, V) -> (C, T, B, V)."""
    rows = x.view(1, len(x), -1, x.shape[3])
    wide = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
    if type(norm) is nn.BatchNorm2d and norm.training and wide and not torch.compiler.is_compiling():
        return _normalise_by_batch(norm, rows).view(x.shape)
    normed: Tensor = norm(rows)
    return normed.view(x.shape)


def project(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a 1x1 convolution, (C, T, B, V) -> (C', T', B, V), with its groups, bias and stride over frames."""
    stride = layer.stride[0]
    if stride > 1:
        x = x[:, ::stride]
    weight = layer.weight.flatten(1)  # (C', C / groups)
    rows = x.reshape(layer.groups, len(x) // layer.groups, -1)  # (groups, C / groups, T'*B*V)
    if layer.groups == 1:
        mixed = weight @ rows[0] if layer.bias is None else torch.addmm(layer.bias[:, None], weight, rows[0])
    else:
        assert layer.bias is None
        mixed = torch.bmm(weight.view(layer.groups, -1, weight.shape[1]), rows)
    return mixed.view(len(weight), *x.shape[1:])


def mix_joints(adjacency: Tensor, x: Tensor) -> Tensor:
    """Mix joints with an adjacency (C, V, V) a channel, (C, T, B, V) -> (C, T, B, V)."""
    return torch.bmm(x.view(len(x), -1, x.shape[3]), adjacency).view(x.shape)


def filter_frames(filters: nn.ModuleList, x: Tensor) -> Tensor:
    """Apply depthwise (K, 1) convolutions, each to its part of the channels, (C, T, B, V) -> (C, T', B, V)."""
    frames = x.shape[1]
    if frames > _LONGEST_PRODUCT_FRAMES or not _filters_are_products:
        return _convolve_frames(filters, x)
    filtered = torch.bmm(frame_matrices(filters, frames), x.view(len(x), frames, -1))  # (C, T', B*V)
    return filtered.view(len(x), -1, *x.shape[2:])


def frame_matrices(filters: nn.ModuleList, frames: int) -> Tensor:
    """Return the matrices (C, T', T) that filter frames as depthwise (K, 1) convolutions side by side do."""
    return torch.cat([_as_product(layer, frames) for layer in filters if isinstance(layer, nn.Conv2d)])


def drop(layer: nn.Dropout, x: Tensor) -> Tensor:
    """Apply dropout; on the CPU with a random number of 16 bits an element, four times cheaper to draw."""
    if not layer.training or layer.p == 0:
        return x
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return functional.dropout(x, layer.p)
    lowest, levels = -(2**15), 2**16
    dropped = round(layer.p * levels)
    drawn = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = drawn.view(torch.int16)[: x.numel()].view(x.shape) >= lowest + dropped
    return x * kept.to(x.dtype).mul_(levels / (levels - dropped))


@contextmanager
def filters_as_convolutions() -> Iterator[None]:
    """Filter frames by convolutions while the block runs: they do the work that a network is said to cost."""
    global _filters_are_products
    _filters_are_products = False
    try:
        yield
    finally:
        _filters_are_products = True


def _normalise_by_batch(norm: nn.BatchNorm2d, rows: Tensor) -> Tensor:
    """Apply a BatchNorm in training, (1, C, P, V) -> (1, C, P, V), and move its running statistics."""
    normed, mean, variance = _BatchNorm.apply(rows, norm.weight, norm.bias, norm.eps)  # type: ignore[no-untyped-call]
    if norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None:
        norm.num_batches_tracked += 1
        momentum = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        count = rows[0, 0].numel()
        norm.running_mean.lerp_(mean, momentum)
        norm.running_var.lerp_(variance * (count / (count - 1)), momentum)
    result: Tensor = normed
    return result


class _BatchNorm(torch.autograd.Function):
    """Normalise by the statistics of the batch, for which torch's float32 kernel on the CPU takes five times longer.

    The mean is a plain sum over a channel's run of memory, the variance a second one of what is left of it.
    """

    @staticmethod
    def forward(context: Any, rows: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        flat = rows.view(rows.shape[1], -1)
        mean = flat.mean(dim=1)
        variance = torch.linalg.vector_norm(flat - mean[:, None], dim=1).square_() / flat.shape[1]
        context.save_for_backward(rows, weight, mean, torch.rsqrt(variance + eps))
        context.eps = eps
        context.mark_non_differentiable(mean, variance)
        return functional.batch_norm(rows, mean, variance, weight, bias, training=False, eps=eps), mean, variance

    @staticmethod
    def backward(context: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        rows, weight, mean, scale = context.saved_tensors
        ways = [True, True, True]
        of_rows, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient.contiguous(), rows, weight, None, None, mean, scale, True, context.eps, ways
        )
        return of_rows, of_weight, of_bias, None


def _as_product(layer: nn.Conv2d, frames: int) -> Tensor:
    """Return the matrices (C, T', T) that filter frames as a depthwise convolution does."""
    taps = layer.weight.flatten(1)  # (C, K)
    shape = (frames, layer.stride[0], layer.dilation[0], taps.shape[1])
    make = _places if torch.compiler.is_compiling() else _cached_places
    places = make(*shape, taps.dtype, taps.device)  # (K, T'*T)
    return (taps @ places).view(len(taps), -1, frames)


def _places(frames: int, stride: int, dilation: int, taps: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return where each tap of a filter, padded to keep the frames, stands in its matrix: (K, T'*T) of 0 and 1."""
    centres = torch.arange(0, frames, stride)[:, None]  # (T', 1)
    sources = torch.arange(frames)[None, :]  # (1, T)
    offsets = (torch.arange(taps) - (taps - 1) // 2) * dilation
    return (sources - centres == offsets[:, None, None]).flatten(1).to(device, dtype)


_cached_places = lru_cache(maxsize=64)(_places)


def _convolve_frames(layers: nn.ModuleList, x: Tensor) -> Tensor:
    parts = x.permute(2, 0, 1, 3).chunk(len(layers), dim=1)  # (B, C / parts, T, V) each
    filtered = torch.cat([layer(part) for layer, part in zip(layers, parts, strict=True)], dim=1)
    return channels_first(filtered)
