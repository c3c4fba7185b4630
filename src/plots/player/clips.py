"""Clips as JSON values for the player, with joints in 16 bits.

A page with a hundred clips stays small: a joint of three coordinates takes 8 bytes of the page. The error of a
coordinate is at most a 4,096th of the scene's radius, 0.25 mm if the clip reaches one metre from its middle.

Legend: M bodies, T frames, V joints, C coordinates.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...skeleton.layout import Layout
from ...utils.errors import UserError
from ...utils.foreign_text import printable
from ..drawing import FACE, Array, Scene, has_joints, head_joints, joints_of, lines_of, scene_of, visible_joints
from ..legend import legend_of
from ..running_labels import MOST_LABELS, RunningLabels

_LARGEST = 32_767
_MISSING = -32_768
_FARTHEST = 16.0  # in radii of the scene; a joint beyond is shown there, so that one wrong joint coarsens no other
_COMPARABLE = 3.0  # versions whose sizes differ by more than this factor are shown at the same size


@dataclass(frozen=True, eq=False)
class Version:
    """One form of a clip, such as the original or an augmented one.

    Attributes:
        joints: (M, T, V, C), C as in the layout. What is not finite is missing; a body of zeros alone is absent.
        fps: frames per second; 0 if unknown.
        title: shown above it; empty if there is no other version.
        frame_mask: (M, T), whether each body is present; None to decide by its joints.
        joint_mask: (M, T, V), which joints were measured; None to decide by their positions.
        confidence: (M, T, V) from 0 to 1, shown as opacity; None if it is unknown.
    """

    joints: NDArray[Any]
    fps: float = 0.0
    title: str = ""
    frame_mask: NDArray[np.bool_] | None = None
    joint_mask: NDArray[np.bool_] | None = None
    confidence: NDArray[Any] | None = None


@dataclass(frozen=True, eq=False)
class PlayedClip:
    """A clip for the player: its name, its layout, a sentence about it, and one or more versions, played side by side.

    The first version decides the time; the others are shown at the same share of their length. The marks are shown in
    the first version, and the player starts at the first marked frame.

    Attributes:
        marked_frames: the first and the last frame of a stretch to look at, both included; None if there is none.
        marked_joints: the joints to look at, in the marked frames, or in all if none are marked.
        running: labels over time, of all bodies or of each, which are shown below the clip.
    """

    name: str
    layout: Layout
    versions: Sequence[Version]
    caption: str = ""
    marked_frames: tuple[int, int] | None = None
    marked_joints: Sequence[int] = ()
    running: Sequence[RunningLabels] = ()


def encode(clips: Sequence[PlayedClip]) -> dict[str, Any]:
    """Return the layouts and the clips as JSON values.

    Raises:
        UserError: the joints of a clip do not have the shape of its layout.
    """
    layouts = list(dict.fromkeys(clip.layout for clip in clips))
    return {
        "skeletons": [_skeleton(layout) for layout in layouts],
        "clips": [
            {
                "name": printable(clip.name),
                "caption": printable(clip.caption),
                "skeleton": layouts.index(clip.layout),
                **_versions_and_legend(clip),
                "marked_frames": _marked_frames(clip),
                "marked_joints": [joint for joint in clip.marked_joints if 0 <= joint < clip.layout.num_joints],
                "running": [_running(each) for each in clip.running],
            }
            for clip in clips
        ],
    }


def _running(running: RunningLabels) -> dict[str, Any]:
    """Return labels over time, each name once."""
    names = list(dict.fromkeys(name for span in running.spans for name, _ in span.labels[:MOST_LABELS]))
    return {
        "title": printable(running.title),
        "names": [printable(name) for name in names],
        "spans": [
            [span.start, [[names.index(name), round(share, 3)] for name, share in span.labels[:MOST_LABELS]]]
            for span in running.spans
        ],
    }


def bytes_of(frames: int, bodies: int, layout: Layout, *, with_confidence: bool = False) -> int:
    """Return how many bytes of a page the joints of a clip take at most."""
    joints = frames * bodies * layout.num_joints
    return _base64_bytes(2 * joints * layout.coordinates) + (_base64_bytes(joints) if with_confidence else 0)


def largest_error(radius: float) -> float:
    """Return by how much a coordinate may differ from the clip's at most, in a scene of that radius."""
    return _step(radius) / 2


