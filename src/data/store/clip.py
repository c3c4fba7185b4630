"""A clip: the form in which every reader returns a recording.

Legend: M bodies, T frames, V joints, C coordinates.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# No joint is this far from a camera, neither in metres nor in millimetres: a larger number means damage.
FARTHEST = 1e6


@dataclass
class Clip:
    """One recording of one action.

    Attributes:
        name: unique within its data set.
        joints: (M, T, V, C) float32, zeros wherever a body is absent.
        frame_mask: (M, T) bool, whether the body is present in that frame.
        label: the class, counted from 0.
        subject, camera, setup, replication: the metadata of the recording; 0 if unknown.
        bodies_left_out: how many more bodies the recording has than a clip may have; not in a store.
    """

    name: str
    joints: NDArray[np.float32]
    frame_mask: NDArray[np.bool_]
    label: int
    subject: int = 0
    camera: int = 0
    setup: int = 0
    replication: int = 0
    bodies_left_out: int = 0
