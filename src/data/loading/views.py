"""Views of a tested clip: turned about the vertical, or mirrored.

Legend: N clips, M bodies, C coordinates, T frames, V joints.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...skeleton import Layout
from .augment import mirror, rotation_matrices
from .device_constants import constant

_MASK_JOINTS = 3  # the dimension of the joints in a mask (N, M, T, V)


@dataclass(frozen=True)
class View:
    """A view of clips.

    Attributes:
        turn: degrees about the vertical; positive ones turn x towards z as `rotation_matrices` does.
        mirror: whether left and right are exchanged, before the turn.
    """

    turn: float = 0.0
    mirror: bool = False

    def __call__(self, joints: Tensor, joint_mask: Tensor | None, layout: Layout) -> tuple[Tensor, Tensor | None]:
        """Return joints (N, C, T, V, M) and joint mask (N, M, T, V), if there is one, as seen in this view.

        Raises:
            ValueError: clips of two coordinates cannot be turned about the vertical.
        """
        if self.mirror:
            joints = mirror(joints, layout)
            if joint_mask is not None:
                order = constant(layout.mirrored, torch.int64, joint_mask.device)
                joint_mask = joint_mask.index_select(_MASK_JOINTS, order)
        if self.turn:
            degrees = torch.full((joints.shape[0],), self.turn, device=joints.device)
            joints = turned(joints, degrees, layout)
        return joints, joint_mask


PLAIN = View()


def turned(joints: Tensor, degrees: Tensor, layout: Layout) -> Tensor:
    """Return clips (N, C, T, V, M), each turned by its number of degrees (N,) about the vertical through the origin.

    Raises:
        ValueError: the clips have two coordinates, so that the turn would leave their plane.
    """
    if layout.flat:
        raise ValueError("Clips of two coordinates cannot be turned about the vertical.")
    angles = torch.zeros(joints.shape[0], 3, device=joints.device)
    angles[:, 1] = degrees * (math.pi / 180)
    return torch.einsum("nij,njtvm->nitvm", rotation_matrices(angles), joints)
