"""The last steps of every reader: find the bodies, refuse impossible coordinates, centre, and build the clip.

Legend: M bodies, T frames, V joints, C coordinates.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...store.clip import FARTHEST, Clip
from ...store.format import LARGEST_NUMBER
from ..clean import finish_clip, present
from .base import BadClip, DroppedClip, Source

# Coordinates of one recording over all bodies: two hours of one person at 30 frames per second. A number of a few bytes
# in the file takes about a hundred bytes of memory until the clip is built.
_MAX_COORDINATES = 1 << 24

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClipMetadata:
    """Metadata from a recording's name or file; see `Clip`."""

    label: int
    subject: int = 0
    camera: int = 0
    setup: int = 0
    replication: int = 0


def build_clip(
    name: str,
    metadata: ClipMetadata,
    joints: NDArray[Any],
    source: Source,
    convert: Callable[[Floats], Floats] | None = None,
) -> Clip:
    """Clean and centre the raw joints (M, T, V, C) of a recording and return its clip.

    A body whose coordinates are all zero or NaN in a frame is absent from it. This is decided here, from the recorded
    numbers, in the same way for every format. If there are too many bodies, the first ones with any frame are kept, and
    the clip says how many are not. Joints of another layout are mapped before the clip is centred.

    Args:
        name: the clip's name.
        metadata: its label and what is known about the recording.
        joints: (M, T, V, C) as recorded, in their own unit and with their own origin.
        source: the layout that they have to fit, and how many bodies to keep.
        convert: converts the numbers of the format to coordinates, joint by joint; None if they are coordinates.

    Raises:
        BadClip: the array does not fit the layout, a coordinate of a present body is not a number or is
            impossibly large, or a number in `metadata` is too large for a store.
        DroppedClip: no body is present in any frame.
    """
    _check_numbers(name, metadata)
    _check_array(name, joints, source)
    frame_mask = present(joints)
    found = np.flatnonzero(frame_mask.any(axis=1))
    kept = found[: source.bodies]
    if not len(kept):
        raise DroppedClip(name, 0, "no skeleton")
    frame_mask, points = frame_mask[kept], joints[kept].astype(np.float64)
    if convert is not None:
        points = convert(points)
    wrong = ~(np.abs(points) <= FARTHEST) & frame_mask[..., None, None]
    if wrong.any():
        body, frame, joint, axis = np.argwhere(wrong)[0].tolist()
        value = points[body, frame, joint, axis]
        raise BadClip(name, 0, f"joint {joint + 1} of body {kept[body] + 1} in frame {frame + 1} is at {value}")
    if source.joint_map is not None:
        points = source.joint_map(points)
        frame_mask &= ~np.isnan(points).all(axis=(2, 3))
        if not frame_mask.any():
            raise DroppedClip(name, 0, f"no joint of {source.joint_map.target.name}")
    centred, frame_mask = finish_clip(points, frame_mask, source.center)
    left_out = len(found) - len(kept)
    return Clip(name=name, joints=centred, frame_mask=frame_mask, bodies_left_out=left_out, **asdict(metadata))


def _check_numbers(name: str, metadata: ClipMetadata) -> None:
    for what, number in asdict(metadata).items():
        if not 0 <= number <= LARGEST_NUMBER:
            raise BadClip(name, 0, f"its {what} is not a whole number from 0 to {LARGEST_NUMBER}")


def _check_array(name: str, joints: NDArray[Any], source: Source) -> None:
    layout = source.layout
    if joints.dtype.kind not in "fiu":
        raise BadClip(name, 0, f"holds {joints.dtype} instead of numbers")
    if joints.ndim != 4 or joints.shape[2:] != (layout.num_joints, layout.coordinates):
        wanted = f"{layout.num_joints} joints of {layout.coordinates} coordinates"
        raise BadClip(name, 0, f"has the shape {joints.shape}; {layout.name} has {wanted}")
    if not joints.size:
        raise DroppedClip(name, 0, "no skeleton")
    if joints.size > _MAX_COORDINATES:
        raise BadClip(name, 0, f"has more than {_MAX_COORDINATES} coordinates, too many for one recording")
