"""Masked crops: a part of a clip stays, and the frames before and after it are missing instead of being cut off.

The frames that stay keep their place in time, so a model sees an action begin late or end early, as in a stream of
frames. A crop in the manner of Random Erasing (Zhong et al., AAAI 2020), which hides a region and keeps the size.

Legend: N clips, T frames.
"""

import torch
from torch import Tensor

from . import counter_rng

_CROP = 26  # `purpose` in `counter_rng`


def frames_that_stay(share: Tensor, frames: int, rng_keys: Tensor) -> Tensor:
    """Return which frames of clips stay, (N, T) bool: all but `share` of them, and at least one.

    Args:
        share: (N,) from 0 to 1, of the frames that are missing; they are divided between beginning and end at random.
        frames: T.
        rng_keys: (N,) the RNG keys of the clips.
    """
    missing = (share * frames).floor().clamp(max=frames - 1)  # (N,)
    before = (counter_rng.uniform(rng_keys, _CROP, 1)[:, 0] * (missing + 1)).floor()
    numbers = torch.arange(frames, device=rng_keys.device)
    return (numbers >= before[:, None]) & (numbers < (before + frames - missing)[:, None])
