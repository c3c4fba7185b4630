"""Operations of the models that Triton kernels compute; without Triton or a GPU, plain torch computes them.

The kernels are in `triton_batch_norm`, `triton_attention` and `triton_dropout`, imported when a GPU first needs them.

Legend: C channels, T frames, B bodies, V joints.
"""

import logging
from functools import cache

import torch
from torch import Tensor

from .tracing import is_traced

_log = logging.getLogger(__name__)

_MAX_ELEMENTS = 2**31 - 1  # the largest tensor that the kernels at the end of a block support


def can_use_kernels(x: Tensor) -> bool:
    """Tell whether the kernels can be used with `x`: on a GPU, not traced, float32 or narrower."""
    return x.is_cuda and x.dtype != torch.float64 and not is_traced() and has_kernels(x.device)


def joint_and_frame_means(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return `x` itself, for further use, and its means over joints and frames: (C, T, B, V), (C, T, B), (C, B, V)."""
    from .triton_attention import MeansByKernels

    found: tuple[Tensor, Tensor, Tensor] = MeansByKernels.apply(x.contiguous())  # type: ignore[no-untyped-call]
    return found


def apply_gates(x: Tensor, frame_gate: Tensor, joint_gate: Tensor, alpha: Tensor) -> Tensor:
    """Return `x + alpha * (x * g_t * g_s - x)` of (C, T, B, V), (C, T, B, 1), (C, 1, B, V) and (C, 1, 1, 1)."""
    from .triton_attention import WeighedByKernels

    result: Tensor = WeighedByKernels.apply(x, frame_gate, joint_gate, alpha)  # type: ignore[no-untyped-call]
    return result


def can_drop_and_sum(x: Tensor, other: Tensor) -> bool:
    """Tell whether `dropped_sum` supports two tensors."""
    return can_use_kernels(x) and x.dtype == other.dtype and x.shape == other.shape and x.numel() <= _MAX_ELEMENTS


def dropped_sum(x: Tensor, other: Tensor, probability: float) -> Tensor:
    """Return `relu(dropout(x) + other)`."""
    from .triton_dropout import DroppedSumByKernels

    result: Tensor = DroppedSumByKernels.apply(x, other, probability)  # type: ignore[no-untyped-call]
    return result


@cache
def has_kernels(device: torch.device) -> bool:
    """Tell whether Triton's kernels work on a GPU; if not, warn once that plain torch is used."""
    try:
        from .triton_dropout import DroppedSumByKernels

        with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng([device]):
            x = torch.ones(8, device=device, requires_grad=True)
            DroppedSumByKernels.apply(x, x, 0.5).sum().backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # any error of a missing or broken Triton or compiler; plain torch computes the same
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        _log.warning("The Triton kernels do not work here; plain torch is used, several times slower (%s).", reason)
        return False
    return True
