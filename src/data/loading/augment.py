"""Augmentation of training clips with batched tensor operations; each clip gets one random transform.

Legend: N clips, C coordinates (3, or 2 for poses from pictures), T frames, V joints, M bodies.
"""

import math

import torch
from torch import Tensor

from ...settings.data import AugmentConfig
from ...skeleton import Layout
from . import counter_rng
from .device_constants import constant

_ROTATION, _SCALE, _SHEAR, _JITTER, _MIRROR = 11, 12, 13, 14, 15  # `purpose` in `counter_rng`


def augment(joints: Tensor, config: AugmentConfig, layout: Layout, rng_keys: Tensor) -> Tensor:
    """Augment clips as configured; each clip's augmentation is a function of its RNG key.

    Args:
        joints: (N, C, T, V, M), centred; in metres, 2-D poses in the unit of the picture.
        config: the transforms and their strengths.
        layout: the joint layout, with its mirror pairs; it may be two-dimensional.
        rng_keys: (N,) the RNG keys of the clips.
    """
    if config.mirror_probability > 0:
        flip = _mirrored_clips(config, rng_keys)
        joints = torch.where(flip[:, None, None, None, None], mirror(joints, layout), joints)
    if any(config.rotation_degrees) or config.scale > 0 or config.shear > 0:
        joints = torch.einsum("nij,njtvm->nitvm", _linear_maps(config, layout, rng_keys), joints)
    if config.jitter_metres > 0:
        per_clip = joints[0].numel()
        noise = counter_rng.normal(rng_keys, _JITTER, per_clip).view(joints.shape)
        joints = joints + config.jitter_metres * noise
    return joints


def mirrored_mask(joint_mask: Tensor, config: AugmentConfig, layout: Layout, rng_keys: Tensor) -> Tensor:
    """Return the joint mask (N, M, T, V) of clips after `augment`: left and right are exchanged in mirrored ones."""
    if config.mirror_probability <= 0:
        return joint_mask
    order = constant(layout.mirrored, torch.int64, joint_mask.device)
    flip = _mirrored_clips(config, rng_keys)[:, None, None, None]
    return torch.where(flip, joint_mask.index_select(3, order), joint_mask)


def _mirrored_clips(config: AugmentConfig, rng_keys: Tensor) -> Tensor:
    """Return which clips are mirrored, (N,) bool."""
    return counter_rng.uniform(rng_keys, _MIRROR, 1)[:, 0] < config.mirror_probability


def _linear_maps(config: AugmentConfig, layout: Layout, rng_keys: Tensor) -> Tensor:
    """Return one (C, C) matrix per clip that rotates, scales and shears it; 2-D poses stay in their plane."""
    degrees = config.rotation_degrees or [0.0] * 3
    if layout.flat:
        degrees = [0.0, 0.0, degrees[2]]  # rotations about x or y would leave the plane
    limits = constant(degrees, torch.float32, rng_keys.device) * (math.pi / 180)
    maps = rotation_matrices(limits * (2 * counter_rng.uniform(rng_keys, _ROTATION, 3) - 1))
    if config.scale > 0:
        factors = 1 + config.scale * (2 * counter_rng.uniform(rng_keys, _SCALE, 3) - 1)
        maps = factors[:, :, None] * maps
    if config.shear > 0:
        shear = config.shear * (2 * counter_rng.uniform(rng_keys, _SHEAR, 9) - 1).view(-1, 3, 3)
        eye = torch.eye(3, device=rng_keys.device)
        maps = (eye + shear * (1 - eye)) @ maps
    return maps[:, : layout.coordinates, : layout.coordinates]


def rotation_matrices(angles: Tensor) -> Tensor:
    """Return the rotations (N, 3, 3) about x, then y, then z by `angles` (N, 3) in radians."""
    cosines, sines = torch.cos(angles), torch.sin(angles)
    matrices = []
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        matrix = torch.eye(3, device=angles.device).repeat(angles.shape[0], 1, 1)
        matrix[:, first, first] = matrix[:, second, second] = cosines[:, axis]
        matrix[:, second, first] = sines[:, axis]
        matrix[:, first, second] = -sines[:, axis]
        matrices.append(matrix)
    about_x, about_y, about_z = matrices
    return about_z @ about_y @ about_x


def mirror(joints: Tensor, layout: Layout) -> Tensor:
    """Return mirrored clips: x is negated, left and right joints are exchanged."""
    order = constant(layout.mirrored, torch.int64, joints.device)
    # Assigning a number to an element would copy it from the host, which waits for the device.
    sign = constant([-1.0] + [1.0] * (joints.shape[1] - 1), torch.float32, joints.device)
    return joints.index_select(3, order) * sign[:, None, None, None]
