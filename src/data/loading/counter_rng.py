"""Counter-based random numbers: a function of (seed, epoch, clip) and nothing else.

There is no generator state, so a clip's random numbers do not depend on its batch, the order of clips, the number of
workers or processes, or on where a run was resumed; and they are the same on every device.
"""

import math

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_MIXERS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_MASK = (1 << 64) - 1


def _signed(value: int) -> int:
    """Return the int64 that has the bits of an unsigned 64-bit number."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


def _mix(state: Tensor) -> Tensor:
    """Scramble 64-bit states: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    for shift, factor in _MIXERS:
        state = (state ^ _shift_right(state, shift)) * _signed(factor)
    return state ^ _shift_right(state, 31)


def _shift_right(state: Tensor, bits: int) -> Tensor:
    """Shift the bits of an unsigned number."""
    return (state >> bits) & ((1 << (64 - bits)) - 1)


def clip_keys(seed: int, epoch: int, indices: Tensor, repetition: int = 0) -> Tensor:
    """Return the 64-bit RNG key of each clip, a hash of (seed, epoch, repetition, clip).

    Args:
        seed, epoch: of the run.
        indices: (N,) the clips.
        repetition: the pass over the clips within the epoch.

    Returns:
        (N,) int64.
    """
    state = _mix(torch.full((1,), _signed((seed + 1) * _GOLDEN), dtype=torch.int64, device=indices.device))
    for part in (epoch, repetition):
        state = _mix(state + _signed((part + 1) * _GOLDEN))
    return _mix(state + (indices.to(torch.int64) + 1) * _signed(_GOLDEN))


def fixed_keys(indices: Tensor, view: int) -> Tensor:
    """Return the RNG keys (N,) of one of the fixed augmented views of clips, the same in every run."""
    return clip_keys(0, view, indices)


def uniform(rng_keys: Tensor, purpose: int, count: int) -> Tensor:
    """Return `count` numbers in [0, 1) for each clip, (N, count) float32.

    Args:
        rng_keys: (N,) from `clip_keys`.
        purpose: number that separates independent uses of a key.
        count: how many numbers a clip needs.
    """
    state = _mix(rng_keys + _signed((purpose + 1) * _GOLDEN))
    steps = torch.arange(1, count + 1, dtype=torch.int64, device=rng_keys.device) * _signed(_GOLDEN)
    states = _mix(state[:, None] + steps[None, :])
    return _shift_right(states, 40).to(torch.float32) * 2.0**-24


def normal(rng_keys: Tensor, purpose: int, count: int) -> Tensor:
    """Return `count` standard normal numbers for each clip, (N, count) float32 (Box-Muller)."""
    pairs = uniform(rng_keys, purpose, 2 * count)
    radius = torch.sqrt(-2.0 * torch.log1p(-pairs[:, :count]))
    return radius * torch.cos(2.0 * math.pi * pairs[:, count:])


def shuffled(seed: int, epoch: int, indices: Tensor, repetition: int = 0) -> Tensor:
    """Return `indices` in the random order of one pass."""
    return indices[torch.argsort(clip_keys(seed, epoch, indices, repetition), stable=True)]


def pairs(rng_keys: Tensor, purpose: int) -> Tensor:
    """Return a random number of 64 bits for each ordered pair of clips, (N, N) int64: rows are the first clips."""
    first = _mix(rng_keys + _signed((purpose + 1) * _GOLDEN))
    return _mix(first[:, None] + _mix(rng_keys ^ _signed(_GOLDEN))[None, :])
