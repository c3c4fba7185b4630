"""Joint mixing as Triton kernels for NVIDIA GPUs; `channel_major.mix_joints` has the plain torch form.

A product of 25 joints is not aligned, so cuBLAS computes it without matrix units. Here joints are padded to a power of
two inside the kernel, in registers. Sums are in float32.

Legend: C channels, P positions (frames times bodies), V joints.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

MOST_JOINTS = 64  # whose padded matrices fit the registers
_LEAST_JOINTS = 16  # of a product of matrix units
_BLOCK = 128  # positions per program at a time
_PROGRAMS = 1056  # minimum number of the summing programs, if there is enough work


def _padded(joints: int) -> int:
    return max(_LEAST_JOINTS, int(triton.next_power_of_2(joints)))


@triton.jit  # type: ignore[untyped-decorator]
def _mix(  # type: ignore[no-untyped-def]
    x, adjacency, result, P, V: tl.constexpr, TRANSPOSED: tl.constexpr, JOINTS: tl.constexpr, BLOCK: tl.constexpr
):
    """Write the product of every position with the adjacency of its channel, or with the transposed one."""
    channel = tl.program_id(0).to(tl.int64)
    position = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    joint = tl.arange(0, JOINTS)
    inside = (position < P)[:, None] & (joint < V)[None, :]
    at = channel * P * V + position[:, None] * V + joint[None, :]
    square = (joint < V)[:, None] & (joint < V)[None, :]
    entry = joint[:, None] * V + joint[None, :]
    if TRANSPOSED:
        entry = joint[None, :] * V + joint[:, None]
    matrix = tl.load(adjacency + channel * V * V + entry, mask=square, other=0.0)
    values = tl.load(x + at, mask=inside, other=0.0)
    mixed = tl.dot(values, matrix, input_precision="ieee")
    tl.store(result + at, mixed.to(result.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _sum_products(  # type: ignore[no-untyped-def]
    x, gradients, sums, P, per_part, V: tl.constexpr, JOINTS: tl.constexpr, BLOCK: tl.constexpr
):
    """Write the parts (C, programs, V, V) of the gradients of the adjacencies."""
    channel, part = tl.program_id(0), tl.program_id(1)
    joint = tl.arange(0, JOINTS)
    known = (joint < V)[None, :]
    total = tl.zeros([JOINTS, JOINTS], tl.float32)
    begin = part * per_part
    for start in range(begin, min(begin + per_part, P), BLOCK):
        position = start + tl.arange(0, BLOCK)
        inside = (position < P)[:, None] & known
        at = channel.to(tl.int64) * P * V + position[:, None] * V + joint[None, :]
        values = tl.load(x + at, mask=inside, other=0.0)
        slopes = tl.load(gradients + at, mask=inside, other=0.0)
        total += tl.dot(tl.trans(values), slopes, input_precision="ieee")
    here = (channel * tl.num_programs(1) + part).to(tl.int64) * V * V
    square = (joint < V)[:, None] & known
    tl.store(sums + here + joint[:, None] * V + joint[None, :], total, mask=square)


class MixByKernels(torch.autograd.Function):
    """Multiply (C, P, V) by one adjacency per channel (C, V, V), both of one type; at most `MOST_JOINTS` joints."""

    @staticmethod
    def forward(context: Any, x: Tensor, adjacency: Tensor) -> Tensor:
        context.save_for_backward(x, adjacency)
        return _mixed(x, adjacency, transposed=False)

    @staticmethod
    def backward(context: Any, gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, adjacency = context.saved_tensors
        gradients = gradients.contiguous()
        of_x = of_adjacency = None
        if context.needs_input_grad[0]:
            of_x = _mixed(gradients, adjacency, transposed=True)
        if context.needs_input_grad[1]:
            channels, positions, joints = x.shape
            blocks = triton.cdiv(positions, _BLOCK)
            per_part = triton.cdiv(blocks, min(blocks, max(1, triton.cdiv(_PROGRAMS, channels)))) * _BLOCK
            parts = triton.cdiv(positions, per_part)
            sums = x.new_empty(channels, parts, joints, joints, dtype=torch.float32)
            _sum_products[(channels, parts)](
                x, gradients, sums, positions, per_part, V=joints, JOINTS=_padded(joints), BLOCK=_BLOCK
            )
            of_adjacency = sums.sum(dim=1).to(adjacency.dtype)
        return of_x, of_adjacency


def _mixed(x: Tensor, adjacency: Tensor, *, transposed: bool) -> Tensor:
    result = torch.empty_like(x)
    channels, positions, joints = x.shape
    _mix[(channels, triton.cdiv(positions, _BLOCK))](
        x, adjacency.contiguous(), result, positions,
        V=joints, TRANSPOSED=transposed, JOINTS=_padded(joints), BLOCK=_BLOCK,
    )  # fmt: skip
    return result
