"""Who is who in a stream that does not say: each body is the one that was nearest before.

Legend: M bodies of a frame, V joints, C coordinates.
"""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def position_of(joints: Floats, center: int) -> NDArray[np.float64]:
    """Return where a body (V, C) is: its central joint, or the mean of its joints where that is missing."""
    if not np.isnan(joints[center]).any():
        return np.asarray(joints[center], np.float64)
    measured = joints[~np.isnan(joints).any(axis=1)].astype(np.float64)
    mean: NDArray[np.float64] = measured.mean(axis=0) if len(measured) else np.full(joints.shape[1], np.nan)
    return mean


def size_of(joints: Floats) -> float:
    """Return the largest extent of the measured joints of a body (V, C) along an axis, 0 without any."""
    measured = joints[~np.isnan(joints).any(axis=1)]
    return float((measured.max(axis=0) - measured.min(axis=0)).max()) if len(measured) else 0.0


def assign(
    positions: Sequence[NDArray[np.float64]],
    limits: Sequence[float],
    known: Mapping[Hashable, NDArray[np.float64]],
    known_limits: Mapping[Hashable, float] | None = None,
) -> list[Hashable | None]:
    """Return, for each body of a frame, the known body that it is; None for a new one.

    The nearest pair is assigned first, then the nearest of the others, as long as the distance is within the limit.

    Args:
        positions: of the bodies of the frame, (C,) each.
        limits: the largest distance of each.
        known: the last positions of the known bodies.
        known_limits: their largest distances, which count where they are larger, as for a body that is seen in part.
    """
    found: list[Hashable | None] = [None] * len(positions)
    names = list(known)
    pairs = [
        (float(np.linalg.norm(position - known[name])), body, name)
        for body, position in enumerate(positions)
        for name in names
    ]
    for distance, body, name in sorted(pairs, key=lambda each: each[0]):
        if distance > max(limits[body], (known_limits or {}).get(name, 0.0)):
            continue
        if found[body] is None and name not in found:
            found[body] = name
    return found


def mutual_pairs(
    positions: Mapping[Hashable, NDArray[np.float64]], limits: Mapping[Hashable, float]
) -> dict[Hashable, Hashable]:
    """Return the partner of each body that is another one's nearest and has it as its own nearest.

    Args:
        positions: of the bodies, (C,) each.
        limits: the largest distance of a partner of each.
    """
    nearest: dict[Hashable, Hashable] = {}
    for body, position in positions.items():
        distances = {other: float(np.linalg.norm(position - at)) for other, at in positions.items() if other != body}
        within = {other: distance for other, distance in distances.items() if distance <= limits[body]}
        if within:
            nearest[body] = min(within, key=lambda other: within[other])
    return {body: other for body, other in nearest.items() if nearest.get(other) == body}
