"""A clip: the form in which every reader returns a recording.

Legend: M bodies, T frames, V joints, C coordinates.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# No joint is this far from a camera, neither in metres nor in millimetres: a larger number means damage.
FARTHEST = 1e6


# A confidence is stored in one byte: 0 for a missing joint, 1 to 255 for 0 to 1.
MISSING, FULL = 0, 255


def confidence_bytes(confidence: NDArray[Any]) -> NDArray[np.uint8]:
    """Return confidences from 0 to 1 as they are stored; NaN for a missing joint."""
    missing = np.isnan(confidence)
    return np.where(missing, MISSING, 1 + np.round((FULL - 1) * np.where(missing, 0.0, confidence))).astype(np.uint8)


@dataclass(frozen=True)
class ClipMetadata:
    """Metadata from a recording's name or file; see `Clip`."""

    label: int
    subject: int = 0
    camera: int = 0
    setup: int = 0
    replication: int = 0


@dataclass(frozen=True, eq=False)
class Timeline:
    """Which frames of its recording a clip has, since frames without a body may have been left out.

    Attributes:
        numbers: (T,) ascending, the number of each frame among those of the recording, at the clip's frame rate.
        frames: how many the recording has.
        recorded: (F,) where each frame of the file lies on that scale; None if it is the same one.
    """

    numbers: NDArray[np.int64]
    frames: int
    recorded: NDArray[np.float64] | None = None


@dataclass
class Clip:
    """One recording of one action.

    Attributes:
        name: unique within its data set.
        joints: (M, T, V, C) float32, zeros wherever a body is absent or a joint is missing.
        frame_mask: (M, T) bool, whether the body is present in that frame.
        label: the class, counted from 0.
        subject, camera, setup, replication: the metadata of the recording; 0 if unknown.
        fps: frames per second; 0 if unknown.
        confidence: (M, T, V) uint8 as in a store: 0 where a joint is missing, else 1 to 255 for a confidence of 0 to 1;
            None if every joint of a present body was measured with full confidence.
        retimed: how its frames differ from those of the recording, such as `2 gaps`; not in a store.
        bodies_left_out: how many more bodies the recording has than a clip may have; not in a store.
        timeline: which frames of the recording it has; None if these are all; not in a store.
    """

    name: str
    joints: NDArray[np.float32]
    frame_mask: NDArray[np.bool_]
    label: int
    subject: int = 0
    camera: int = 0
    setup: int = 0
    replication: int = 0
    fps: float = 0.0
    confidence: NDArray[np.uint8] | None = None
    retimed: str = ""
    bodies_left_out: int = 0
    timeline: Timeline | None = None

    @property
    def joint_mask(self) -> NDArray[np.bool_]:
        """Return which joints were measured, (M, T, V) bool, whatever their confidence."""
        if self.confidence is None:
            return np.broadcast_to(self.frame_mask[..., None], self.joints.shape[:3])
        return np.asarray(self.confidence > MISSING)
