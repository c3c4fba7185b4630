"""The last steps that every reader shares: who is there, refuse impossible numbers, centre, make the clip.

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

# Coordinates of one recording, in all of its bodies: two hours of one person at 30 frames a second. A few bytes a
# number in the file become some hundred in memory until the clip is made.
_MOST_NUMBERS = 1 << 24

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClipMetadata:
    """Metadata from a recording's name or file; see `Clip`."""

    label: int
    subject: int = 0
    camera: int = 0
    setup: int = 0
    replication: int = 0


def assemble(
    name: str,
    about: ClipMetadata,
    joints: NDArray[Any],
    source: Source,
    convert: Callable[[Floats], Floats] | None = None,
) -> Clip:
    """Clean and centre the raw joints (M, T, V, C) of a recording and return its clip.

    A body whose numbers are all zero or NaN in a frame is absent in it. That is decided here, from the numbers
    of the recording and for every format alike. Of many bodies the first ones that are ever there are kept.

    Args:
        name: the clip's name.
        about: what is known of it.
        joints: (M, T, V, C), not converted to another unit or origin.
        source: the layout that they must fit, and how many bodies to keep.
        convert: turns the numbers of the format into coordinates, joint by joint.

    Raises:
        BadClip: the array does not fit the layout, a present body has a coordinate that is no number or
            impossibly far away, or a number of `about` is too large for a store.
        DroppedClip: no body is there in any frame.
    """
    _check_numbers(name, about)
    _check_array(name, joints, source)
    valid = present(joints)
    kept = np.flatnonzero(valid.any(axis=1))[: source.bodies]
    if not len(kept):
        raise DroppedClip(name, 0, "no skeleton")
    valid, points = valid[kept], joints[kept].astype(np.float64)
    if convert is not None:
        points = convert(points)
    wrong = ~(np.abs(points) <= FARTHEST) & valid[..., None, None]
    if wrong.any():
        body, frame, joint, axis = np.argwhere(wrong)[0].tolist()
        value = points[body, frame, joint, axis]
        raise BadClip(name, 0, f"joint {joint + 1} of body {kept[body] + 1} in frame {frame + 1} is at {value}")
    centred, valid = finish_clip(points, valid, source.layout.center)
    return Clip(name=name, joints=centred, valid=valid, **asdict(about))


def _check_numbers(name: str, about: ClipMetadata) -> None:
    for what, number in asdict(about).items():
        if not 0 <= number <= LARGEST_NUMBER:
            raise BadClip(name, 0, f"its {what} is no whole number from 0 to {LARGEST_NUMBER}")


def _check_array(name: str, joints: NDArray[Any], source: Source) -> None:
    layout = source.layout
    if joints.dtype.kind not in "fiu":
        raise BadClip(name, 0, f"holds {joints.dtype} instead of numbers")
    if joints.ndim != 4 or joints.shape[2:] != (layout.num_joints, layout.coordinates):
        wanted = f"{layout.num_joints} joints of {layout.coordinates} coordinates"
        raise BadClip(name, 0, f"has the shape {joints.shape}; {layout.name} has {wanted}")
    if not joints.size:
        raise DroppedClip(name, 0, "no skeleton")
    if joints.size > _MOST_NUMBERS:
        raise BadClip(name, 0, f"has more than {_MOST_NUMBERS} coordinates, too many for one recording")
