"""Where a body is up, where it faces, and whether its front agrees with its left and right.

In right-handed axes, up x right is forward. A nose, feet and bent knees also show where forward is. If they say the
opposite, the clip is mirrored, or the names of left and right are exchanged.

Legend: T frames, V joints, C coordinates.
"""

import numpy as np
from numpy.typing import NDArray

from .anatomy import Anatomy

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]


def measure_directions(points: Floats, seen: Bools, scale: float, anatomy: Anatomy, row: np.void) -> None:
    """Measure the directions of one body, points (T, V, C), seen (T, V), and write them into the row of its clip.

    `up` is the mean direction from hips to shoulders, `facing` the mean direction forward, both of length 1, and
    `front` how far the joints of the front are forward, in mean bone lengths: negative if they are behind.
    """
    if not anatomy.is_upright:
        return
    assert anatomy.hips is not None and anatomy.shoulders is not None
    trunk = [*anatomy.hips, *anatomy.shoulders]
    middle = points[:, trunk[:2]].sum(axis=1) - points[:, trunk[2:]].sum(axis=1)
    whole = seen[:, trunk].all(axis=1) & middle.any(axis=1)  # joints that are all at one point have no direction
    if not whole.any():
        return
    points, seen = points[whole], seen[whole]
    left_hip, right_hip, left_shoulder, right_shoulder = (points[:, joint] for joint in trunk)
    up = _unit(left_shoulder + right_shoulder - left_hip - right_hip)  # (T, C)
    row["up"] = _unit(up.mean(axis=0))
    if anatomy.flat:
        return
    right = right_hip - left_hip + right_shoulder - left_shoulder
    forward = _unit(np.cross(up, right))
    row["facing"] = _unit(forward.mean(axis=0))
    amounts = [(points[:, front] - points[:, back], seen[:, front] & seen[:, back]) for back, front in anatomy.forward]
    for hip, knee, end in anatomy.knees:
        bend = points[:, knee] - (points[:, hip] + points[:, end]) / 2
        amounts.append((bend, np.asarray(seen[:, [hip, knee, end]].all(axis=1))))
    found = [(vector * forward).sum(axis=1)[mask] / scale for vector, mask in amounts if mask.any()]
    if found:
        row["front"] = sum(float(np.median(each)) for each in found)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))
