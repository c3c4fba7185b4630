"""Drop measured joints: in training, so that a model learns to do without them, and in tests of what it lost then.

Legend: N clips, M bodies, T frames, V joints, L limbs.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...skeleton import Layout
from ...skeleton.limbs import limbs
from . import counter_rng
from .device_constants import constant
from .masked_crop import frames_that_stay

_SHARES, _JOINTS, _LIMBS, _FRAMES, _WHOLE = 21, 22, 23, 24, 25  # purposes of random numbers


@dataclass(frozen=True)
class JointDropper:
    """Drop joints of clips as a function of their RNG keys.

    Attributes:
        layout: the joint layout.
        joints, limbs: the probability with which a joint, or a limb, of a body is missing in the whole clip.
        frames: the probability with which a body is not seen in a frame.
        random_shares: whether each clip draws its own probabilities, from 0 to the given ones, as for training.
        probability: with which a clip loses anything at all.
        crop: the share of frames that are missing before and after a part that stays.
    """

    layout: Layout
    joints: float = 0.0
    limbs: float = 0.0
    frames: float = 0.0
    random_shares: bool = False
    probability: float = 1.0
    crop: float = 0.0

    @property
    def drops(self) -> bool:
        """Tell whether anything is dropped."""
        return max(self.joints, self.limbs, self.frames, self.crop) > 0 and self.probability > 0

    def at(self, strength: float) -> "JointDropper":
        """Return a dropper whose shares are multiplied by a strength from 0 to 1; with 1 this one."""
        if strength == 1:
            return self
        weaker = {name: strength * getattr(self, name) for name in ("joints", "limbs", "frames", "crop")}
        return replace(self, **weaker)

    def __call__(self, joint_mask: Tensor, rng_keys: Tensor) -> Tensor:
        """Return the mask (N, M, T, V) of the joints that remain; a body that would lose all of them keeps them.

        Args:
            joint_mask: (N, M, T, V) bool, which joints were measured.
            rng_keys: (N,) the RNG keys of the clips.
        """
        _, bodies, frames, _ = joint_mask.shape
        wanted = [self.joints, self.limbs, self.frames, self.crop]
        shares = constant(wanted, torch.float32, rng_keys.device).expand(len(rng_keys), len(wanted))
        if self.random_shares:
            shares = shares * counter_rng.uniform(rng_keys, _SHARES, len(wanted))
        if self.probability < 1:
            shares = shares * (counter_rng.uniform(rng_keys, _WHOLE, 1) < self.probability)
        kept = joint_mask
        if self.joints:
            kept = kept & ~self._drawn(rng_keys, _JOINTS, shares[:, 0], bodies, self.layout.num_joints)[:, :, None]
        groups = limbs(self.layout)
        if self.limbs and groups:
            lost = self._drawn(rng_keys, _LIMBS, shares[:, 1], bodies, len(groups))  # (N, M, L)
            kept = kept & ~(lost.float() @ self._members(groups, rng_keys.device) > 0)[:, :, None]
        if self.frames:
            kept = kept & ~self._drawn(rng_keys, _FRAMES, shares[:, 2], bodies, frames)[..., None]
        if self.crop:
            kept = kept & frames_that_stay(shares[:, 3], frames, rng_keys)[:, None, :, None]
        return torch.where(kept.any(dim=(2, 3), keepdim=True), kept, joint_mask)

    @staticmethod
    def _drawn(rng_keys: Tensor, purpose: int, share: Tensor, bodies: int, count: int) -> Tensor:
        """Return which of `count` items of each body are dropped, (N, M, count) bool, at a share (N,) of them."""
        draws = counter_rng.uniform(rng_keys, purpose, bodies * count).view(-1, bodies, count)
        return draws < share[:, None, None]

    def _members(self, groups: tuple[tuple[int, ...], ...], device: torch.device) -> Tensor:
        """Return which joints belong to which limb, (L, V) of 0 and 1."""
        joints = range(self.layout.num_joints)
        flat = [float(joint in group) for group in groups for joint in joints]
        return constant(flat, torch.float32, device).view(len(groups), -1)
