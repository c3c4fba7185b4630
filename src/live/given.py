"""Checks of what a stream is given: frames, confidences, times and ids.

Legend: M bodies, V joints, C coordinates.
"""

import math
from collections.abc import Hashable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.store.clip import FARTHEST
from ..deploy.arrays import not_measured
from ..skeleton import Layout
from ..utils.errors import UserError
from ..utils.numbers import counted

Floats = NDArray[np.float32]


def joints_of(frame: Any, confidence: Any, layout: Layout, lowest: float) -> Floats:
    """Return the joints (M, V, C) of a frame; NaN where one is missing, and for all of a body that is absent.

    Args:
        frame: (V, C) or (M, V, C).
        confidence: (V,) or (M, V), or None.
        layout: of the joints.
        lowest: a joint with a lower confidence is missing, and one at the origin with the confidence 0.

    Raises:
        UserError: these are no such arrays of numbers, or the confidences are not from 0 to about 1.
    """
    joints = _numbers(frame, "A frame")
    joints = joints[None] if joints.ndim == 2 else joints
    if joints.ndim != 3 or joints.shape[1:] != (layout.num_joints, layout.coordinates):
        raise UserError(
            f"The frame has the shape {np.shape(frame)}; the model takes ({layout.num_joints}, "
            f"{layout.coordinates}), or that for each body: the layout {layout.name}."
        )
    joints[~(np.abs(joints) <= FARTHEST)] = np.nan
    joints[(joints == 0).all(axis=(1, 2))] = np.nan
    if confidence is not None:
        certain = _numbers(confidence, "The confidences")
        certain = certain[None] if certain.ndim == 1 else certain
        if certain.shape != joints.shape[:2]:
            raise UserError(f"The confidences have the shape {certain.shape}; the frame needs {joints.shape[:2]}.")
        joints[not_measured(joints, certain, lowest)] = np.nan
    joints[np.isnan(joints).any(axis=2)] = np.nan
    return joints.astype(np.float32)


def _numbers(values: Any, what: str) -> NDArray[np.float64]:
    try:
        array = np.array(values)
        if np.iscomplexobj(array):
            raise TypeError("it has complex numbers")
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"{what} should be an array of numbers ({error}).") from error


def time_of(timestamp: Any) -> float:
    """Return a time in seconds.

    Raises:
        UserError: it is no finite number.
    """
    if isinstance(timestamp, bool) or not isinstance(timestamp, Real) or not math.isfinite(timestamp):
        raise UserError(f"The time of a frame should be a finite number of seconds, not {timestamp!r}.")
    return float(timestamp)


def ids_of(body_id: Hashable | Sequence[Hashable], bodies: int) -> list[Hashable] | None:
    """Return who the bodies of a frame are; None if that is not said.

    Args:
        body_id: of one body, or a list or tuple of one for each; None if it is not said.
        bodies: how many there are.

    Raises:
        UserError: there are not as many different ids as bodies, or they are not of a kind that can be compared.
    """
    if body_id is None:
        return None
    given = list(body_id) if isinstance(body_id, list | tuple) else [body_id]
    if any(each is None or not isinstance(each, Hashable) for each in given):
        raise UserError(f"An id should be a text or a number, or another hashable value, not as in {body_id!r}.")
    try:
        different = len(set(given))
    except TypeError as error:  # a tuple with a list in it
        raise UserError(f"An id should be a text or a number, or another hashable value ({error}).") from error
    if len(given) != bodies or different != bodies:
        raise UserError(f"The frame has {counted(bodies, 'body')} and needs as many different ids, not {given!r}.")
    return given
