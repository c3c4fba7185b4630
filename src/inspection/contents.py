"""What a data set holds: the number of clips of each class, person and camera, and their lengths and sizes.

Legend: N clips.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks.copies import protocols_of
from .findings import Contents, Distribution
from .measured_set import MeasuredSet

_RATE_DIGITS = 2


def contents_of(measured: MeasuredSet) -> Contents:
    """Return what a set holds; clips that could not be read are in no count but that of all clips."""
    rows = measured.rows[measured.rows["is_read"]]
    usable = measured.rows[measured.is_usable]
    labels = measured.labels[measured.rows["is_read"]]
    classes = {name: int((labels == label).sum()) for label, name in enumerate(measured.classes)}
    timed = usable[usable["fps"] > 0]
    heights = usable["height"][np.isfinite(usable["height"])]
    return Contents(
        clips=len(measured),
        classes=classes if measured.has_labels else {},
        subjects=_counted(rows["subject"]),
        cameras=_counted(rows["camera"]),
        setups=_counted(rows["setup"]),
        parts={
            name: {"train": len(parts.train), "test": len(parts.test)} for name, parts in protocols_of(measured).items()
        },
        frames=_distribution(rows["frames"]),
        seconds=_distribution(timed["frames"] / timed["fps"]) if len(timed) else None,
        frame_rates={float(rate): count for rate, count in _counted(np.round(rows["fps"], _RATE_DIGITS)).items()},
        bodies={int(number): count for number, count in _counted(rows["bodies"]).items()},
        size=_distribution(heights) if len(heights) else None,
        missing=float(usable["missing"].mean()) if len(usable) else 0.0,
    )


def _counted(values: NDArray[Any]) -> dict[Any, int]:
    """Return how often each value occurs, ascending."""
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _distribution(values: NDArray[Any]) -> Distribution:
    if not len(values):
        return Distribution(0.0, 0.0, 0.0, 0.0, 0.0)
    return Distribution(*(float(each) for each in np.quantile(values, [0, 0.25, 0.5, 0.75, 1])))
