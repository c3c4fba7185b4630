"""The filter over frames as Triton kernels for NVIDIA GPUs; `channel_major.filter_frames` has the plain torch form.

Plain torch multiplies every frame by a matrix of all frames, T / K times the work of the taps; these kernels compute
the taps alone. Neighbouring frames are read again from the cache. Sums are in float32.

Legend: C channels, T frames, T' filtered frames, W positions of a frame (bodies times joints), K taps.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024  # positions per program
_FRAMES = 16  # frames per program
_SUMMED_BLOCK = 128  # positions per program of the sums over all frames, for all taps at once


@triton.jit  # type: ignore[untyped-decorator]
def _filter(  # type: ignore[no-untyped-def]
    x, taps, dilations, result, T, FILTERED, W,
    STRIDE: tl.constexpr, K: tl.constexpr, FRAMES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write the filtered frames; frames outside of the clip are zero."""
    channel = tl.program_id(0)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < W
    dilation = tl.load(dilations + channel)
    begin = tl.program_id(2) * FRAMES
    for frame in range(begin, min(begin + FRAMES, FILTERED)):
        total = tl.zeros([BLOCK], tl.float32)
        for tap in range(K):
            source = frame * STRIDE + (tap - (K - 1) // 2) * dilation
            everywhere = source + 0 * at  # the interpreter has no masks of a vector and a number
            there = inside & (everywhere >= 0) & (everywhere < T)
            row = x + (channel.to(tl.int64) * T + source) * W
            total += tl.load(taps + channel * K + tap).to(tl.float32) * tl.load(row + at, mask=there, other=0.0)
        row = result + (channel.to(tl.int64) * FILTERED + frame) * W
        tl.store(row + at, total.to(result.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _spread_gradients(  # type: ignore[no-untyped-def]
    gradients, taps, dilations, of_x, T, FILTERED, W,
    STRIDE: tl.constexpr, K: tl.constexpr, FRAMES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write the gradients of the frames: those of all filtered frames that have read them."""
    channel = tl.program_id(0)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < W
    dilation = tl.load(dilations + channel)
    begin = tl.program_id(2) * FRAMES
    for frame in range(begin, min(begin + FRAMES, T)):
        total = tl.zeros([BLOCK], tl.float32)
        for tap in range(K):
            centre = frame - (tap - (K - 1) // 2) * dilation
            everywhere = centre + 0 * at
            there = inside & (everywhere >= 0) & (everywhere % STRIDE == 0) & (everywhere // STRIDE < FILTERED)
            row = gradients + (channel.to(tl.int64) * FILTERED + centre // STRIDE) * W
            total += tl.load(taps + channel * K + tap).to(tl.float32) * tl.load(row + at, mask=there, other=0.0)
        row = of_x + (channel.to(tl.int64) * T + frame) * W
        tl.store(row + at, total.to(of_x.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _sum_taps(  # type: ignore[no-untyped-def]
    x, gradients, dilations, sums, T, FILTERED, W,
    STRIDE: tl.constexpr, K: tl.constexpr, TAPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write the parts (C, programs, TAPS) of the gradients of the taps."""
    channel, part = tl.program_id(0), tl.program_id(1)
    at = part * BLOCK + tl.arange(0, BLOCK)
    inside = at < W
    tap = tl.arange(0, TAPS)
    offset = (tap - (K - 1) // 2) * tl.load(dilations + channel)
    total = tl.zeros([TAPS, BLOCK], tl.float32)
    for frame in range(FILTERED):
        row = gradients + (channel.to(tl.int64) * FILTERED + frame) * W
        slope = tl.load(row + at, mask=inside, other=0.0).to(tl.float32)
        source = frame * STRIDE + offset
        there = ((tap < K) & (source >= 0) & (source < T))[:, None] & inside[None, :]
        rows = x + (channel.to(tl.int64) * T + source)[:, None] * W
        total += slope[None, :] * tl.load(rows + at[None, :], mask=there, other=0.0).to(tl.float32)
    here = (channel * tl.num_programs(1) + part) * TAPS + tap
    tl.store(sums + here, tl.sum(total, 1))


class FilterByKernels(torch.autograd.Function):
    """Filter the frames of (C, T, W) by taps (C, K) with dilations (C,) int32 and a stride -> (C, T', W).

    K is odd; frames beyond both ends are zero, so that without a stride T' is T.
    """

    @staticmethod
    def forward(context: Any, x: Tensor, taps: Tensor, dilations: Tensor, stride: int) -> Tensor:
        channels, frames, width = x.shape
        filtered = (frames - 1) // stride + 1
        result = x.new_empty(channels, filtered, width)
        grid = (channels, triton.cdiv(width, _BLOCK), triton.cdiv(filtered, _FRAMES))
        _filter[grid](
            x, taps, dilations, result, frames, filtered, width,
            STRIDE=stride, K=taps.shape[1], FRAMES=_FRAMES, BLOCK=_BLOCK,
        )  # fmt: skip
        context.save_for_backward(x, taps, dilations)
        context.stride = stride
        return result

    @staticmethod
    def backward(context: Any, gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, taps, dilations = context.saved_tensors
        gradients = gradients.contiguous()
        channels, frames, width = x.shape
        filtered, size = gradients.shape[1], taps.shape[1]
        of_x = of_taps = None
        if context.needs_input_grad[0]:
            of_x = torch.empty_like(x)
            grid = (channels, triton.cdiv(width, _BLOCK), triton.cdiv(frames, _FRAMES))
            _spread_gradients[grid](
                gradients, taps, dilations, of_x, frames, filtered, width,
                STRIDE=context.stride, K=size, FRAMES=_FRAMES, BLOCK=_BLOCK,
            )  # fmt: skip
        if context.needs_input_grad[1]:
            padded, parts = triton.next_power_of_2(size), triton.cdiv(width, _SUMMED_BLOCK)
            sums = x.new_empty(channels, parts, padded, dtype=torch.float32)
            _sum_taps[(channels, parts)](
                x, gradients, dilations, sums, frames, filtered, width,
                STRIDE=context.stride, K=size, TAPS=padded, BLOCK=_SUMMED_BLOCK,
            )  # fmt: skip
            of_taps = sums.sum(dim=1)[:, :size].to(taps.dtype)
        return of_x, of_taps, None, None
