"""Temporal sampling: from clips of any length to T frames.

Legend: N clips, M bodies, T frames after sampling, V joints, C coordinates.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...settings.data import SamplingConfig
from . import counter_rng
from .placement import ClipReader
from .time_warp import warped

_CROP, _SEGMENT = 1, 2  # `purpose` in `counter_rng`
_FEWEST_APART = 3  # test draws: the centre and two parts, the first and the last


def training_positions(
    frames: Tensor, target: int, config: SamplingConfig, rng_keys: Tensor, time_warp: float = 0.0
) -> Tensor:
    """Return the fractional frame positions (N, T) at which training clips are sampled.

    `crop` reads a random contiguous part of the clip at equal steps; `uniform` reads one random frame in each of T
    equal segments (PYSKL's uniform sampling, Duan et al., ACM MM 2022).

    Args:
        frames: (N,) the clips' lengths.
        target: T.
        config: the method, and the smallest and largest share of the clip that a crop takes.
        rng_keys: (N,) the RNG keys of the clips.
        time_warp: the largest relative change of speed; see `time_warp.warped`.
    """
    if config.method == "uniform":
        inside = counter_rng.uniform(rng_keys, _SEGMENT, target)
        if time_warp > 0:
            segments = torch.arange(target, device=frames.device)
            return _whole_frames(warped((segments + inside) / target, time_warp, rng_keys) * frames[:, None], frames)
        return _segment_positions(frames, target, inside)
    random = counter_rng.uniform(rng_keys, _CROP, 2)
    share = config.shortest_crop + (config.crop_max - config.shortest_crop) * random[:, 0]
    steps = torch.linspace(0.0, 1.0, target, device=frames.device)[None, :]
    if time_warp > 0:
        steps = warped(steps, time_warp, rng_keys)
    return _crop_positions(frames, steps, share, random[:, 1])


def evaluation_positions(
    frames: Tensor, target: int, config: SamplingConfig, indices: Tensor, test_draw: int = 0, test_draws: int = 1
) -> Tensor:
    """Return the frame positions (N, T) at which clips are sampled for evaluation.

    `crop` reads the centre of the clip in test draw 0. The others of `test_draws` read parts as long as the mean part
    that training reads, with beginnings at equal distances, from the first frame to the last possible one.
    `uniform` reads the middle frame of each segment in test draw 0, and fixed random frames in the others: a function
    of the clip's index and the test draw.
    """
    if config.method == "uniform":
        if test_draw == 0:
            inside = torch.full((frames.shape[0], target), 0.5, device=frames.device)
        else:
            inside = counter_rng.uniform(counter_rng.clip_keys(0, test_draw, indices), _SEGMENT, target)
        return _segment_positions(frames, target, inside)
    length = config.test_crop if test_draw == 0 else (config.shortest_crop + config.crop_max) / 2
    start = 0.5 if test_draw == 0 or test_draws < _FEWEST_APART else (test_draw - 1) / (test_draws - 2)
    share = torch.full((frames.shape[0],), length, device=frames.device)
    steps = torch.linspace(0.0, 1.0, target, device=frames.device)[None, :]
    return _crop_positions(frames, steps, share, torch.full_like(share, start))


def _crop_positions(frames: Tensor, steps: Tensor, share: Tensor, start_fraction: Tensor) -> Tensor:
    """Return the fractions `steps` (N or 1, T) of a part of each clip.

    The part is `share` of the clip; `start_fraction` 0 is the first part of that length, 1 the last.
    """
    last = (frames - 1).to(torch.float32)
    span = share * last
    start = start_fraction * (last - span)
    return start[:, None] + span[:, None] * steps


def _segment_positions(frames: Tensor, target: int, inside: Tensor) -> Tensor:
    """Return one whole frame in each of T equal segments, at the fraction `inside` (N, T) of the segment."""
    segments = torch.arange(target, device=frames.device)[None, :]
    return _whole_frames((segments + inside) * frames[:, None] / target, frames)


def _whole_frames(positions: Tensor, frames: Tensor) -> Tensor:
    """Return the frames (N, T) in which fractional positions lie; `frames` (N,) are the clips' lengths."""
    positions = torch.floor(positions)
    return torch.minimum(positions, (frames - 1).to(positions.dtype)[:, None])


@dataclass(frozen=True)
class ClipSpans:
    """Positions of clips in a store, each (N,) int64 on the reading device.

    Attributes:
        offsets: the first row of each clip.
        frames: number of frames.
        bodies: number of bodies.
    """

    offsets: Tensor
    frames: Tensor
    bodies: Tensor

    def of(self, indices: Tensor) -> "ClipSpans":
        """Return the spans of the clips `indices`."""
        return ClipSpans(self.offsets[indices], self.frames[indices], self.bodies[indices])

    def rows(self, positions: Tensor, max_bodies: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the rows just before and just after each position, and whether the clip has the body.

        Args:
            positions: (N, T) fractional frame positions.
            max_bodies: M.

        Returns:
            (N, M, T), (N, M, T) and (N, M, 1). A body that a clip does not have gets the rows of its first body.
        """
        body = torch.arange(max_bodies, device=positions.device)[None, :, None]  # (1, M, 1)
        exists = body < self.bodies[:, None, None]
        first = self.offsets[:, None, None] + torch.where(exists, body, 0) * self.frames[:, None, None]  # (N, M, 1)
        low = positions.long()
        high = torch.minimum(low + 1, self.frames[:, None] - 1)
        return first + low[:, None, :], first + high[:, None, :], exists


def presence(clips: ClipReader, spans: ClipSpans, positions: Tensor, max_bodies: int) -> Tensor:
    """Return whether each body is present in the frame nearest to each position, (N, M, T) bool; read no joints."""
    low, high, exists = spans.rows(positions, max_bodies)
    nearest = torch.where((positions - positions.floor() <= 0.5)[:, None, :], low, high)
    return clips.present_at(nearest) & exists


def read_positions(
    clips: ClipReader, spans: ClipSpans, positions: Tensor, max_bodies: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Read clips at fractional frame positions, interpolating between frames in which a body is present.

    Args:
        clips: the reader of the store's rows.
        spans: the spans of the clips.
        positions: (N, T), in frames.
        max_bodies: M.

    Returns:
        The joints (N, M, T, V, C), zeros where a body is absent or a joint is missing; the frame mask (N, M, T),
        whether the body is present in the frame nearest to the position; and the joint mask (N, M, T, V), whether the
        joint was measured there, or None if every joint was.
    """
    low_rows, high_rows, exists = spans.rows(positions, max_bodies)
    weight = (positions - positions.floor())[:, None, :]
    low_present, high_present = clips.present_at(low_rows) & exists, clips.present_at(high_rows) & exists
    frame_mask = torch.where(weight <= 0.5, low_present, high_present)
    low_there, high_there, joint_mask = low_present, high_present, None
    low_measured, high_measured = clips.measured_at(low_rows), clips.measured_at(high_rows)
    if low_measured is not None and high_measured is not None:
        weight = weight[..., None]
        low_there, high_there = low_measured & low_present[..., None], high_measured & high_present[..., None]
        joint_mask = torch.where(weight <= 0.5, low_there, high_there)
    there = frame_mask if joint_mask is None else joint_mask
    low_weight, high_weight = (1.0 - weight) * low_there, weight * high_there
    total = torch.where(there, low_weight + high_weight, 1.0)
    low_weight, high_weight = low_weight * there / total, high_weight * there / total
    if joint_mask is None:
        low_weight, high_weight = low_weight[..., None], high_weight[..., None]
    mixed = clips.joints_at(low_rows) * low_weight[..., None]
    return mixed.addcmul_(clips.joints_at(high_rows), high_weight[..., None]), frame_mask, joint_mask
