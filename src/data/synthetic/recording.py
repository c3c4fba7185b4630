"""Simulated recording: a depth camera on a stand, and a body tracker with typical errors.

Camera axes as in NTU RGB+D: x right, y up, z away from the camera; metres. Legend: M bodies, T frames,
V joints.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .body import Array, joint_number, rotation

TRACKED, INFERRED = 2, 1
SETUPS = 4
# The angle of each camera to the side in degrees; camera 1 sees the scene from the front.
CAMERA_YAW = {1: 0.0, 2: -45.0, 3: 45.0}
_CAMERA_RISE_METRES = {1: 0.0, 2: 0.12, 3: -0.1}
_SETUP_DISTANCE_METRES = (2.7, 3.0, 3.3, 3.6)
_SETUP_HEIGHT_METRES = (1.35, 1.6, 1.2, 1.5)
_AIM_HEIGHT_METRES = 0.95

# Noise of a joint in metres; fast or thin parts are tracked less accurately.
_TREMBLE_METRES = 0.004
_HAND_TREMBLE_METRES = 0.009
_OUTLIER_SHARE = 0.002
_LOST_FRAMES_CHANCE = 0.15
_NEW_IDENTITY_CHANCE = 0.12
_GHOST_CHANCE = 0.08
_FIRST_IDENTITY = 72057594037927936  # 2**56, the start of NTU's ids


@dataclass(frozen=True)
class TrackedBody:
    """A body as the tracker reports it under one id.

    Attributes:
        identity: 17 digits; a body that was lost for a moment may return with another one.
        frames: the indices of the frames in which it was tracked, (T,).
        joints: (T, V, 3) in camera metres.
        states: (T, V): 2 for a joint that was tracked, 1 for one that was inferred.
    """

    identity: int
    frames: NDArray[np.int64]
    joints: Array
    states: NDArray[np.int64]


def record(scene: Array, camera: int, setup: int, random: np.random.Generator) -> list[TrackedBody]:
    """Return the tracked bodies of a scene (M, T, V, 3) from one camera of one set-up, in any order."""
    seen = to_camera(scene, camera, setup)
    identities = itertools.count(_FIRST_IDENTITY + int(random.integers(1000, 12000)), 21)
    bodies = [part for joints in seen for part in _tracked(joints, identities, random)]
    if random.random() < _GHOST_CHANCE:
        bodies.append(_false_detection(seen[0], next(identities), random))
    return [bodies[index] for index in random.permutation(len(bodies))]


def to_camera(scene: Array, camera: int, setup: int) -> Array:
    """Return world positions (..., 3) in the coordinates of a camera directed at the centre of the scene.

    Both numbers count from 1, as in a file's name.
    """
    height = _SETUP_HEIGHT_METRES[setup - 1] + _CAMERA_RISE_METRES[camera]
    distance = _SETUP_DISTANCE_METRES[setup - 1]
    pitch = np.degrees(np.arctan2(_AIM_HEIGHT_METRES - height, distance))
    turned = scene @ rotation("y", np.array(CAMERA_YAW[camera])).T
    seen: Array = (turned + np.array([0.0, -height, distance])) @ rotation("x", pitch).T
    return seen


def _tracked(joints: Array, identities: Iterator[int], random: np.random.Generator) -> list[TrackedBody]:
    """Return one body (T, V, 3) as tracked: with noise, sometimes lost or with a new id."""
    count = len(joints)
    noisy, states = _with_noise(joints, random)
    present = np.ones(count, dtype=bool)
    middle = int(random.integers(count // 3, 2 * count // 3))
    if random.random() < _LOST_FRAMES_CHANCE:
        present[middle : middle + int(random.integers(1, 5))] = False
    frames = np.flatnonzero(present)
    parts = [frames]
    if random.random() < _NEW_IDENTITY_CHANCE:
        parts = [frames[frames < middle], frames[frames >= middle]]
    return [TrackedBody(next(identities), part, noisy[part], states[part]) for part in parts]


def _with_noise(joints: Array, random: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """Return joints (T, V, 3) with a tracker's noise and some outliers, and their states (T, V)."""
    tremble = np.full(joints.shape[1], _TREMBLE_METRES)
    for side in ("left", "right"):
        for part in ("wrist", "hand", "hand_tip", "thumb", "ankle", "foot"):
            tremble[joint_number(f"{side}_{part}")] = _HAND_TREMBLE_METRES
    outlier = random.random(joints.shape[:2]) < _OUTLIER_SHARE
    error = random.normal(size=joints.shape) * (tremble[:, None] + 0.1 * outlier[..., None])
    return joints + error, np.where(outlier, INFERRED, TRACKED)


def _false_detection(joints: Array, identity: int, random: np.random.Generator) -> TrackedBody:
    """Return a false detection: for at most ten frames the tracker mistakes furniture for a body."""
    length = int(random.integers(3, 11))
    first = int(random.integers(0, len(joints) - length))
    frames = np.arange(first, first + length)
    offset = np.array([random.choice([-1.0, 1.0]) * random.uniform(0.8, 1.3), -0.3, random.uniform(-0.3, 0.8)])
    squat = joints[frames] * np.array([1.0, 0.4, 1.0]) + offset
    shape = squat + random.normal(0.0, 0.04, size=squat.shape)
    return TrackedBody(identity, frames, shape, np.full(squat.shape[:2], INFERRED))
