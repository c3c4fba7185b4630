"""Drift: each joint leaves its place slowly, by a random walk over the clip, as trackers lose and find a joint.

It is noise of low frequency, so that velocities change little; noise of every frame is `jitter_metres`, the jittering
of Um et al., ICMI 2017 (see `time_warp`). Depth cameras are off by some centimetres: Wang et al., Evaluation of Pose
Tracking Accuracy in the First and Second Generations of Microsoft Kinect, ICHI 2015.

Legend: N clips, C coordinates, T frames, V joints, M bodies, S steps of the walk.
"""

import torch
from torch import Tensor
from torch.nn import functional

from ...utils.tensor_cache import cache_tensors
from . import counter_rng

_DRIFT, _STEPS = 17, 8  # `purpose` in `counter_rng`; S


def drifting(joints: Tensor, size: float, rng_keys: Tensor) -> Tensor:
    """Return clips (N, C, T, V, M) whose joints drift, each on its own.

    Args:
        joints: in metres, 2-D poses in the unit of the picture; what is missing is masked later.
        size: the expected root mean square over the clip of the displacement along each coordinate, in the same unit.
        rng_keys: (N,) the RNG keys of the clips.
    """
    clips, coordinates, frames, number, bodies = joints.shape
    if frames < 2:
        return joints
    steps = counter_rng.normal(rng_keys, _DRIFT, coordinates * _STEPS * number * bodies)
    walks = _walks(frames, joints.device).to(joints.dtype)  # (T, S)
    moved = torch.einsum("ts,ncsp->nctp", walks, steps.view(clips, coordinates, _STEPS, -1))
    return joints + size * moved.view(joints.shape)


@cache_tensors(64)
def _walks(frames: int, device: torch.device) -> Tensor:
    """Return the displacement in each frame that one unit of each step causes, (T, S).

    The walk is linear between its steps and has the mean zero over the clip; its expected mean square is 1.
    """
    corners = torch.tril(torch.ones(_STEPS + 1, _STEPS, dtype=torch.float64), diagonal=-1)  # (S + 1, S)
    walks = functional.interpolate(corners.t()[None], size=frames, mode="linear", align_corners=True)[0].t()
    walks = walks - walks.mean(dim=0)
    return (walks * (frames / walks.square().sum()).sqrt()).float().to(device)
