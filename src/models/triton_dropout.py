"""The end of a block, `relu(dropout(x) + other)`, as Triton kernels for NVIDIA GPUs; `layers` has the plain torch form.

No mask is stored: it is generated again in the backward pass, from a seed of torch's generator of the device. Masks
therefore follow torch's seed, in CUDA graphs too.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 2048


@triton.jit  # type: ignore[untyped-decorator]
def _kept(seed, at, probability, DROPS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Return factors: zero with a probability, otherwise the factor that preserves the expectation."""
    if DROPS:
        return tl.where(tl.rand(tl.load(seed), at) >= probability, 1.0 / (1.0 - probability), 0.0)
    return tl.full(at.shape, 1.0, tl.float32)


@triton.jit  # type: ignore[untyped-decorator]
def _sum(x, other, seed, result, size, probability, DROPS: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    values = tl.load(x + at, mask=inside, other=0.0).to(tl.float32) * _kept(seed, at, probability, DROPS)
    total = values + tl.load(other + at, mask=inside, other=0.0).to(tl.float32)
    total = tl.where(total < 0.0, 0.0, total)  # not tl.maximum, which would hide a NaN
    tl.store(result + at, total.to(result.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _split(gradient, result, seed, of_x, of_other, size, probability, DROPS: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    slope = tl.load(gradient + at, mask=inside, other=0.0).to(tl.float32)
    slope = tl.where(tl.load(result + at, mask=inside, other=0.0).to(tl.float32) > 0.0, slope, 0.0)
    tl.store(of_other + at, slope.to(of_other.dtype.element_ty), mask=inside)
    if DROPS:
        slope = slope * _kept(seed, at, probability, DROPS)
        tl.store(of_x + at, slope.to(of_x.dtype.element_ty), mask=inside)


class DroppedSumByKernels(torch.autograd.Function):
    """Return `relu(dropout(x) + other)` of two tensors of the same shape and type, at most 2^31 - 1 elements."""

    @staticmethod
    def forward(context: Any, x: Tensor, other: Tensor, probability: float) -> Tensor:
        x, other = x.contiguous(), other.contiguous()
        result = torch.empty_like(x)
        drops = probability > 0
        seed = torch.randint(2**31 - 1, (1,), device=x.device) if drops else x
        _sum[(triton.cdiv(x.numel(), _BLOCK),)](
            x, other, seed, result, x.numel(), probability, DROPS=drops, BLOCK=_BLOCK
        )
        context.save_for_backward(result, seed if drops else None)
        context.probability = probability
        return result

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        result, seed = context.saved_tensors
        drops = seed is not None
        of_other = torch.empty_like(result)
        of_x = torch.empty_like(result) if drops else of_other
        _split[(triton.cdiv(result.numel(), _BLOCK),)](
            gradient.contiguous(), result, seed if drops else result, of_x, of_other, result.numel(),
            context.probability, DROPS=drops, BLOCK=_BLOCK,
        )  # fmt: skip
        return of_x, of_other, None
