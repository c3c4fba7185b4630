"""COCO's flags of visibility, which are easily mistaken for confidences or coordinates.

Annotations of COCO have three numbers per joint: x, y and a flag, 0 for a missing joint, 1 for a hidden one and 2 for a
visible one. The reader of COCO's files knows what they mean; in other files they are recognised by their values.

Legend: M bodies, T frames, V joints, C coordinates.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import BadClip

VISIBLE = 2
OCCLUDED_CONFIDENCE = 0.5  # of a joint that was annotated though it is hidden, as that of NTU's inferred ones
_FLAGS = (0, 1, VISIBLE)
_REMEDY = "Use 1 for 2 (visible), 0.5 for 1 (hidden) and NaN for 0 (missing)"


def are_flags(values: NDArray[Any]) -> bool:
    """Tell whether numbers are flags of visibility: there is a 2, and all are 0, 1, 2 or NaN."""
    return bool((values == VISIBLE).any() and (np.isin(values, _FLAGS) | np.isnan(values)).all())


def confidence_of_flags(flags: NDArray[Any]) -> NDArray[np.float64]:
    """Return the confidences of joints, NaN for a missing one, from their flags: 0, 1, 2, or NaN as 0."""
    confidence: NDArray[np.float64] = np.array([np.nan, OCCLUDED_CONFIDENCE, 1.0])[np.nan_to_num(flags).astype(int)]
    return confidence


def refuse_flags(name: str, confidence: NDArray[Any]) -> None:
    """Refuse confidences (...) that are flags.

    Raises:
        BadClip: they are; the message says how to convert them.
    """
    if are_flags(confidence):
        raise BadClip(name, 0, f"its confidences are 0, 1 and 2, as COCO's flags of visibility. {_REMEDY}")


def refuse_flags_as_coordinates(name: str, joints: NDArray[Any]) -> None:
    """Refuse joints (M, T, V, C) whose third coordinates are flags beside two coordinates in a picture.

    Raises:
        BadClip: they are; the message says where flags belong.
    """
    if joints.shape[-1] == len("xyz") and are_flags(joints[..., 2]) and not are_flags(joints[..., :2]):
        raise BadClip(
            name,
            0,
            "the third coordinates are 0, 1 and 2, as COCO's flags of visibility. Use a layout of two coordinates, "
            f"such as coco17_2d, and give the flags as confidences. {_REMEDY}",
        )