def _base64_bytes(count: int) -> int:
    return 4 * (-(-count // 3))


def _step(radius: float) -> float:
    return _FARTHEST * radius / _LARGEST


def _skeleton(layout: Layout) -> dict[str, Any]:
    """Return what the player needs of a layout; everything else is computed here, once for all drawings."""
    return {
        "joints": layout.num_joints,
        "coordinates": layout.coordinates,
        "flat": layout.flat,
        "lines": lines_of(layout),
        "head": head_joints(layout),
        "face": joints_of(layout, FACE),
    }


def _marked_frames(clip: PlayedClip) -> list[int] | None:
    """Return the part of the marked stretch that lies in the clip."""
    if clip.marked_frames is None:
        return None
    first, last = max(clip.marked_frames[0], 0), min(clip.marked_frames[1], clip.versions[0].joints.shape[1] - 1)
    return [first, last] if first <= last else None


def _versions_and_legend(clip: PlayedClip) -> dict[str, Any]:
    """Return the versions of a clip, each in its own space, but with the same radius if their sizes are similar."""
    bodies = []
    for version in clip.versions:
        try:
            found = visible_joints(version.joints, clip.layout, version.frame_mask, version.joint_mask)
        except UserError as error:
            raise UserError(f"{printable(clip.name)}: {error}") from error
        bodies.append(found)
    scenes = [_scene(each) for each in bodies]
    radii = [scene.radius for scene, each in zip(scenes, bodies, strict=True) if has_joints(each).any()]
    if radii and max(radii) <= _COMPARABLE * min(radii):
        scenes = [Scene(scene.middle, max(radii), scene.size, scene.floors) for scene in scenes]
    versions = [
        _version(version, each, scene, clip.layout)
        for version, each, scene in zip(clip.versions, bodies, scenes, strict=True)
    ]
    numbers = sorted({number for version in versions for number in version["numbers"]})
    legend = [{"body": entry.body, "words": entry.words} for entry in legend_of(clip.layout, numbers)]
    return {"versions": versions, "legend": legend}


def _scene(bodies: Array) -> Scene:
    """Return the scene of bodies (M, T, V, 3), or one of no meaning if there is nothing to see."""
    if has_joints(bodies).any():
        return scene_of(bodies)
    return Scene(np.zeros(3), 1.0, 1.0, np.full(len(bodies), np.nan))


def _version(version: Version, bodies: Array, scene: Scene, layout: Layout) -> dict[str, Any]:
    seen = has_joints(bodies)
    kept = np.flatnonzero(seen.any(axis=1))  # bodies that are never present take no room
    joints = bodies[kept][..., : layout.coordinates]
    step, offset = _step(scene.radius), scene.middle[: layout.coordinates]
    missing = np.asarray(np.isnan(joints).any(axis=3))  # (M, T, V)
    numbers = np.clip(np.round((np.nan_to_num(joints) - offset) / step), -_LARGEST, _LARGEST)
    packed = np.where(missing[..., None], _MISSING, numbers).astype("<i2")
    return {
        "title": printable(version.title),
        "fps": float(version.fps),
        "frames": int(bodies.shape[1]),
        "bodies": len(kept),
        "numbers": kept.tolist(),
        "empty": not len(kept),
        "joints": _text(packed),
        "step": step,
        "offset": offset.tolist(),
        "confidence": _confidence(version, kept, missing),
        "scene": {
            "middle": scene.middle.tolist(),
            "radius": scene.radius,
            "size": scene.size,
            "floors": _floors(scene, kept),
        },
    }


def _floors(scene: Scene, kept: NDArray[np.int64]) -> list[float | None]:
    """Return the floor below each kept body, in radii above the middle of the scene."""
    heights = (scene.floors[kept] - scene.middle[1]) / scene.radius
    return [float(height) if np.isfinite(height) else None for height in heights]


def _confidence(version: Version, kept: NDArray[np.int64], missing: NDArray[np.bool_]) -> str | None:
    """Return the confidences; None if they are unknown, or full for all joints that are there."""
    if version.confidence is None:
        return None
    shares = np.clip(np.nan_to_num(version.confidence[kept]), 0, 1)
    if (shares[~missing] == 1).all():
        return None
    return _text(np.round(255 * shares).astype(np.uint8))


def _text(array: NDArray[Any]) -> str:
    return b64encode(array.tobytes()).decode("ascii")
