"""A body of 25 joints: bone lengths, and forward kinematics from joint angles to joint positions.

Axes of a standing body: x to its right, y up, z to its back, so that it faces the camera at -z. Angles are in
degrees, lengths in metres. Legend: T frames, V joints (25).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...skeleton import load_layout

Array = NDArray[np.float64]
Axis = Literal["x", "y", "z"]

LAYOUT = "ntu25"


@dataclass(frozen=True)
class Segment:
    """One bone of the kinematic chain, from `parent` to `joint`, which rotates about its start.

    Attributes:
        direction: the direction of the bone in its parent's frame when every angle is zero.
        length: in units of the body's height.
        turns: (axis, channel, sign), applied in the parent's frame from left to right.
    """

    joint: str
    parent: str
    direction: tuple[float, float, float]
    length: float
    turns: tuple[tuple[Axis, str, float], ...] = ()


def _spine() -> list[Segment]:
    up = (0.0, 1.0, 0.0)
    turns: tuple[tuple[Axis, str, float], ...] = (
        ("x", "lean", -0.5),
        ("z", "bend", -0.5),
        ("y", "twist", 0.5),
    )
    return [
        Segment("spine_middle", "spine_base", up, 0.165, turns),
        Segment("spine_shoulder", "spine_middle", up, 0.125, turns),
        Segment("neck", "spine_shoulder", up, 0.042),
        Segment("head", "neck", (0.0, 1.0, -0.15), 0.072, (("x", "nod", -1.0),)),
    ]


def _arm(side: str, outward: float) -> list[Segment]:
    """Return an arm; `outward` is the sign of x on its side. It rotates about the shoulder line."""
    down = (0.0, -1.0, 0.0)
    shoulder: tuple[tuple[Axis, str, float], ...] = (
        ("x", f"{side}_circle", 1.0),
        ("x", f"{side}_flexion", 1.0),
        ("z", f"{side}_abduction", outward),
        ("y", f"{side}_rotation", outward),
    )
    return [
        Segment(f"{side}_shoulder", "spine_shoulder", (outward, -0.25, 0.0), 0.098),
        Segment(f"{side}_elbow", f"{side}_shoulder", down, 0.152, shoulder),
        Segment(f"{side}_wrist", f"{side}_elbow", down, 0.140, (("x", f"{side}_elbow", 1.0),)),
        Segment(f"{side}_hand", f"{side}_wrist", down, 0.040),
        Segment(f"{side}_hand_tip", f"{side}_hand", down, 0.044),
        Segment(f"{side}_thumb", f"{side}_hand", (-0.6 * outward, -0.4, -0.7), 0.032),
    ]


def _leg(side: str, outward: float) -> list[Segment]:
    """Return a leg; its foot compensates the rotations of hip and knee, so that it stays level."""
    down = (0.0, -1.0, 0.0)
    hip: tuple[tuple[Axis, str, float], ...] = (("x", f"{side}_hip", 1.0), ("z", f"{side}_spread", outward))
    level: tuple[tuple[Axis, str, float], ...] = (("x", f"{side}_knee", 1.0), ("x", f"{side}_hip", -1.0))
    return [
        Segment(f"{side}_hip", "spine_base", (outward, -0.3, 0.0), 0.048),
        Segment(f"{side}_knee", f"{side}_hip", down, 0.232, hip),
        Segment(f"{side}_ankle", f"{side}_knee", down, 0.228, (("x", f"{side}_knee", -1.0),)),
        Segment(f"{side}_foot", f"{side}_ankle", (0.15 * outward, -0.55, -1.0), 0.068, level),
    ]


SEGMENTS = (*_spine(), *_arm("left", -1.0), *_arm("right", 1.0), *_leg("left", -1.0), *_leg("right", 1.0))
# The angles of a pose, and `forward`: metres that the body has moved in the direction it faces.
CHANNELS = (*dict.fromkeys(channel for segment in SEGMENTS for _, channel, _ in segment.turns), "forward")


def bone_lengths(height: float, proportions: Mapping[str, float]) -> dict[str, float]:
    """Return the length of the bone that ends at each joint, in metres.

    Args:
        height: the body's height in metres.
        proportions: factors by the joint's name without its side, so that both sides are equal.
    """
    return {
        segment.joint: height * segment.length * proportions.get(body_part(segment.joint), 1.0) for segment in SEGMENTS
    }


def body_part(joint: str) -> str:
    """Return a joint's name without its side."""
    return joint.removeprefix("left_").removeprefix("right_")


def joint_number(name: str) -> int:
    """Return a joint's number, counted from 0."""
    return load_layout(LAYOUT).joints.index(name)


def joint_positions(lengths: Mapping[str, float], angles: Mapping[str, Array]) -> Array:
    """Return joints (T, V, 3) in metres from channels (T,) in degrees, with the spine's base at the origin."""
    frames = len(next(iter(angles.values())))
    frame_of = {"spine_base": np.broadcast_to(np.eye(3), (frames, 3, 3))}
    position_of = {"spine_base": np.zeros((frames, 3))}
    for segment in SEGMENTS:
        frame = frame_of[segment.parent]
        for axis, channel, sign in segment.turns:
            frame = frame @ rotation(axis, sign * angles[channel])
        direction = np.array(segment.direction)
        bone = lengths[segment.joint] * direction / np.linalg.norm(direction)
        frame_of[segment.joint] = frame
        position_of[segment.joint] = position_of[segment.parent] + frame @ bone
    return np.stack([position_of[name] for name in load_layout(LAYOUT).joints], axis=1)  # (T, V, 3)


def place_on_ground(joints: Array) -> Array:
    """Return `joints` (T, V, 3) moved up or down so that in every frame the lowest joint is at height 0."""
    height = joints[..., 1].min(axis=1)
    moved: Array = joints - height[:, None, None] * np.array([0.0, 1.0, 0.0])
    return moved


def mirror_image(joints: Array) -> Array:
    """Return the mirrored movement: x negated, left and right joints exchanged."""
    mirrored: Array = joints[:, list(load_layout(LAYOUT).mirrored)] * np.array([-1.0, 1.0, 1.0])
    return mirrored


def rotation(axis: Axis, degrees: Array) -> Array:
    """Return right-handed rotation matrices (..., 3, 3) about one axis."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.broadcast_to(np.eye(3), (*np.shape(degrees), 3, 3)).copy()
    matrix[..., first, first] = matrix[..., second, second] = cosine
    matrix[..., first, second], matrix[..., second, first] = -sine, sine
    return matrix
