"""Performers: the body and the style of each one, and their joints during an action.

World axes: x to the right of camera 1, y up from the floor, z away from camera 1; metres. Legend: M bodies, T
frames, V joints.
"""

from dataclasses import dataclass

import numpy as np

from .actions import Action, Track, play
from .body import (
    CHANNELS,
    SEGMENTS,
    Array,
    body_part,
    bone_lengths,
    joint_number,
    joint_positions,
    mirror_image,
    place_on_ground,
    rotation,
)

FPS = 30
SHORTEST_FRAMES, LONGEST_FRAMES = 40, 110
_STRIDE_METRES = 0.9


@dataclass(frozen=True)
class Performer:
    """A person: the body, and a personal style of movement.

    Attributes:
        lengths: the length in metres of the bone that ends at each joint.
        tempo: speed relative to the average.
        amplitude: reach of movements relative to the average.
        left_handed: the probability that one-sided actions are performed with the left side.
        rest: degrees of each channel while standing.
        sway: degrees by which the standing body sways.
    """

    lengths: dict[str, float]
    tempo: float
    amplitude: float
    left_handed: float
    rest: dict[str, float]
    sway: float


def sample_performer(random: np.random.Generator) -> Performer:
    """Sample a random person."""
    parts = sorted({body_part(segment.joint) for segment in SEGMENTS})
    proportions = {part: float(random.normal(1.0, 0.04)) for part in parts}
    rest = {"lean": random.uniform(-3, 7), "nod": random.uniform(-6, 8)}
    abduction, elbow, flexion = random.uniform(4, 12), random.uniform(8, 24), random.uniform(-4, 6)
    for side in ("left", "right"):
        rest |= {f"{side}_abduction": abduction, f"{side}_elbow": elbow, f"{side}_flexion": flexion}
        rest |= {
            f"{side}_knee": random.uniform(2, 6),
            f"{side}_hip": 3.0,
            f"{side}_spread": random.uniform(1, 5),
        }
    return Performer(
        lengths=bone_lengths(random.uniform(1.54, 1.94), proportions),
        tempo=random.uniform(0.82, 1.22),
        amplitude=random.uniform(0.9, 1.1),
        left_handed=0.85 if random.random() < 0.3 else 0.15,
        rest=rest,
        sway=random.uniform(0.4, 1.6),
    )


def act(action: Action, actor: Performer, partner: Performer, random: np.random.Generator) -> Array:
    """Return the joints while `actor` performs `action`, (M, T, V, 3) in world metres around the origin.

    If the action has a partner, there is a second body, and the two face each other along x.
    """
    progress = _progress(action, actor, random)
    heading = random.normal(0.0, 8.0)
    if not action.partner:
        body = _move(action, action.actor, actor, progress, random)
        if action.one_sided and random.random() < actor.left_handed:
            body = mirror_image(body)
        return _rotated(body, heading)[None]
    side = random.choice([-1.0, 1.0])  # the side of the origin on which the actor stands
    offset = np.array([side * random.normal(1.0, 0.04) * action.distance / 2, 0.0, 0.0])
    first = _rotated(_move(action, action.actor, actor, progress, random), 90.0 * side) + offset
    second = _rotated(_move(action, action.partner, partner, progress, random), -90.0 * side) - offset
    return _rotated(np.stack([first, second]), heading)


def _progress(action: Action, performer: Performer, random: np.random.Generator) -> Array:
    """Return the progress of the action in each frame, from 0 before its start to 1 after its end, (T,).

    Waiting times before and after have the same distribution, so a reversed action differs only in its direction.
    """
    frames = action.seconds * FPS / (performer.tempo * random.normal(1.0, 0.06))
    before, after = random.uniform(2, 12, size=2)
    total = round(float(np.clip(frames + before + after, SHORTEST_FRAMES, LONGEST_FRAMES)))
    progress: Array = np.clip((np.arange(total) - before) / (total - before - after), 0.0, 1.0)
    return progress[::-1] if action.reversed else progress


def _move(action: Action, track: Track, performer: Performer, progress: Array, random: np.random.Generator) -> Array:
    """Return one body's joints (T, V, 3) during a track, standing at the origin and facing -z."""
    channels = play(track, _uneven(progress, random), performer.amplitude * random.normal(1.0, 0.04))
    channels = {name: channels[name] + performer.rest.get(name, 0.0) for name in CHANNELS}
    for name in ("lean", "bend", "twist"):
        channels[name] = channels[name] + performer.sway * _drift(len(progress), random)
    _walk(channels)
    joints = place_on_ground(joint_positions(performer.lengths, channels))
    if action.feet_planted:
        joints = joints - _between_feet(joints)
    forward = np.zeros((len(progress), 1, 3))
    forward[:, 0, 2] = -channels["forward"]
    moved: Array = joints + forward
    return moved


def _uneven(progress: Array, random: np.random.Generator) -> Array:
    """Return `progress` with an uneven rhythm: early in one half, late in the other."""
    uneven: Array = progress + random.normal(0.0, 0.025) * np.sin(2 * np.pi * progress)
    return uneven


def _drift(frames: int, random: np.random.Generator) -> Array:
    """Return a slow oscillation between -1 and 1, (T,)."""
    hertz, phase = random.uniform(0.15, 0.5), random.uniform(0, 2 * np.pi)
    return np.sin(2 * np.pi * hertz * np.arange(frames) / FPS + phase)


def _walk(channels: dict[str, Array]) -> None:
    """Add steps to a body that moves forward or back; they fade out while it stands."""
    forward = channels["forward"]
    speed = np.abs(np.gradient(forward)) * FPS
    effort = np.clip(speed / 0.7, 0.0, 1.0)
    phase = 2 * np.pi * forward / _STRIDE_METRES
    for side, sign in (("left", 1.0), ("right", -1.0)):
        channels[f"{side}_hip"] = channels[f"{side}_hip"] + 24 * effort * sign * np.sin(phase)
        channels[f"{side}_knee"] = channels[f"{side}_knee"] + 34 * effort * np.maximum(0.0, sign * np.cos(phase))
        channels[f"{side}_flexion"] = channels[f"{side}_flexion"] - 14 * effort * sign * np.sin(phase)


def _between_feet(joints: Array) -> Array:
    """Return the point on the floor below the middle of both ankles, (T, 1, 3)."""
    ankles = joints[:, [joint_number("left_ankle"), joint_number("right_ankle")]]
    middle: Array = ankles.mean(axis=1, keepdims=True) * np.array([1.0, 0.0, 1.0])
    return middle


def _rotated(joints: Array, degrees: float) -> Array:
    """Return joints (..., 3) rotated about the vertical through the origin."""
    turned: Array = joints @ rotation("y", np.array(degrees)).T
    return turned
