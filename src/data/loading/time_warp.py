"""Time warping: the speed of a clip varies, within the part of it that is read.

After the time warping of Um et al., Data Augmentation of Wearable Sensor Data for Parkinson's Disease Monitoring using
Convolutional Neural Networks, ICMI 2017, with speeds that are constant in each quarter.

Legend: N clips, T frames after sampling, S segments of equal length.
"""

from torch import Tensor

from . import counter_rng

_WARP, _SEGMENTS = 3, 4  # `purpose` in `counter_rng`; S


def warped(fractions: Tensor, strength: float, rng_keys: Tensor) -> Tensor:
    """Return fractions of a clip's part at which frames are read, with speeds that vary; 0 stays 0 and 1 stays 1.

    Each quarter of the result has a speed of its own, in proportion to a number from 1 - strength to 1 + strength.

    Args:
        fractions: (N or 1, T) from 0 to 1, ascending.
        strength: the largest relative change of speed, below 1.
        rng_keys: (N,) the RNG keys of the clips.
    """
    speeds = 1 + strength * (2 * counter_rng.uniform(rng_keys, _WARP, _SEGMENTS) - 1)  # (N, S)
    lengths = speeds / speeds.sum(dim=1, keepdim=True)
    ends = lengths.cumsum(dim=1)
    at = fractions.expand(len(rng_keys), -1) * _SEGMENTS  # (N, T)
    segment = at.floor().clamp(max=_SEGMENTS - 1).long()
    length, end = (each.gather(1, segment) for each in (lengths, ends))
    return (end - length * (segment + 1 - at)).clamp(0.0, 1.0)
