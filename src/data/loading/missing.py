"""Missing joints: interpolation of short gaps, and what of a clip was measured.

A joint is missing in a frame if the recording lacks it or its confidence is below `data.min_confidence`. After clips
are sampled to T frames, training, evaluation and exported files treat missing joints alike:

1. A gap of at most `data.max_gap` frames of one joint is interpolated linearly, unless the body is absent within it.
2. A joint that is still missing has no part in facing the camera, in scaling and in the statistics of the input
   BatchNorms. It is zero in the joint stream, its velocity is zero where it is missing in either frame, and a bone is
   zero where either end is missing.

A frame in which no joint of a body was measured is a frame without this body.

Legend: N clips, M bodies, C coordinates, T frames, V joints.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .drop import JointDropper


@dataclass(frozen=True)
class MissingJoints:
    """What happens to missing joints of sampled clips.

    Attributes:
        max_gap: the longest gap, in frames, that is interpolated.
        dropper: drops further joints; None if no more are to be missing.
    """

    max_gap: int = 0
    dropper: JointDropper | None = None

    def __call__(
        self,
        joints: Tensor,
        frame_mask: Tensor,
        joint_mask: Tensor | None,
        rng_keys: Tensor,
        strength: float = 1.0,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return joints, frame mask and joint mask of a batch after dropping joints and filling gaps.

        Args:
            joints: (N, C, T, V, M).
            frame_mask: (N, M, T) bool, in which frames each body is present.
            joint_mask: (N, M, T, V) bool, which joints were measured; None if no joint of a present body is missing.
            rng_keys: (N,) the RNG keys of the clips.
            strength: of augmentation, from 0 to 1: what the shares of dropped joints are multiplied by.
        """
        drops = self.dropper is not None and self.dropper.drops
        if joint_mask is None and not drops:
            return joints, frame_mask, None
        if joint_mask is None:
            joint_mask = frame_mask[..., None].expand(*frame_mask.shape, joints.shape[3])
        if self.dropper is not None:
            joint_mask = self.dropper.at(strength)(joint_mask, rng_keys)
        joints, joint_mask = fill_gaps(joints, joint_mask, self.max_gap)
        return joints, joint_mask.any(dim=3), joint_mask


def fill_gaps(joints: Tensor, joint_mask: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Interpolate missing joints in time over gaps of at most `longest` frames.

    It consists of operations that exported files support as well.

    Args:
        joints: (N, C, T, V, M), finite everywhere.
        joint_mask: (N, M, T, V) bool, which joints were measured.
        longest: the length of the longest gap that is filled; 0 fills none.

    Returns:
        The joints, zeros where they are missing, and the mask (N, M, T, V) of those measured or filled.
    """
    by_frame = joints.permute(0, 4, 1, 2, 3)  # (N, M, C, T, V)
    if longest:
        before, after, filled = _neighbours(joint_mask, longest)
        weight = (_frame_numbers(joint_mask) - before) / (after - before).clamp(min=1)  # (N, M, T, V)
        earlier, later = (
            by_frame.gather(3, (each - 1).clamp(0, by_frame.shape[3] - 1).long()[:, :, None].expand(by_frame.shape))
            for each in (before, after)
        )
        interpolated = earlier + weight.to(joints.dtype)[:, :, None] * (later - earlier)
        by_frame = torch.where(filled[:, :, None], interpolated, by_frame)
        joint_mask = joint_mask | filled
    by_frame = torch.where(joint_mask[:, :, None], by_frame, 0.0)
    return by_frame.permute(0, 2, 3, 4, 1), joint_mask


def _neighbours(joint_mask: Tensor, longest: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the measured frames before and after each gap, and where the gap between them may be filled.

    Frame numbers count from 1; all are (N, M, T, V), the first two float32.
    """
    frames = joint_mask.shape[2]
    numbers = _frame_numbers(joint_mask)
    from_end = frames + 1 - numbers
    before = _highest_before(torch.where(joint_mask, numbers, 0.0), longest)
    after = frames + 1 - _highest_after(torch.where(joint_mask, from_end, 0.0), longest)
    absent = ~joint_mask.any(dim=3, keepdim=True)  # (N, M, T, 1)
    absent_before = _highest_before(torch.where(absent, numbers, 0.0), longest)
    absent_after = frames + 1 - _highest_after(torch.where(absent, from_end, 0.0), longest)
    reachable = (before > absent_before) & (after < absent_after)
    return before, after, ~joint_mask & reachable & (after - before <= longest + 1)


def _frame_numbers(joint_mask: Tensor) -> Tensor:
    """Return the frame numbers (1, 1, T, 1), counted from 1."""
    frames = joint_mask.shape[2]
    return torch.arange(1, frames + 1, device=joint_mask.device, dtype=torch.float32)[None, None, :, None]


def _highest_before(values: Tensor, reach: int) -> Tensor:
    """Return the maximum of each frame and the `reach` frames before it, (N, M, T, V) -> (N, M, T, V)."""
    padded = functional.pad(values, (0, 0, reach, 0))
    return functional.max_pool2d(padded, kernel_size=(reach + 1, 1), stride=1)


def _highest_after(values: Tensor, reach: int) -> Tensor:
    """Return the maximum of each frame and the `reach` frames after it, (N, M, T, V) -> (N, M, T, V)."""
    padded = functional.pad(values, (0, 0, 0, reach))
    return functional.max_pool2d(padded, kernel_size=(reach + 1, 1), stride=1)
