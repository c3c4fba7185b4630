"""The first part of an exported network: from the joints of recordings of any length to clips as the model takes them.

It does in the graph what `preprocess` and the data loader do to a recording after its bodies were chosen: what is
missing is found, the clip is centred, sampled to T frames, and short gaps are filled. Masks are numbers, 0 or 1, and as
much as possible is done at once for both neighbours of a sampled frame: the cost is that of the number of operations.

Legend: N clips, M bodies, F frames of a recording, T frames after sampling, V joints, C coordinates.
"""

import torch
from torch import Tensor, nn

from ..data.loading.missing import fill_gaps
from ..data.loading.sampling import evaluation_positions
from ..settings.data import DataConfig


class ClipFront(nn.Module):
    """Find what was measured, centre each clip, sample it to T frames and fill short gaps.

    Args:
        data: the data configuration of a run: layout, sampling and gaps.
        frames: T.
        keep_gaps: keep frames without a body between others, as in clips of a known frame rate.
        centers: centre each clip, as `preprocess` does.
    """

    def __init__(self, data: DataConfig, frames: int, *, keep_gaps: bool, centers: bool = True) -> None:
        super().__init__()
        self.frames, self.keep_gaps, self.centers = frames, keep_gaps, centers
        self.sampling, self.max_gap, self.center = data.sampling, data.max_gap, data.skeleton.center

    def forward(self, joints: Tensor) -> tuple[Tensor, Tensor]:
        """Return joints (N, C, T, V, M), zeros where they are missing, and which were measured or filled, (N, M, T, V).

        Args:
            joints: (N, M, F, V, C), NaN where a joint is missing; a body is absent in a frame in which all its
                coordinates are zero or NaN.
        """
        joints, measured = measured_joints(joints)
        seen = measured.amax(dim=3)  # (N, M, F)
        second = (seen[:, 0].amax(dim=1) == 0).to(torch.int64) if joints.shape[1] > 1 else None
        frames, weight = self._frames(seen.amax(dim=1))
        sampled, there = _interpolated(joints, measured, frames, weight)
        if self.centers:
            origin = self._origins(joints, measured, seen, second)
            sampled = sampled - origin[:, None, None, None] * there[..., None]
        if second is not None:  # the first body that is present is the first actor
            sampled, there = _exchanged(sampled, second), _exchanged(there, second)
        return fill_gaps(sampled.permute(0, 4, 2, 3, 1), there > 0, self.max_gap)

    def _origins(self, joints: Tensor, measured: Tensor, seen: Tensor, second: Tensor | None) -> Tensor:
        """Return the origin of each clip (N, C), as `finish_clip` does.

        Args:
            joints, measured, seen: (N, M, F, V, C), (N, M, F, V) and (N, M, F).
            second: (N,) 1 if the first body that is present is the second one, else 0; None if there is one body.
        """
        # The first frame with the centre joint; if there is none, the first with any.
        frame = (2 * measured[..., self.center] + seen).argmax(dim=2)  # (N, M)
        row = frame if second is None else frame.gather(1, second[:, None]) + second[:, None] * seen.shape[2]  # (N, 1)
        there = _at_rows(measured.flatten(1, 2), row)[:, 0]  # (N, V)
        found = _at_rows(joints.flatten(1, 2), row)[:, 0]  # (N, V, C)
        mean = found.sum(dim=1) / there.sum(dim=1).clamp(min=1)[:, None]
        centered = there[:, self.center, None]  # (N, 1)
        return centered * found[:, self.center] + (1 - centered) * mean

    def _frames(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Return the frames before and after each sampled one, (N, 2 T), and the share of the latter, (N, T).

        Args:
            seen: (N, F) the frames with a body; the others are left out, or with `keep_gaps` those at both ends.
        """
        if self.keep_gaps:
            seen = ((seen.cumsum(1) > 0) & (seen.flip(1).cumsum(1).flip(1) > 0)).to(seen.dtype)
        numbers = torch.arange(seen.shape[1], device=seen.device)
        kept_first = (seen * seen.shape[1] - numbers).argsort(dim=1, descending=True)  # (N, F)
        length = seen.sum(dim=1).clamp(min=1)
        positions = evaluation_positions(length, self.frames, self.sampling, length)
        low = positions.floor()
        high = torch.minimum(low + 1, length[:, None] - 1)
        return kept_first.gather(1, torch.cat([low, high], dim=1).long()), positions - low


def measured_joints(joints: Tensor) -> tuple[Tensor, Tensor]:
    """Return joints (N, M, F, V, C) with zeros for NaN, and which of them were measured, (N, M, F, V), 0 or 1."""
    is_number = ~joints.sum(dim=4).isnan()  # (N, M, F, V), since NaN in one coordinate is NaN in the sum
    joints = torch.where(joints.isnan(), 0.0, joints)
    present = (joints.abs().amax(dim=(3, 4)) > 0).to(joints.dtype)  # (N, M, F)
    return joints, is_number.to(joints.dtype) * present[..., None]


def _exchanged(values: Tensor, second: Tensor) -> Tensor:
    """Exchange both bodies of values (N, 2, ...) where `second` (N,) is 1."""
    order = torch.stack([second, 1 - second], dim=1)
    return _at_rows(values, order)


def _at_rows(values: Tensor, rows: Tensor) -> Tensor:
    """Return values (N, R, ...) at rows (N, K): (N, K, ...)."""
    index = rows.reshape(rows.shape[0], -1, *(1,) * (values.dim() - 2))
    return values.gather(1, index.expand(-1, -1, *values.shape[2:]))


def _interpolated(joints: Tensor, measured: Tensor, frames: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return joints at sampled frames, interpolated where both neighbours were measured, as `read_positions` does.

    Args:
        joints, measured: (N, M, F, V, C) and (N, M, F, V).
        frames: (N, 2 T), those before and those after each sampled frame.
        weight: (N, T), the share of the latter.

    Returns:
        (N, M, T, V, C), and which of them were measured in the nearer frame, (N, M, T, V).
    """
    index = frames[:, None, :, None, None].expand(-1, joints.shape[1], -1, *joints.shape[3:])
    both, there = joints.gather(2, index), measured.gather(2, index[..., 0])  # of 2 T frames
    near = (weight <= 0.5).to(weight.dtype)
    nearest = torch.cat([near, 1 - near], dim=1)[:, None, :, None] * there
    weights = torch.cat([1 - weight, weight], dim=1)[:, None, :, None] * there
    shape = (joints.shape[0], joints.shape[1], 2, weight.shape[1], joints.shape[3])
    found = nearest.reshape(shape).sum(dim=2)  # (N, M, T, V)
    scale = found / weights.reshape(shape).sum(dim=2).clamp(min=0.25)  # at least 0.5 where the nearer one is measured
    mixed = (both * weights[..., None]).reshape(*shape, -1).sum(dim=2)
    return mixed * scale[..., None], found
