"""Twice as many channels for each input stream, derived from the three streams themselves.

They are those of the input branches of EfficientGCN (Song et al., TPAMI 2022, arXiv:2106.15125), except that a bone's
angles are given by their cosines, which are its direction (the slope of arccos is unbounded at 1 and -1, where a bone
follows an axis), and that a joint that is missing has zeros in all channels.

Legend: B folded bodies, C coordinates, T frames, V joints.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..skeleton import Layout
from .multi_body import STREAMS

SHORT_SQUARED = 1e-6  # bones of about a millimetre (1e-3 of the data's unit) and less have no clear direction


class WideStreams(nn.Module):
    """Add C channels to the C of each stream.

    - `joint`: the position relative to the centre joint of the same body in the same frame. Where the centre joint is
      missing, the position itself, which is relative to the centre joint at the clip's beginning.
    - `velocity`: `x[t + 2] - x[t]`; zero in the last two frames and where the joint is missing in either frame.
    - `bone`: its direction, a vector of length one; zero at the root and where either end is missing.

    What is missing is inferred from the streams, in training too, because evaluation has no masks: a joint was measured
    in a frame if it is not at the origin, if it moves, or if a bone at it is not zero.
    """

    parent_of: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.center = layout.center
        parent_of = functional.one_hot(torch.tensor(layout.parents), layout.num_joints).float()
        self.register_buffer("parent_of", parent_of, persistent=False)  # (V, V), 1 at each joint's parent

    def forward(
        self, streams: Mapping[str, Tensor], masks: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the wide streams, each (B, 2 C, T, V), and the positions that their statistics are taken from.

        Args:
            streams: `joint`, `velocity` and `bone`, each (B, C, T, V), zero where they were not measured.
            masks: (B, T, V) bool for each stream, see `stream_masks`; empty if no joint is missing.
        """
        joint, velocity, bone = (streams[name] for name in STREAMS)
        measured = self.measured(joint, velocity, bone)[:, None].to(joint.dtype)  # (B, 1, T, V)
        relative = (joint - joint[..., self.center, None]) * measured
        skipping = (two_later(joint) - joint) * (two_later(measured) * measured)
        added = (relative, skipping, direction(bone))
        wide = {name: torch.cat([streams[name], each], dim=1) for name, each in zip(STREAMS, added, strict=True)}
        if not masks:
            return wide, {}
        both = masks["joint"].clone()
        both[:, :-2] &= masks["joint"][:, 2:]
        return wide, {**masks, "velocity": masks["velocity"] & both}

    def measured(self, joint: Tensor, velocity: Tensor, bone: Tensor) -> Tensor:
        """Return which joints were measured, (B, T, V) bool, from the streams (B, C, T, V)."""
        there, moves, linked = ((stream != 0).any(dim=1) for stream in (joint, velocity, bone))
        moved = functional.pad(moves, (0, 0, 1, 0))[:, :-1]  # from the frame before
        has_child = linked.to(self.parent_of.dtype) @ self.parent_of > 0
        return there | moves | moved | linked | has_child


def direction(bone: Tensor) -> Tensor:
    """Return bones (B, C, ...) with the length one; those of a length near zero become zero."""
    return bone * torch.rsqrt(bone.square().sum(dim=1, keepdim=True) + SHORT_SQUARED)


def two_later(x: Tensor, dim: int = 2) -> Tensor:
    """Return `x` two frames later along `dim`, the axis before the last or the last; zero in the last two frames."""
    frames = x.shape[dim]
    later = x.narrow(dim, min(2, frames), max(0, frames - 2))
    after = (0, min(2, frames)) if dim == x.dim() - 1 else (0, 0, 0, min(2, frames))
    return functional.pad(later, after)
