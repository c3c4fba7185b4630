"""The last steps that every reader shares: refuse impossible numbers, centre, put the clip together.

Legend: M bodies, T frames, V joints, C coordinates.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...skeleton import Layout
from ..clean import finish_clip
from ..clip import Clip
from .base import BadClip, DroppedClip

# In metres or in millimetres, no camera sees a joint as far away as this: a larger number is damage.
FARTHEST = 1e6

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class About:
    """What a recording's name or file says about it; see `Clip`."""

    label: int
    subject: int = 0
    camera: int = 0
    setup: int = 0
    replication: int = 0


def check_shape(name: str, joints: NDArray[np.generic], layout: Layout) -> None:
    """Refuse an array (M, T, V, C) whose V and C are not the layout's.

    Raises:
        BadClip: they differ.
    """
    if joints.ndim != 4 or joints.shape[2:] != (layout.num_joints, layout.coordinates):
        wanted = f"{layout.num_joints} joints of {layout.coordinates} coordinates"
        raise BadClip(name, 0, f"has the shape {joints.shape}; {layout.name} has {wanted}")


def keep_bodies(joints: NDArray[Any], limit: int) -> tuple[Floats, Mask]:
    """Keep the first `limit` bodies of joints (M, T, V, C) that are ever there.

    A body whose numbers are all zero, or all NaN, in a frame is absent in it.

    Returns:
        joints (M, T, V, C) and valid (M, T).
    """
    valid = ~((joints == 0) | np.isnan(joints)).all(axis=(2, 3))
    kept = np.flatnonzero(valid.any(axis=1))[:limit]
    return joints[kept].astype(np.float64), valid[kept]


def assemble(name: str, about: About, joints: Floats, valid: Mask, layout: Layout) -> Clip:
    """Return the finished clip of joints (M, T, V, C) and valid (M, T).

    Raises:
        BadClip: a present body has a coordinate that is no number or impossibly far away.
        DroppedClip: no body is there in any frame.
    """
    if not valid.any():
        raise DroppedClip(name, 0, "no skeleton")
    wrong = ~(np.abs(joints) <= FARTHEST) & valid[..., None, None]
    if wrong.any():
        body, frame, joint, axis = np.argwhere(wrong)[0].tolist()
        value = joints[body, frame, joint, axis]
        raise BadClip(name, 0, f"joint {joint + 1} of body {body + 1} in frame {frame + 1} is at {value}")
    centred, kept = finish_clip(joints, valid, layout.center)
    return Clip(name=name, joints=centred, valid=kept, **asdict(about))
