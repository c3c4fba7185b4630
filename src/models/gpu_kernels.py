"""Operations of the models that Triton kernels compute; without Triton or a GPU, plain torch computes them.

The kernels are in `triton_batch_norm`, `triton_attention` and `triton_dropout`, imported when a GPU first needs them.
Those of `triton_frames` and `triton_joints` are on trial: they are used only where they are chosen by name.

Legend: C channels, T frames, B bodies, V joints.
"""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

from .tracing import is_traced

_log = logging.getLogger(__name__)

_chosen: set[str] = set()  # kernels on trial that are used now; not of a context, which autograd's threads do not have
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
        _log.warning(
            "The Triton kernels do not work here; plain torch is used, several times slower (%s).", _line(error)
        )
        return False
    return True


@contextmanager
def trial_kernels(names: Collection[str]) -> Iterator[None]:
    """Use kernels on trial, by their names in `hardware.trial_kernels`, where possible while the block runs."""
    before = set(_chosen)
    _chosen.update(names)
    try:
        yield
    finally:
        _chosen.intersection_update(before)


def on_trial(name: str) -> bool:
    """Tell whether a way to compute was chosen by its name; compiled code has none of them."""
    return not is_traced() and name in _chosen


def can_filter_frames(x: Tensor) -> bool:
    """Tell whether `filter_frames` is to be used with `x`."""
    return on_trial("filter") and can_use_kernels(x) and _works("filter", _try_filter, x.device)


def filter_frames(x: Tensor, taps: Tensor, dilations: Tensor, stride: int) -> Tensor:
    """Filter (C, T, W) by taps (C, K) with dilations (C,) int32 and a stride; see `triton_frames`."""
    from .triton_frames import FilterByKernels

    if torch.is_autocast_enabled("cuda"):
        x = x.to(torch.get_autocast_dtype("cuda"))
    filtered: Tensor = FilterByKernels.apply(x.contiguous(), taps, dilations, stride)  # type: ignore[no-untyped-call]
    return filtered


def can_mix_joints(x: Tensor) -> bool:
    """Tell whether `mix_joints` is to be used with `x`, (..., V)."""
    if not on_trial("joints") or not can_use_kernels(x) or not _works("joints", _try_joints, x.device):
        return False
    from .triton_joints import MOST_JOINTS

    return x.shape[-1] <= MOST_JOINTS


def mix_joints(x: Tensor, adjacency: Tensor) -> Tensor:
    """Return `x @ adjacency` of each channel, (C, P, V) and (C, V, V), in the type of autocast or of `x`."""
    from .triton_joints import MixByKernels

    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else x.dtype
    mixed: Tensor = MixByKernels.apply(x.to(dtype).contiguous(), adjacency.to(dtype))  # type: ignore[no-untyped-call]
    return mixed


def _try_filter(device: torch.device) -> Tensor:
    x, taps = torch.ones(2, 3, 4, device=device, requires_grad=True), torch.ones(2, 3, device=device)
    return filter_frames(x, taps.requires_grad_(), torch.ones(2, dtype=torch.int32, device=device), 1)


def _try_joints(device: torch.device) -> Tensor:
    x = torch.ones(2, 3, 5, device=device, requires_grad=True)
    return mix_joints(x, torch.ones(2, 5, 5, device=device, requires_grad=True))


@cache
def _works(name: str, attempt: Callable[[torch.device], Any], device: torch.device) -> bool:
    """Tell whether a kernel on trial works on a GPU, in both directions; if not, warn once."""
    try:
        with torch.inference_mode(False), torch.enable_grad():
            attempt(device).sum().backward()
    except Exception as error:  # as in `has_kernels`
        _log.warning("hardware.trial_kernels: %s does not work here; the usual way is used (%s).", name, _line(error))
        return False
    return True


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
