"""Which bodies of a clip of two a training sees, and which of them is the first.

Nothing but the order in which a tracker found two people tells them apart, yet the first one defines the origin of a
clip and, with `face_camera`, its direction. So their order can be exchanged, together with the origin (after the entity
rearrangement of Wen et al., Interactive Spatiotemporal Token Attention Network, IROS 2023), and one of them can be
absent, as where a tracker loses a person (without a source known to us).

Legend: N clips, C coordinates, T frames, V joints, M bodies, R rows of the store.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...settings.data import AugmentConfig
from ..store.reader import Store
from ..store.row_file import row_chunks
from . import counter_rng
from .confidences import NO_ROW, first_rows
from .placement import ClipReader, centers_at

_BODIES = 5  # `purpose` in `counter_rng`
_TWO = 2


@dataclass(frozen=True)
class BodyChoice:
    """Exchange the two bodies of a clip, and drop one of them, as a function of its RNG key.

    Clips of which fewer than two bodies are present in the sampled frames stay as they are.

    Attributes:
        drop: the probability that one of the two is absent, each equally often.
        exchange: the probability that the second of two becomes the first.
        origins: (clips of the store, C), the origin that a clip gets where its second body becomes the first.
    """

    drop: float
    exchange: float
    origins: Tensor

    def __call__(
        self,
        joints: Tensor,
        frame_mask: Tensor,
        joint_mask: Tensor | None,
        *,
        indices: Tensor,
        rng_keys: Tensor,
        strength: float,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return joints, frame mask and joint mask of a batch with the chosen bodies.

        Args:
            joints: (N, C, T, V, M).
            frame_mask: (N, M, T) bool.
            joint_mask: (N, M, T, V) bool, or None.
            indices: (N,) the clips' indices in the store.
            rng_keys: (N,) the RNG keys of the clips.
            strength: of augmentation, from 0 to 1: what both probabilities are multiplied by.
        """
        exchanged, dropped = self._drawn(frame_mask.any(dim=2), rng_keys, strength)
        there = self._kept(dropped)  # (N, M)
        moved = joints.flip(4) - self.origins[indices][:, :, None, None, None]
        joints = torch.where(exchanged[:, None, None, None, None], moved, joints)
        frame_mask = torch.where(exchanged[:, None, None], frame_mask.flip(1), frame_mask) & there[..., None]
        if joint_mask is not None:
            joint_mask = torch.where(exchanged[:, None, None, None], joint_mask.flip(1), joint_mask)
            joint_mask = joint_mask & there[..., None, None]
        return joints, frame_mask, joint_mask

    def bodies(self, present: Tensor, rng_keys: Tensor, strength: float) -> Tensor:
        """Return the body mask (N, M) of clips from which bodies are `present` in their sampled frames, (N, M) bool."""
        _, dropped = self._drawn(present, rng_keys, strength)  # exchanged bodies are both present
        return present & self._kept(dropped)

    def _drawn(self, present: Tensor, rng_keys: Tensor, strength: float) -> tuple[Tensor, Tensor]:
        """Return in which clips bodies are exchanged, and in which the second one is then absent, (N,) bool each."""
        random = counter_rng.uniform(rng_keys, _BODIES, 3)
        both = present.all(dim=1)
        dropped = both & (random[:, 0] < strength * self.drop)
        wanted = torch.where(dropped, random[:, 1] < 1 / 2, random[:, 2] < strength * self.exchange)
        return both & wanted, dropped

    @staticmethod
    def _kept(dropped: Tensor) -> Tensor:
        """Return which bodies stay, (N, M) bool: the second one is the one that is dropped."""
        return torch.stack([torch.ones_like(dropped), ~dropped], dim=1)


def body_choice(store: Store, clips: ClipReader, config: AugmentConfig) -> BodyChoice | None:
    """Return the choice of bodies that a configuration asks for; None if there is none to make."""
    if not max(config.drop_body, config.exchange_bodies) or int(store.clips["bodies"].max()) != _TWO:
        return None
    return BodyChoice(config.drop_body, config.exchange_bodies, _origins(store, clips))


def _origins(store: Store, clips: ClipReader) -> Tensor:
    """Return where the second body of each clip begins, relative to its first one, (N, C); zeros where there is none.

    A body begins where its centre joint is first measured or, if that is never so, at the mean of its joints in its
    first frame: the rule by which preparation chooses the origin.
    """
    pairs = np.flatnonzero(store.clips["bodies"] == _TWO)
    present = clips.present.cpu().numpy()
    centered = _centered(store, clips, present)
    begins = []
    for body in range(_TWO):
        rows, any_row = (first_rows(store.clips[pairs], mask, body) for mask in (centered, present))
        rows = np.where(rows == NO_ROW, any_row, rows)
        rows = np.where(rows == NO_ROW, 0, rows)
        begins.append(centers_at(clips, torch.from_numpy(rows).to(clips.device), store.skeleton.center))
    found = torch.zeros(len(store.clips), begins[0].shape[1], device=clips.device)
    found[torch.from_numpy(pairs).to(clips.device)] = begins[1] - begins[0]
    return found


def _centered(store: Store, clips: ClipReader, present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return in which rows (R,) the centre joint of a present body was measured."""
    centered = present.copy()
    for part in row_chunks(len(present)):
        measured = clips.measured_at(torch.arange(part.start, part.stop, device=clips.device))
        if measured is None:
            break
        centered[part] &= measured[:, store.skeleton.center].cpu().numpy()
    return centered
