"""The data path as it is usually written: NumPy, clip by clip and coordinate by coordinate.

`read_clip` and `streams` compute the same as ours for the same times and angles. They are the reference for the
speed of the data path.

Legend: M bodies, C coordinates, T frames, V joints.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from last.data.store.clip import Clip
from last.settings.data import AugmentConfig, SamplingConfig
from last.skeleton import Layout

Array = NDArray[np.float32]


def crop(frames: int, target: int, config: SamplingConfig, random: np.random.Generator) -> NDArray[np.float64]:
    """Return the times (T,), in frames, at which a random part of a clip is sampled at equal steps."""
    span = random.uniform(config.crop_min, config.crop_max) * (frames - 1)
    start = random.uniform(0.0, frames - 1 - span)
    return np.linspace(start, start + span, target)


def turn(config: AugmentConfig, random: np.random.Generator) -> NDArray[np.float64]:
    """Return random angles (3,) about x, y and z, in radians."""
    limits = np.radians(config.rotation_degrees or [0.0] * 3)
    return random.uniform(-limits, limits)


def read_clip(clip: Clip, times: NDArray[np.floating], bodies: int) -> Array:
    """Return a clip (C, T, V, M) interpolated at `times` (T,), with room for `bodies` bodies."""
    _, frames, joints, coordinates = clip.joints.shape
    sampled = np.zeros((coordinates, len(times), joints, bodies), np.float32)
    measured_at = np.arange(frames)
    for body, track in enumerate(clip.joints):
        for joint in range(joints):
            for coordinate in range(coordinates):
                sampled[coordinate, :, joint, body] = np.interp(times, measured_at, track[:, joint, coordinate])
    return sampled


def rotate(joints: Array, angles: NDArray[np.floating]) -> Array:
    """Turn a clip (C, T, V, M) about x, then y, then z."""
    (sin_x, sin_y, sin_z), (cos_x, cos_y, cos_z) = np.sin(angles), np.cos(angles)
    about_x = np.array([[1, 0, 0], [0, cos_x, -sin_x], [0, sin_x, cos_x]])
    about_y = np.array([[cos_y, 0, sin_y], [0, 1, 0], [-sin_y, 0, cos_y]])
    about_z = np.array([[cos_z, -sin_z, 0], [sin_z, cos_z, 0], [0, 0, 1]])
    matrix = (about_z @ about_y @ about_x).astype(np.float32)
    turned: Array = (matrix @ joints.reshape(3, -1)).reshape(joints.shape)
    return turned


def streams(joints: Array, layout: Layout) -> dict[str, Array]:
    """Return the streams of a clip, each (C, T, V, M)."""
    velocity, bone = np.zeros_like(joints), np.zeros_like(joints)
    velocity[:, :-1] = joints[:, 1:] - joints[:, :-1]
    for joint, parent in enumerate(layout.parents):
        bone[:, :, joint] = joints[:, :, joint] - joints[:, :, parent]
    return {"joint": joints, "velocity": velocity, "bone": bone}


def stack(clips: Sequence[dict[str, Array]]) -> dict[str, Tensor]:
    """Return the streams of several clips as one batch, each (N, C, T, V, M)."""
    return {name: torch.from_numpy(np.stack([clip[name] for clip in clips])) for name in clips[0]}
