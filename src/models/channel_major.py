"""Features with channels outermost, (C, T, B, V), and layers on them as matrix products.

In this order nearly all operations of a network of graph and temporal convolutions are one large or C small matrix
products of contiguous memory, without copies: a 1x1 convolution is one product of its weight with (C, T*B*V), joints
are mixed by C products (T*B, V) x (V, V), frames by C products (T', T) x (T, B*V), and the BatchNorm of a channel reads
contiguous memory. A filter over frames as a full product does T / 9 times the work of its nine taps and is still
several times faster than a depthwise convolution, which cannot use matrix units; for long clips it is slower.

Legend: B folded bodies, C channels, T frames, V joints, K taps of a filter.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from ..utils.tensor_cache import cache_tensors
from . import cpu_kernels, gpu_kernels
from .batch_norm import (
    Norm,
    can_count,
    can_normalise_rows,
    normalise_counted,
    normalise_measured,
    normalise_rows,
)
from .cpu_kernels import can_filter_by_batch, can_normalise_by_batch, filter_by_batch, multiply, normalise_by_batch
from .gpu_products import multiply_groups, multiply_joints, uses_split_sums
from .padding import counted_bodies, counted_positions
from .tracing import has_hooks

_LONGEST_PRODUCT_FRAMES = 128  # longer clips are filtered by a depthwise convolution


def channels_first(x: Tensor) -> Tensor:
    """Rearrange (B, C, T, V) to contiguous (C, T, B, V)."""
    return x.permute(1, 2, 0, 3).contiguous()


def normalise_input(norm: nn.Module, stream: Tensor, measured: Tensor | None) -> Tensor:
    """Apply the BatchNorm of a model's input to a stream, (B, C, T, V) -> (C, T, B, V).

    Args:
        norm: the BatchNorm.
        stream: zeros where it was not measured.
        measured: (B, T, V) bool, the positions from which training takes statistics; all where it is None.
    """
    x = channels_first(stream)
    if measured is None or not norm.training or not isinstance(norm, Norm):
        return normalise(norm, x)
    bodies = counted_bodies()
    counted = measured if bodies is None else measured & bodies[:, None, None]
    return normalise_measured(norm, x, counted.transpose(0, 1))


def normalise(norm: nn.Module, x: Tensor, relu: bool = False) -> Tensor:
    """Apply a BatchNorm over channels, then ReLU if `relu`, (C, T, B, V) -> (C, T, B, V)."""
    rows = x.view(len(x), -1)
    if (counted := counted_positions(rows.shape[1], inner=x.shape[3])) is not None and can_count(norm):
        return normalise_counted(norm, rows, relu, counted).view(x.shape)
    if can_normalise_by_batch(norm, x):
        assert isinstance(norm, nn.BatchNorm2d)
        return normalise_by_batch(norm, rows, relu).view(x.shape)
    if can_normalise_rows(norm, x):
        return normalise_rows(norm, rows, relu).view(x.shape)
    normed: Tensor = norm(x.view(1, len(x), -1, x.shape[3])).view(x.shape)
    return torch.relu(normed) if relu else normed


def project(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a 1x1 convolution, (C, T, B, V) -> (C', T', B, V), with its groups, bias and stride over frames."""
    if has_hooks(layer):
        return channels_first(layer(x.permute(2, 0, 1, 3)))
    stride = layer.stride[0]
    if stride > 1:
        x = x[:, ::stride]
    weight = layer.weight.flatten(1)  # (C', C / groups)
    if uses_split_sums(x):
        rows = x.reshape(layer.groups, len(x) // layer.groups, -1)  # (groups, C / groups, T'*B*V)
        mixed = multiply_groups(weight.view(layer.groups, -1, weight.shape[1]), rows).flatten(0, 1)
        if layer.bias is not None:
            mixed = mixed + layer.bias.to(mixed.dtype)[:, None]
    elif layer.groups == 1:
        mixed = multiply(weight, x.reshape(len(x), -1))  # (C', T'*B*V)
        if layer.bias is not None:
            mixed = mixed + layer.bias.to(mixed.dtype)[:, None]
    else:
        assert layer.bias is None
        rows = x.reshape(layer.groups, len(x) // layer.groups, -1)  # (groups, C / groups, T'*B*V)
        mixed = cpu_kernels.multiply_groups(weight.view(layer.groups, -1, weight.shape[1]), rows)
    return mixed.view(len(weight), *x.shape[1:])


def mix_joints(adjacency: Tensor, x: Tensor) -> Tensor:
    """Mix joints with one adjacency per channel (C, V, V), (C, T, B, V) -> (C, T, B, V)."""
    if gpu_kernels.can_mix_joints(x):
        return gpu_kernels.mix_joints(x.view(len(x), -1, x.shape[3]), adjacency).view(x.shape)
    multiply_each = multiply_joints if uses_split_sums(x) else torch.bmm
    return multiply_each(x.view(len(x), -1, x.shape[3]), adjacency).view(x.shape)


def filter_frames(filters: Iterable[nn.Module], x: Tensor) -> Tensor:
    """Apply depthwise (K, 1) convolutions, each to its part of the channels, (C, T, B, V) -> (C, T', B, V)."""
    frames, layers = x.shape[1], list(filters)
    if gpu_kernels.can_filter_frames(x) and not any(map(has_hooks, layers)):
        return _filter_by_kernels([layer for layer in layers if isinstance(layer, nn.Conv2d)], x)
    if frames > _LONGEST_PRODUCT_FRAMES or any(map(has_hooks, layers)):
        return _convolve_frames(layers, x)
    filtered = torch.bmm(frame_matrices(layers, frames), x.view(len(x), frames, -1))  # (C, T', B*V)
    return filtered.view(len(x), -1, *x.shape[2:])


def _filter_by_kernels(layers: Sequence[nn.Conv2d], x: Tensor) -> Tensor:
    taps = torch.cat([layer.weight.flatten(1) for layer in layers])  # (C, K)
    dilations = _dilations(tuple((layer.dilation[0], len(layer.weight)) for layer in layers), x.device)
    filtered = gpu_kernels.filter_frames(x.flatten(2), taps, dilations, layers[0].stride[0])
    return filtered.view(len(x), -1, *x.shape[2:])


@cache_tensors(64)
def _dilations(parts: tuple[tuple[int, int], ...], device: torch.device) -> Tensor:
    """Return the dilation of each channel, (C,) int32, from the dilation and the number of channels of each part."""
    each = [dilation for dilation, channels in parts for _ in range(channels)]
    return torch.tensor(each, dtype=torch.int32, device=device)


def normalise_and_filter(norm: nn.Module, filters: Iterable[nn.Module], x: Tensor) -> Tensor:
    """Apply a BatchNorm over channels, ReLU, and depthwise (K, 1) convolutions: (C, T, B, V) -> (C, T', B, V)."""
    layers = list(filters)
    if can_filter_by_batch(norm, layers, x):
        return filter_by_batch(norm, layers, x)
    return filter_frames(layers, normalise(norm, x, relu=True))


def frame_matrices(filters: Iterable[nn.Module], frames: int) -> Tensor:
    """Return the matrices (C, T', T) that filter frames like concatenated depthwise (K, 1) convolutions."""
    return torch.cat([_as_product(layer, frames) for layer in filters if isinstance(layer, nn.Conv2d)])


def _as_product(layer: nn.Conv2d, frames: int) -> Tensor:
    """Return the matrices (C, T', T) that filter frames like a depthwise convolution."""
    taps = layer.weight.flatten(1)  # (C, K)
    shape = (frames, layer.stride[0], layer.dilation[0], taps.shape[1])
    make = _tap_positions if torch.compiler.is_compiling() else _cached_tap_positions
    positions = make(*shape, taps.dtype, taps.device)  # (K, T'*T)
    return (taps @ positions).view(len(taps), -1, frames)


def _tap_positions(
    frames: int, stride: int, dilation: int, taps: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return the position of each tap of a filter, padded to keep the frames, in its matrix: (K, T'*T) of 0 and 1."""
    centres = torch.arange(0, frames, stride, device=device)[:, None]  # (T', 1)
    sources = torch.arange(frames, device=device)[None, :]  # (1, T)
    offsets = (torch.arange(taps, device=device) - (taps - 1) // 2) * dilation
    return (sources - centres == offsets[:, None, None]).flatten(1).to(dtype)


_cached_tap_positions = cache_tensors(64)(_tap_positions)


def _convolve_frames(layers: Sequence[nn.Module], x: Tensor) -> Tensor:
    parts = x.permute(2, 0, 1, 3).chunk(len(layers), dim=1)  # (B, C / parts, T, V) each
    filtered = torch.cat([layer(part) for layer, part in zip(layers, parts, strict=True)], dim=1)
    return channels_first(filtered)
