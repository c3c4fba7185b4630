"""Which clips of a store are parts of the same recording."""

import numpy as np
from numpy.typing import NDArray

RECORDING = "recording"  # a column of the index in memory, if the source has recordings longer than a clip


def recordings_of(clips: NDArray[np.void]) -> NDArray[np.int64]:
    """Return the number of each clip's recording, (N,): clips with the same number must be in the same part of a split.

    Without long recordings every clip is one of its own.

    Args:
        clips: the index of a store.
    """
    if RECORDING in (clips.dtype.names or ()):
        return np.asarray(clips[RECORDING], np.int64)
    return np.arange(len(clips))
