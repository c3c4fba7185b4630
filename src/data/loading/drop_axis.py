"""One coordinate of a clip set to zero, so that a model also recognises an action from the others.

Clips lose an axis with a probability of 0.5 in SkateFormer (Do and Kim, ECCV 2024).
"""

import torch
from torch import Tensor

from . import counter_rng

_AXIS = 16  # `purpose` in `counter_rng`


def without_axis(joints: Tensor, probability: float, rng_keys: Tensor) -> Tensor:
    """Return clips, some of them with zeros in one coordinate, of all frames, joints and bodies.

    It follows scaling, which would map the zeros to another constant.

    Args:
        joints: (N, C, T, V, M).
        probability: that a clip loses a coordinate, each equally often.
        rng_keys: (N,) the RNG keys of the clips.
    """
    draws = counter_rng.uniform(rng_keys, _AXIS, 2)  # whether, and which
    axes = torch.arange(joints.shape[1], device=joints.device)
    dropped = (draws[:, :1] < probability) & ((draws[:, 1:] * joints.shape[1]).long() == axes)  # (N, C)
    return joints.masked_fill(dropped[:, :, None, None, None], 0.0)
