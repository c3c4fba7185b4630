"""What happens to recordings outside of a laboratory, done to tested clips: noise, another camera, fewer frames.

Missing joints, hidden limbs and lost frames are in `drop`. All of it is the same in every test.

Legend: N clips, M bodies, C coordinates, T frames, V joints, R rows of a store.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...skeleton import Layout
from ..store.format import Rows, StoreMetadata
from ..store.reader import Store
from . import counter_rng
from .loader import Batch
from .placement import ClipReader
from .streams import by_joint
from .views import turned

_SIDE, _NOISE = 31, 32  # purposes of random numbers


@dataclass(frozen=True)
class Disturbance:
    """Noise and another camera, as a function of the clips' RNG keys.

    Attributes:
        layout: the joint layout.
        jitter: the standard deviation of the noise of each coordinate, as a share of the clip's `body_size`.
        turn: degrees by which the camera is moved around the people, to the left or to the right, drawn for each clip.
    """

    layout: Layout
    jitter: float = 0.0
    turn: float = 0.0

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch with disturbed joints, (N, C, T, V, M)."""
        joints = batch.joints
        if self.turn:
            left = counter_rng.uniform(batch.rng_keys, _SIDE, 1)[:, 0] < 1 / 2
            joints = turned(joints, torch.where(left, self.turn, -self.turn), self.layout)
        if self.jitter:
            noise = counter_rng.normal(batch.rng_keys, _NOISE, joints[0].numel()).view(joints.shape)
            there = by_joint(batch.mask)
            size = body_size(joints, batch.mask)[:, None, None, None, None]
            joints = torch.where(there, joints + self.jitter * size * noise, joints)
        return replace(batch, joints=joints)


def body_size(joints: Tensor, mask: Tensor) -> Tensor:
    """Return the root mean square distance (N,) of the joints from the middle of their body, about 0.5 m of an adult.

    Args:
        joints: (N, C, T, V, M).
        mask: (N, M, T, V) or (N, M, T, 1) bool, what was measured.
    """
    there = by_joint(mask).expand(-1, 1, -1, joints.shape[3], -1)  # (N, 1, T, V, M)
    count = there.sum(dim=3, keepdim=True).clamp(min=1)
    middle = (joints * there).sum(dim=3, keepdim=True) / count
    squares = ((joints - middle) ** 2).sum(dim=1, keepdim=True) * there
    size: Tensor = (squares.sum(dim=(1, 2, 3, 4)) / there.sum(dim=(1, 2, 3, 4)).clamp(min=1)).sqrt()
    return size


class ThinnedReader:
    """A reader of some rows of another reader; see `ClipReader`.

    Args:
        reader: the other one.
        rows: (R',) the row there of each row here.
    """

    def __init__(self, reader: ClipReader, rows: Tensor) -> None:
        self.device, self.has_empty_frames = reader.device, reader.has_empty_frames
        self.origin_rows, own = reader.origin_rows, reader.origin_rows
        if own is not None:  # the joints that become the origin stay those of the whole clip, in rows at the end
            self.origin_rows = torch.where(own < 0, own, torch.arange(len(own), device=own.device) + len(rows))
            rows = torch.cat([rows, own.clamp(min=0)])
        self._reader, self._rows = reader, rows
        self.present = reader.present[rows]

    def joints_at(self, rows: Tensor) -> Tensor:
        """Return the joints (..., V, C) of `rows` (...)."""
        return self._reader.joints_at(self._rows[rows])

    def present_at(self, rows: Tensor) -> Tensor:
        """Return whether the body is present in `rows` (...), bool."""
        return self._reader.present_at(self._rows[rows])

    def measured_at(self, rows: Tensor) -> Tensor | None:
        """Return which joints were measured in `rows` (...), (..., V) bool; None if every joint of every body was."""
        return self._reader.measured_at(self._rows[rows])


def thinned(store: Store, reader: ClipReader, step: int) -> tuple[Store, ThinnedReader]:
    """Return a store, and its reader, as if only every `step`-th frame had been recorded, beginning with the first.

    The store has an index of its own and the files of the other one; it is for this process alone.
    """
    clips = np.array(store.clips)
    frames, bodies = clips["frames"].astype(np.int64), clips["bodies"].astype(np.int64)
    left = -(-frames // step)
    first = np.cumsum(left * bodies) - left * bodies
    rows = _rows(clips["offset"].astype(np.int64), frames, left, bodies, step)
    clips["offset"], clips["frames"] = first, left
    metadata = StoreMetadata(store.name, store.skeleton, store.classes, store.source, recordings=store.recordings)
    view = Store(store.path, metadata, Rows(clips, store.joints, store.valid, store.confidence))
    return view, ThinnedReader(reader, torch.from_numpy(rows).to(reader.device))


def _rows(
    offsets: NDArray[np.int64], frames: NDArray[np.int64], left: NDArray[np.int64], bodies: NDArray[np.int64], step: int
) -> NDArray[np.int64]:
    """Return the rows that remain, clip by clip and body by body."""
    tracks = np.repeat(np.arange(len(frames)), bodies)  # one for each body of each clip
    body = np.arange(len(tracks)) - np.repeat(np.cumsum(bodies) - bodies, bodies)
    starts = offsets[tracks] + body * frames[tracks]
    lengths = left[tracks]
    inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    rows: NDArray[np.int64] = np.repeat(starts, lengths) + step * inside
    return rows
