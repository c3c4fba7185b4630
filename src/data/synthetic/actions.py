"""The classes: each one as keyframe poses, and interpolation between poses.

A pose lists the channels of `body.CHANNELS` that differ from the performer's rest pose: in degrees, `forward` in
metres.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .body import CHANNELS, Array

Pose = Mapping[str, float]


@dataclass(frozen=True)
class Keyframe:
    """A pose at a time within the action, from 0 to 1."""

    time: float
    pose: Pose


Track = tuple[Keyframe, ...]


@dataclass(frozen=True)
class Action:
    """One class of movement.

    Attributes:
        name: the class name.
        actor: the movement of the first body.
        partner: the movement of the second body, which faces the first; empty for actions of one body.
        seconds: its duration for a performer of average tempo.
        reversed: whether the tracks are played backwards.
        one_sided: whether a left-handed performer performs it with the other side.
        feet_planted: whether the feet stay in place and the body moves, instead of the feet moving below the body.
        distance: metres between the two bodies when both have `forward` 0.
    """

    name: str
    actor: Track
    partner: Track = ()
    seconds: float = 1.8
    reversed: bool = False
    one_sided: bool = False
    feet_planted: bool = False
    distance: float = 1.0


def _both(**angles: float) -> dict[str, float]:
    """Return a pose with the same angles on both sides."""
    return {f"{side}_{name}": value for side in ("left", "right") for name, value in angles.items()}


def _right(**angles: float) -> dict[str, float]:
    return {f"right_{name}": value for name, value in angles.items()}


_REST: Pose = {}
_RAISE = (Keyframe(0.0, _REST), Keyframe(1.0, _both(flexion=150, abduction=12) | {"nod": -8}))
_SIT = (
    Keyframe(0.0, _REST),
    Keyframe(0.55, _both(hip=55, knee=62, flexion=25, elbow=10) | {"lean": 38, "nod": -12}),
    Keyframe(1.0, _both(hip=88, knee=86, flexion=32, elbow=42) | {"lean": 6}),
)
# Forwards: up behind the back, over the head, down in front.
_CIRCLES = (
    Keyframe(0.0, _REST),
    Keyframe(0.12, _both(abduction=28)),
    Keyframe(0.88, _both(abduction=28, circle=-720)),
    Keyframe(1.0, _both(circle=-720)),
)
_HAND_ON_HEAD = _right(flexion=78, abduction=42, rotation=30, elbow=128)
_HAND_ON_HIP = _right(flexion=-10, abduction=0, rotation=60, elbow=55)
_TOUCHES = (
    Keyframe(0.0, _REST),
    Keyframe(0.26, _HAND_ON_HEAD | {"nod": 10}),
    Keyframe(0.38, _HAND_ON_HEAD | {"nod": 10}),
    Keyframe(0.66, _HAND_ON_HIP),
    Keyframe(0.76, _HAND_ON_HIP),
    Keyframe(1.0, _REST),
)
_KICK = (
    Keyframe(0.0, _REST),
    Keyframe(0.32, _right(hip=-22, knee=48) | {"lean": 8, "left_flexion": 25, "right_flexion": -15}),
    Keyframe(0.58, _right(hip=78, knee=6) | {"lean": -14, "left_flexion": -20, "right_flexion": 30}),
    Keyframe(0.76, _right(hip=40, knee=62)),
    Keyframe(1.0, _REST),
)
_OFFERED_HAND = _right(flexion=40, abduction=-20, rotation=10, elbow=20)
_APPROACH = (
    Keyframe(0.0, {"forward": -0.75}),
    Keyframe(0.5, _right(flexion=10, elbow=15) | {"forward": -0.1}),
    Keyframe(0.62, _OFFERED_HAND),
    Keyframe(0.72, _OFFERED_HAND | {"right_elbow": 36}),
    Keyframe(0.80, _OFFERED_HAND),
    Keyframe(0.90, _OFFERED_HAND | {"right_elbow": 36}),
    Keyframe(1.0, _OFFERED_HAND),
)
_PUSH = (
    Keyframe(0.0, _REST),
    Keyframe(0.3, _both(flexion=14, rotation=-8, elbow=112) | {"lean": -6, "forward": 0.04}),
    Keyframe(0.5, _both(flexion=74, rotation=-4, elbow=18) | {"lean": 16, "forward": 0.16}),
    Keyframe(0.65, _both(flexion=66, rotation=-4, elbow=26) | {"lean": 12, "forward": 0.16}),
    Keyframe(1.0, {"forward": 0.1}),
)
_PUSHED = (
    Keyframe(0.0, _REST),
    Keyframe(0.46, _REST),
    Keyframe(0.62, _both(flexion=38, elbow=40, abduction=16) | {"lean": -24, "nod": 14, "forward": -0.25}),
    Keyframe(0.82, _both(flexion=16, elbow=25) | {"lean": 10, "forward": -0.45}),
    Keyframe(1.0, {"forward": -0.45}),
)

# In the order of their labels; the action number in a file's name is the label plus 1.
ACTIONS = (
    Action("raise both arms", _RAISE, seconds=1.5),
    Action("lower both arms", _RAISE, seconds=1.5, reversed=True),
    Action("sit down", _SIT, seconds=1.7, feet_planted=True),
    Action("stand up", _SIT, seconds=1.7, feet_planted=True, reversed=True),
    Action("circle arms forwards", _CIRCLES, seconds=2.6),
    Action("circle arms backwards", _CIRCLES, seconds=2.6, reversed=True),
    Action("touch head, then hip", _TOUCHES, seconds=2.3, one_sided=True),
    Action("touch hip, then head", _TOUCHES, seconds=2.3, one_sided=True, reversed=True),
    Action("kick", _KICK, seconds=1.6, one_sided=True),
    Action("walk up and shake hands", _APPROACH, _APPROACH, seconds=2.5, distance=1.0),
    Action("shake hands and step back", _APPROACH, _APPROACH, seconds=2.5, distance=1.0, reversed=True),
    Action("push another person", _PUSH, _PUSHED, seconds=1.8, distance=0.85),
)


def class_names() -> list[str]:
    """Return the names of the classes in the order of their labels."""
    return [action.name for action in ACTIONS]


def play(track: Track, progress: Array, amplitude: float = 1.0) -> dict[str, Array]:
    """Return every channel (T,) of a track at the times `progress` (T,), interpolated smoothly between its keyframes.

    Args:
        amplitude: scales every angle except full circles, which must close.
    """
    times = np.array([keyframe.time for keyframe in track])
    poses = pose_matrix([keyframe.pose for keyframe in track])  # (keyframes, channels)
    scales = np.array([1.0 if name.endswith("circle") else amplitude for name in CHANNELS])
    start = np.clip(np.searchsorted(times, progress, side="right") - 1, 0, len(times) - 2)
    share = minimum_jerk((progress - times[start]) / (times[start + 1] - times[start]))
    values = (poses[start] + (poses[start + 1] - poses[start]) * share[:, None]) * scales
    return dict(zip(CHANNELS, values.T, strict=True))


def pose_matrix(poses: Sequence[Pose]) -> Array:
    """Return poses as an array (poses, channels); a channel that a pose does not contain is 0."""
    unknown = {name for pose in poses for name in pose} - set(CHANNELS)
    assert not unknown, f"no such channel: {unknown}"
    return np.array([[pose.get(channel, 0.0) for channel in CHANNELS] for pose in poses])


def minimum_jerk(share: Array) -> Array:
    """Return the completed share of a reaching movement after a share of its time, both from 0 to 1.

    The minimum-jerk polynomial that starts and ends at rest (Flash and Hogan, J. Neuroscience 5, 1985).
    """
    share = np.clip(share, 0.0, 1.0)
    return share**3 * (10.0 - 15.0 * share + 6.0 * share**2)
