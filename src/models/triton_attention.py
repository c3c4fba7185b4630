"""The passes of joint attention over its features as Triton kernels for NVIDIA GPUs; `cpu_kernels` has the torch form.

Plain torch reads the features about twenty times in a training step, these kernels nine times. Sums are in
float32.

Legend: C channels, T frames, B bodies, V joints. Features are (C, T, B, V), contiguous.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024  # elements per program of the element-wise kernels
_TILE = 2048  # elements per program of the summing kernels at a time, bodies times padded joints
_PROGRAMS = 1056  # minimum number, if there is enough work


def _bodies_at_once(channels: int, bodies: int, joints: int) -> int:
    """Return the number of bodies per program of the summing kernels, a power of two."""
    most = max(1, _TILE // triton.next_power_of_2(joints))
    wanted = max(1, bodies * channels // _PROGRAMS)
    return int(min(most, triton.next_power_of_2(wanted)))


@triton.jit  # type: ignore[untyped-decorator]
def _average(x, over_joints, over_frames, T, B, V: tl.constexpr, BODIES: tl.constexpr, JOINTS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Write the means over joints (C, T, B) and over frames (C, B, V)."""
    channel = tl.program_id(0)
    body = tl.program_id(1) * BODIES + tl.arange(0, BODIES)
    joint = tl.arange(0, JOINTS)
    inside = (body < B)[:, None] & (joint < V)[None, :]
    within_frame = body[:, None] * V + joint[None, :]
    total = tl.zeros([BODIES, JOINTS], tl.float32)
    for frame in range(T):
        row = (channel * T + frame).to(tl.int64)
        values = tl.load(x + row * B * V + within_frame, mask=inside, other=0.0).to(tl.float32)
        total += values
        mean = tl.sum(values, 1) / V
        tl.store(over_joints + row * B + body, mean.to(over_joints.dtype.element_ty), mask=body < B)
    at = channel.to(tl.int64) * B * V + within_frame
    tl.store(over_frames + at, (total / T).to(over_frames.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _add_averaged(gradient, of_joints, of_frames, result, T, B, V: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Write the sum of the gradients of the features, and of their means over joints and over frames."""
    row = tl.program_id(0).to(tl.int64)  # of (C, T)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < B * V
    total = tl.load(gradient + row * B * V + at, mask=inside, other=0.0).to(tl.float32)
    total += tl.load(of_joints + row * B + at // V, mask=inside, other=0.0).to(tl.float32) / V
    total += tl.load(of_frames + (row // T) * B * V + at, mask=inside, other=0.0).to(tl.float32) / T
    tl.store(result + row * B * V + at, total.to(result.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _weigh(x, frame_gate, joint_gate, alpha, result, T, B, V: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Write `x * (1 - alpha + alpha * g_t * g_s)`."""
    row = tl.program_id(0).to(tl.int64)  # of (C, T)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < B * V
    share = tl.load(alpha + row // T).to(tl.float32)
    of_frame = tl.load(frame_gate + row * B + at // V, mask=inside, other=0.0).to(tl.float32)
    of_joint = tl.load(joint_gate + (row // T) * B * V + at, mask=inside, other=0.0).to(tl.float32)
    values = tl.load(x + row * B * V + at, mask=inside, other=0.0).to(tl.float32)
    weighed = values * (1.0 - share + share * of_frame * of_joint)
    tl.store(result + row * B * V + at, weighed.to(result.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _weigh_gradients(  # type: ignore[no-untyped-def]
    x, gradient, frame_gate, joint_gate, alpha, of_x, of_frames, of_joints, of_alpha, T, B,
    V: tl.constexpr, BODIES: tl.constexpr, JOINTS: tl.constexpr,
):  # fmt: skip
    """Write the gradients of features and gates, and the parts (C, programs) of that of alpha."""
    channel = tl.program_id(0)
    body = tl.program_id(1) * BODIES + tl.arange(0, BODIES)
    joint = tl.arange(0, JOINTS)
    inside = (body < B)[:, None] & (joint < V)[None, :]
    within_frame = body[:, None] * V + joint[None, :]
    share = tl.load(alpha + channel).to(tl.float32)
    at = channel.to(tl.int64) * B * V + within_frame
    of_joint = tl.load(joint_gate + at, mask=inside, other=0.0).to(tl.float32)
    by_joint, by_alpha = tl.zeros([BODIES, JOINTS], tl.float32), tl.zeros([BODIES], tl.float32)
    for frame in range(T):
        row = (channel * T + frame).to(tl.int64)
        here = row * B * V + within_frame
        slope = tl.load(gradient + here, mask=inside, other=0.0).to(tl.float32)
        product = slope * tl.load(x + here, mask=inside, other=0.0).to(tl.float32)
        of_frame = tl.load(frame_gate + row * B + body, mask=body < B, other=0.0).to(tl.float32)[:, None]
        by_frame = tl.sum(product * of_joint, 1)
        tl.store(of_frames + row * B + body, (share * by_frame).to(of_frames.dtype.element_ty), mask=body < B)
        by_joint += product * of_frame
        by_alpha += tl.sum(product * (of_frame * of_joint - 1.0), 1)
        weighed = slope * (1.0 - share + share * of_frame * of_joint)
        tl.store(of_x + here, weighed.to(of_x.dtype.element_ty), mask=inside)
    tl.store(of_joints + at, (share * by_joint).to(of_joints.dtype.element_ty), mask=inside)
    tl.store(of_alpha + channel * tl.num_programs(1) + tl.program_id(1), tl.sum(by_alpha, 0))


class MeansByKernels(torch.autograd.Function):
    """Return features (C, T, B, V) themselves, and their means over joints (C, T, B) and over frames (C, B, V)."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        channels, frames, bodies, joints = context.shape = x.shape
        over_joints, over_frames = x.new_empty(channels, frames, bodies), x.new_empty(channels, bodies, joints)
        at_once = _bodies_at_once(channels, bodies, joints)
        _average[(channels, triton.cdiv(bodies, at_once))](
            x, over_joints, over_frames, frames, bodies, V=joints, BODIES=at_once, JOINTS=triton.next_power_of_2(joints)
        )
        return x.view_as(x), over_joints, over_frames

    @staticmethod
    def backward(context: Any, gradient: Tensor, of_joints: Tensor, of_frames: Tensor) -> Tensor:
        channels, frames, bodies, joints = context.shape
        result = torch.empty_like(gradient, memory_format=torch.contiguous_format)
        _add_averaged[(channels * frames, triton.cdiv(bodies * joints, _BLOCK))](
            gradient.contiguous(), of_joints.contiguous(), of_frames.contiguous(), result, frames, bodies,
            V=joints, BLOCK=_BLOCK,
        )  # fmt: skip
        return result


class WeighedByKernels(torch.autograd.Function):
    """Return `x * (1 - alpha + alpha * g_t * g_s)` of (C, T, B, V), (C, T, B, 1), (C, 1, B, V) and (C, 1, 1, 1)."""

    @staticmethod
    def forward(context: Any, x: Tensor, frame_gate: Tensor, joint_gate: Tensor, alpha: Tensor) -> Tensor:
        tensors = [each.contiguous() for each in (x, frame_gate, joint_gate, alpha)]
        context.save_for_backward(*tensors)
        channels, frames, bodies, joints = x.shape
        result = torch.empty_like(tensors[0])
        _weigh[(channels * frames, triton.cdiv(bodies * joints, _BLOCK))](
            *tensors, result, frames, bodies, V=joints, BLOCK=_BLOCK
        )
        return result

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        x, frame_gate, joint_gate, alpha = context.saved_tensors
        channels, frames, bodies, joints = x.shape
        at_once = _bodies_at_once(channels, bodies, joints)
        programs = triton.cdiv(bodies, at_once)
        of_x, of_frames, of_joints = torch.empty_like(x), torch.empty_like(frame_gate), torch.empty_like(joint_gate)
        of_alpha = x.new_empty(channels, programs, dtype=torch.float32)
        _weigh_gradients[(channels, programs)](
            x, gradient.contiguous(), frame_gate, joint_gate, alpha, of_x, of_frames, of_joints, of_alpha,
            frames, bodies, V=joints, BODIES=at_once, JOINTS=triton.next_power_of_2(joints),
        )  # fmt: skip
        return of_x, of_frames, of_joints, of_alpha.sum(dim=1).to(alpha.dtype).view(alpha.shape)
