"""From clips of any length to T frames: where to look, and reading there.

Legend: N clips, M bodies, T frames after sampling, V joints, C coordinates.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import counter
from .config import SamplingConfig

_CROP, _SEGMENT = 1, 2  # purposes of random numbers


def training_positions(frames: Tensor, target: int, config: SamplingConfig, keys: Tensor) -> Tensor:
    """Return the places (N, T) between frames at which training clips are read in this epoch.

    `crop` reads a random contiguous part of the clip at equal steps; `uniform` reads one random frame in each of T
    equal segments (PYSKL's uniform sampling, Duan et al., ACM MM 2022).

    Args:
        frames: (N,) the clips' lengths.
        target: T.
        config: the method and the shares of the clip that a crop may have.
        keys: (N,) what the random choice depends on.
    """
    if config.method == "uniform":
        return _segment_positions(frames, target, counter.uniform(keys, _SEGMENT, target))
    draws = counter.uniform(keys, _CROP, 2)
    share = config.crop_min + (config.crop_max - config.crop_min) * draws[:, 0]
    return _crop_positions(frames, target, share, draws[:, 1])


def evaluation_positions(frames: Tensor, target: int, config: SamplingConfig, numbers: Tensor, draw: int = 0) -> Tensor:
    """Return the places (N, T) at which clips are read for evaluation.

    `crop` reads the centre of the clip. `uniform` reads the middle of each segment in the first draw and fixed
    random frames in further ones, a function of the clip's number and the draw.
    """
    if config.method == "uniform":
        if draw == 0:
            inside = torch.full((len(frames), target), 0.5, device=frames.device)
        else:
            inside = counter.uniform(counter.clip_keys(0, draw, numbers), _SEGMENT, target)
        return _segment_positions(frames, target, inside)
    share = torch.full((len(frames),), config.test_crop, device=frames.device)
    return _crop_positions(frames, target, share, torch.full_like(share, 0.5))


def _crop_positions(frames: Tensor, target: int, share: Tensor, place: Tensor) -> Tensor:
    """Read `share` of each clip at equal steps; `place` in [0, 1] moves the part from the start to the end."""
    last = (frames - 1).to(torch.float32)
    span = share * last
    start = place * (last - span)
    steps = torch.linspace(0.0, 1.0, target, device=frames.device)
    return start[:, None] + span[:, None] * steps[None, :]


def _segment_positions(frames: Tensor, target: int, inside: Tensor) -> Tensor:
    """Read one whole frame in each of T equal segments, at the share `inside` (N, T) of the segment."""
    segments = torch.arange(target, device=frames.device)[None, :]
    positions = torch.floor((segments + inside) * frames[:, None] / target)
    return torch.minimum(positions, (frames - 1).to(positions.dtype)[:, None])


def read_positions(
    joints: NDArray[np.float32],
    valid: NDArray[np.bool_],
    offsets: Tensor,
    frames: Tensor,
    bodies: Tensor,
    positions: Tensor,
    max_bodies: int,
) -> tuple[Tensor, Tensor]:
    """Read clips at places between frames, interpolating over the frames in which a body is present.

    Args:
        joints, valid: the rows of a store, (R, V, C) and (R,).
        offsets, frames, bodies: (N,) the first row, length and number of bodies of each clip.
        positions: (N, T) where to read, in frames.
        max_bodies: M.

    Returns:
        The joints (N, M, T, V, C), zeros where a body is absent, and `valid` (N, M, T): whether it was there in the
        frame nearest to the place.
    """
    low = positions.floor()
    weight = positions - low
    body = torch.arange(max_bodies)[None, :, None]  # (1, M, 1)
    exists = body < bodies[:, None, None]  # (N, M, 1)
    first = offsets[:, None, None] + torch.where(exists, body, 0) * frames[:, None, None]  # (N, M, 1)
    low_rows = first + low.long()[:, None, :]  # (N, M, T)
    high_rows = first + torch.minimum(low.long() + 1, frames[:, None] - 1)[:, None, :]

    low_valid = torch.from_numpy(valid[low_rows.numpy()]) & exists
    high_valid = torch.from_numpy(valid[high_rows.numpy()]) & exists
    low_weight = (1.0 - weight)[:, None, :] * low_valid
    high_weight = weight[:, None, :] * high_valid
    present = torch.where(weight[:, None, :] <= 0.5, low_valid, high_valid)
    total = torch.where(present, low_weight + high_weight, 1.0)
    low_weight, high_weight = low_weight * present / total, high_weight * present / total

    low_joints = torch.from_numpy(joints[low_rows.numpy()])  # (N, M, T, V, C)
    high_joints = torch.from_numpy(joints[high_rows.numpy()])
    mixed = low_joints * low_weight[..., None, None] + high_joints * high_weight[..., None, None]
    return mixed, present
