"""Recordings as the input of an exported file; nothing here needs torch.

Legend: M bodies, F frames, V joints, C coordinates.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.loading.confidences import lowest_measured
from ..data.store.clip import Clip
from ..utils.errors import UserError
from .contract import Floats

LARGEST_SCORE = 10.0  # of pose estimators whose scores are not limited to 1, as where recordings are read


def array_of_clip(clip: Clip, bodies: int, min_confidence: float = 0.0) -> Floats:
    """Return the joints (1, M, F, V, C) of a clip, NaN where a joint is missing or a body absent.

    Args:
        clip: one of a store or of a reader.
        bodies: M; further bodies of the clip are left out.
        min_confidence: from 0 to 1; joints of a lower one are missing.
    """
    measured = clip.joint_mask if clip.confidence is None else clip.confidence >= lowest_measured(min_confidence)
    return with_bodies(np.where(measured[..., None], clip.joints, np.nan), bodies)


def with_bodies(joints: NDArray[Any], bodies: int) -> Floats:
    """Return joints (M', F, V, C) as (1, M, F, V, C), with the first M bodies, or with more that are absent."""
    kept = joints[:bodies].astype(np.float32)
    absent = np.full((bodies - len(kept), *kept.shape[1:]), np.nan, np.float32)
    return np.concatenate([kept, absent])[None]


def not_measured(joints: NDArray[Any], confidence: NDArray[Any], lowest: float) -> NDArray[np.bool_]:
    """Return which joints (..., V, C) their confidences (..., V) declare missing, as a reader of recordings does.

    These are joints with a confidence of NaN or below `lowest`, and those at the origin with a confidence of 0, which
    pose estimators write for a joint that they did not find.

    Raises:
        UserError: the confidences are not from 0 to about 1.
    """
    if (confidence > LARGEST_SCORE).any() or (confidence < 0).any():
        raise UserError(
            f"The confidences are from {np.nanmin(confidence):g} to {np.nanmax(confidence):g}; they should be 0 to 1 "
            "(percentages divided by 100)."
        )
    missing: NDArray[np.bool_] = ~(confidence >= lowest) | ((confidence == 0) & (joints == 0).all(axis=-1))
    return missing
