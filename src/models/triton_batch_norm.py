"""BatchNorm with ReLU as Triton kernels, for NVIDIA GPUs. `batch_norm` has the same in plain torch, and chooses.

torch's own kernels process each channel of (1, C, P) with one block; plain torch reads the features seven times, mostly
to convert half precision. Here each channel is divided among many blocks, with two reading passes (sums, then the
result) in each direction. Sums are in float32, of differences to the channel's first value, so that a large mean does
not cause cancellation; they are added in a fixed order, so that results are reproducible.

This module needs Triton, which comes with torch on CUDA; import it only if `batch_norm.has_triton` is true.

Legend: C channels, P positions of a channel, S parts of a channel.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from .padding import CountedPositions

_BLOCK = 4096  # positions per program at a time
_PROGRAMS = 1056  # minimum number of programs, if there is enough work: eight per multiprocessor of the largest GPUs


def _parts(channels: int, positions: int) -> tuple[int, int]:
    """Return the number of parts of a channel and the number of positions per part, a multiple of the block."""
    blocks = triton.cdiv(positions, _BLOCK)
    blocks_per_part = triton.cdiv(blocks, min(blocks, max(1, triton.cdiv(_PROGRAMS, channels))))
    return triton.cdiv(blocks, blocks_per_part), blocks_per_part * _BLOCK


@triton.jit  # type: ignore[untyped-decorator]
def _sum_features(  # type: ignore[no-untyped-def]
    rows, bodies, sums, positions, per_part, B, INNER: tl.constexpr, COUNTED: tl.constexpr, BLOCK: tl.constexpr
):
    """Write the sums of x - x0 and of its square over a part, x0 being the channel's first value: (2, C, S)."""
    channel, part = tl.program_id(0), tl.program_id(1)
    row = rows + channel.to(tl.int64) * positions
    first = tl.load(row).to(tl.float32)
    total, squares = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    begin = part * per_part
    for start in range(begin, min(begin + per_part, positions), BLOCK):
        at = start + tl.arange(0, BLOCK)
        inside = at < positions
        if COUNTED:  # the first body does count
            inside = inside & (tl.load(bodies + (at // INNER) % B) != 0)
        difference = tl.load(row + at, mask=inside, other=0.0).to(tl.float32) - first
        difference = tl.where(inside, difference, 0.0)
        total += difference
        squares += difference * difference
    here = channel * tl.num_programs(1) + part
    tl.store(sums + here, tl.sum(total, 0))
    tl.store(sums + tl.num_programs(0) * tl.num_programs(1) + here, tl.sum(squares, 0))


@triton.jit  # type: ignore[untyped-decorator]
def _settle_statistics(  # type: ignore[no-untyped-def]
    rows, sums, weight, bias, statistics, running_mean, running_var, positions, number, parts, eps, momentum,
    PARTS: tl.constexpr, RUNNING: tl.constexpr, MOMENTUM_IS_TENSOR: tl.constexpr, COUNTED: tl.constexpr,
):  # fmt: skip
    """Write mean, scale, factor and offset of a channel, (4, C), and update its running statistics."""
    channel, channels = tl.program_id(0), tl.num_programs(0)
    if COUNTED:
        number = tl.load(number)
    at = tl.arange(0, PARTS)
    inside = at < parts
    total = tl.sum(tl.load(sums + channel * parts + at, mask=inside, other=0.0), 0)
    squares = tl.sum(tl.load(sums + (channels + channel) * parts + at, mask=inside, other=0.0), 0)
    difference = total / number
    mean = tl.load(rows + channel.to(tl.int64) * positions).to(tl.float32) + difference
    variance = squares / number - difference * difference
    variance = tl.where(variance < 0.0, 0.0, variance)  # not tl.maximum, which would hide a NaN
    scale = 1.0 / tl.sqrt(variance + eps)
    factor = tl.load(weight + channel).to(tl.float32) * scale
    tl.store(statistics + channel, mean)
    tl.store(statistics + channels + channel, scale)
    tl.store(statistics + 2 * channels + channel, factor)
    tl.store(statistics + 3 * channels + channel, tl.load(bias + channel).to(tl.float32) - mean * factor)
    if RUNNING:
        if MOMENTUM_IS_TENSOR:
            momentum = tl.load(momentum)
        old = tl.load(running_mean + channel)
        tl.store(running_mean + channel, old + momentum * (mean - old))
        old = tl.load(running_var + channel)
        tl.store(running_var + channel, old + momentum * (variance * (number / (number - 1.0)) - old))


@triton.jit  # type: ignore[untyped-decorator]
def _scale_features(rows, factors, offsets, normed, positions, RELU: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Write factor * x + offset, with ReLU if requested."""
    channel = tl.program_id(0)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < positions
    here = channel.to(tl.int64) * positions + at
    x = tl.load(rows + here, mask=inside, other=0.0).to(tl.float32)
    result = x * tl.load(factors + channel).to(tl.float32) + tl.load(offsets + channel).to(tl.float32)
    if RELU:
        result = tl.where(result < 0.0, 0.0, result)
    tl.store(normed + here, result.to(normed.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _sum_gradients(  # type: ignore[no-untyped-def]
    rows, gradients, statistics, sums, positions, per_part, RELU: tl.constexpr, BLOCK: tl.constexpr
):
    """Write the sums of g and of g * (x - mean) over a part, g being the gradient before ReLU: (2, C, S)."""
    channel, part, channels = tl.program_id(0), tl.program_id(1), tl.num_programs(0)
    row = channel.to(tl.int64) * positions
    mean = tl.load(statistics + channel)
    factor, offset = tl.load(statistics + 2 * channels + channel), tl.load(statistics + 3 * channels + channel)
    total, along = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    begin = part * per_part
    for start in range(begin, min(begin + per_part, positions), BLOCK):
        at = start + tl.arange(0, BLOCK)
        inside = at < positions
        x = tl.load(rows + row + at, mask=inside, other=0.0).to(tl.float32)
        gradient = tl.load(gradients + row + at, mask=inside, other=0.0).to(tl.float32)
        if RELU:
            gradient = tl.where(x * factor + offset > 0.0, gradient, 0.0)
        total += gradient
        along += tl.where(inside, gradient * (x - mean), 0.0)
    here = channel * tl.num_programs(1) + part
    tl.store(sums + here, tl.sum(total, 0))
    tl.store(sums + channels * tl.num_programs(1) + here, tl.sum(along, 0))


@triton.jit  # type: ignore[untyped-decorator]
def _settle_gradients(  # type: ignore[no-untyped-def]
    sums, statistics, of_weight, of_bias, slopes, number, parts, PARTS: tl.constexpr, COUNTED: tl.constexpr
):
    """Write the gradients of a channel's weight and bias, and coefficients for that of its features, (2, C)."""
    channel, channels = tl.program_id(0), tl.num_programs(0)
    if COUNTED:
        number = tl.load(number)
    at = tl.arange(0, PARTS)
    inside = at < parts
    total = tl.sum(tl.load(sums + channel * parts + at, mask=inside, other=0.0), 0)
    along = tl.sum(tl.load(sums + (channels + channel) * parts + at, mask=inside, other=0.0), 0)
    scale, factor = tl.load(statistics + channels + channel), tl.load(statistics + 2 * channels + channel)
    tl.store(of_weight + channel, (along * scale).to(of_weight.dtype.element_ty))
    tl.store(of_bias + channel, total.to(of_bias.dtype.element_ty))
    tl.store(slopes + channel, -factor * scale * scale * along / number)
    tl.store(slopes + channels + channel, -factor * total / number)


@triton.jit  # type: ignore[untyped-decorator]
def _scale_gradients(  # type: ignore[no-untyped-def]
    rows, gradients, statistics, slopes, of_rows, bodies, positions, B,
    RELU: tl.constexpr, INNER: tl.constexpr, COUNTED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write factor * g + slope * (x - mean) + level, g being the gradient before ReLU.

    The last two terms come from the statistics, so only positions that count have them.
    """
    channel, channels = tl.program_id(0), tl.num_programs(0)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < positions
    here = channel.to(tl.int64) * positions + at
    x = tl.load(rows + here, mask=inside, other=0.0).to(tl.float32)
    gradient = tl.load(gradients + here, mask=inside, other=0.0).to(tl.float32)
    mean = tl.load(statistics + channel)
    factor, offset = tl.load(statistics + 2 * channels + channel), tl.load(statistics + 3 * channels + channel)
    if RELU:
        gradient = tl.where(x * factor + offset > 0.0, gradient, 0.0)
    slope, level = tl.load(slopes + channel), tl.load(slopes + channels + channel)
    if COUNTED:
        counts = tl.load(bodies + (at // INNER) % B) != 0
        slope, level = tl.where(counts, slope, 0.0), tl.where(counts, level, 0.0)
    result = factor * gradient + slope * (x - mean) + level
    tl.store(of_rows + here, result.to(of_rows.dtype.element_ty), mask=inside)


class NormByKernels(torch.autograd.Function):
    """Normalise (C, P) by the statistics of the batch, apply ReLU if requested, update running statistics.

    The variance is the mean square without a correction; the running one has it.
    """

    @staticmethod
    def forward(
        context: Any,
        rows: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        relu: bool,
        momentum: float | Tensor,
        running: tuple[Tensor, Tensor, Tensor] | None,
        counted: CountedPositions | None = None,
    ) -> Tensor:
        channels, positions = rows.shape
        parts, per_part = _parts(channels, positions)
        bodies, number, options = _counting(rows, counted)
        sums = rows.new_empty(2, channels, parts, dtype=torch.float32)
        statistics = rows.new_empty(4, channels, dtype=torch.float32)
        mean, variance, _ = running or (sums, sums, sums)
        _sum_features[(channels, parts)](rows, bodies, sums, positions, per_part, len(bodies), **options, BLOCK=_BLOCK)
        _settle_statistics[(channels,)](
            rows, sums, weight, bias, statistics, mean, variance, positions, number, parts, eps, momentum,
            PARTS=triton.next_power_of_2(parts), RUNNING=running is not None,
            MOMENTUM_IS_TENSOR=isinstance(momentum, Tensor), COUNTED=counted is not None,
        )  # fmt: skip
        if running is not None:
            running[2].add_(1)
        normed = scaled(rows, statistics[2], statistics[3], relu)
        context.save_for_backward(rows, statistics)
        context.relu, context.types, context.counted = relu, (weight.dtype, bias.dtype), counted
        return normed

    @staticmethod
    def backward(context: Any, gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, statistics = context.saved_tensors
        gradients = gradients.contiguous()
        channels, positions = rows.shape
        parts, per_part = _parts(channels, positions)
        bodies, number, options = _counting(rows, context.counted)
        sums = rows.new_empty(2, channels, parts, dtype=torch.float32)
        slopes = rows.new_empty(2, channels, dtype=torch.float32)
        of_weight, of_bias = (rows.new_empty(channels, dtype=each) for each in context.types)
        of_rows = torch.empty_like(rows)
        _sum_gradients[(channels, parts)](
            rows, gradients, statistics, sums, positions, per_part, RELU=context.relu, BLOCK=_BLOCK
        )
        _settle_gradients[(channels,)](
            sums, statistics, of_weight, of_bias, slopes, number, parts,
            PARTS=triton.next_power_of_2(parts), COUNTED=context.counted is not None,
        )  # fmt: skip
        _scale_gradients[(channels, triton.cdiv(positions, _BLOCK))](
            rows, gradients, statistics, slopes, of_rows, bodies, positions, len(bodies),
            RELU=context.relu, **options, BLOCK=_BLOCK,
        )  # fmt: skip
        return of_rows, of_weight, of_bias, None, None, None, None, None


def _counting(rows: Tensor, counted: CountedPositions | None) -> tuple[Tensor, Tensor | int, dict[str, Any]]:
    """Return the bodies that count, int32 (B,), the number of positions that count, and the kernels' options."""
    if counted is None:
        return rows, rows.shape[1], {"INNER": 1, "COUNTED": False}  # no kernel reads the first
    return counted.bodies.to(torch.int32), counted.number, {"INNER": counted.inner, "COUNTED": True}


def scaled(rows: Tensor, factor: Tensor, offset: Tensor, relu: bool) -> Tensor:
    """Return `rows * factor + offset` in the type of `rows`, (C, P), (C,) and (C,), with ReLU if `relu`."""
    normed = torch.empty_like(rows)
    channels, positions = rows.shape
    grid = (channels, triton.cdiv(positions, _BLOCK))
    _scale_features[grid](rows, factor, offset, normed, positions, RELU=relu, BLOCK=_BLOCK)
    return normed
