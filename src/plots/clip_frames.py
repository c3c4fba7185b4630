"""One frame of a clip, drawn on axes of matplotlib as the player of pages draws it.

Legend: M bodies, T frames, V joints, C coordinates.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..skeleton.layout import Layout
from .drawing import (
    DEFAULT_FPS,
    ELEVATION_DEGREES,
    EYE_DISTANCE,
    FACE,
    GRID_LINES,
    HALO_DEPTH,
    HALO_WIDTH,
    HEAD_WIDTH,
    LIGHT,
    LIMB_SHARE,
    MARGIN,
    Array,
    Scene,
    has_joints,
    head_joints,
    joints_of,
    lines_of,
    opacities,
    scene_of,
    visible_joints,
)


@dataclass(frozen=True)
class View:
    """The camera's view of a scene: azimuth in degrees, and the width of limbs in points."""

    layout: Layout
    scene: Scene
    azimuth: float
    limb: float

    def project(self, points: Array) -> tuple[Array, Array]:
        """Return positions in the picture (..., 2), from -1 to 1 within the scene, and depths (...,)."""
        x, y, z = np.moveaxis((points - self.scene.middle) / self.scene.radius, -1, 0)
        x = x if self.layout.flat else -x
        turn, tilt = (0.0, 0.0) if self.layout.flat else np.radians((self.azimuth, ELEVATION_DEGREES))
        x, z = np.cos(turn) * x - np.sin(turn) * z, np.sin(turn) * x + np.cos(turn) * z
        y, z = np.cos(tilt) * y + np.sin(tilt) * z, np.cos(tilt) * z - np.sin(tilt) * y
        nearness = EYE_DISTANCE / (EYE_DISTANCE + z)
        return np.stack([x * nearness, y * nearness], axis=-1), z


@dataclass(frozen=True)
class _Stroke:
    """A thick line with round ends: its two ends in the picture, its depth, width, colour and opacity."""

    ends: Array
    depth: float
    width: float
    colour: str
    opacity: float = 1.0


@dataclass(frozen=True)
class DrawnClip:
    """A clip to be drawn: its bodies (M, T, V, 3), the opacity of each joint (M, T, V), and its space."""

    layout: Layout
    bodies: Array
    opacity: Array
    scene: Scene
    fps: float

    @property
    def frames(self) -> int:
        return int(self.bodies.shape[1])

    @property
    def speed(self) -> float:
        """Return the frames per second at which it is shown."""
        return self.fps or DEFAULT_FPS

    def caption(self, frame: int) -> str:
        """Return the time of a frame; its number if the frame rate is unknown."""
        return f"{frame / self.fps:.1f} s" if self.fps else f"{frame + 1} / {self.frames}"

    def view(self, azimuth: float, inches: float) -> View:
        return View(self.layout, self.scene, azimuth, _limb_points(self.scene, inches))


def drawn_clip(
    joints: NDArray[Any],
    layout: Layout,
    fps: float,
    frame_mask: NDArray[np.bool_] | None,
    joint_mask: NDArray[np.bool_] | None,
    confidence: NDArray[Any] | None,
) -> DrawnClip:
    """Return a clip to be drawn; arguments and errors are those of `animate`."""
    bodies = visible_joints(joints, layout, frame_mask, joint_mask)
    return DrawnClip(layout, bodies, opacities(confidence, bodies.shape[:3]), scene_of(bodies), fps)


def draw_frame(axes: Any, clip: DrawnClip, frame: int, view: View) -> None:
    """Draw the bodies of one frame, replacing the previous one."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba

    for old in [*axes.collections, *axes.texts]:
        old.remove()
    bodies, opacity = clip.bodies[:, frame], clip.opacity[:, frame]
    shown = [(number, body) for number, body in enumerate(bodies) if has_joints(body)]
    shadows: list[_Stroke] = []
    if not view.layout.flat:
        grid, _ = view.project(_floor_grid(view.scene))
        axes.add_collection(LineCollection(list(grid), colors=LIGHT.grid, linewidths=0.8))
        shadows = [stroke for number, body in shown for stroke in _shadow(body, number, view)]
    limbs = [stroke for number, body in shown for stroke in _limbs(body, number, opacity[number], view)]
    for strokes in (shadows, sorted(limbs, key=lambda stroke: -stroke.depth)):
        drawn = LineCollection(
            [stroke.ends for stroke in strokes],
            colors=[to_rgba(stroke.colour, stroke.opacity) for stroke in strokes],
            linewidths=[stroke.width for stroke in strokes],
            capstyle="round",
            snap=False,
        )
        axes.add_collection(drawn)
    axes.text(0.965, 0.03, clip.caption(frame), transform=axes.transAxes, ha="right", color=LIGHT.faint_ink, fontsize=9)


def _limbs(body: Array, number: int, opacity: Array, view: View) -> Iterator[_Stroke]:
    """Yield the strokes of one body (V, 3): each bone on a wider stroke of the background colour, and the head.

    A bone is as opaque as the fainter of its two joints, (V,).
    """
    layout = view.layout
    points, depths = view.project(body)
    colours = LIGHT.bodies[number % len(LIGHT.bodies)]
    lines = lines_of(layout)
    for first, second, side in lines:
        ends, depth = points[[first, second]], float(depths[[first, second]].mean())
        if np.isnan(depth):
            continue
        faint = float(opacity[[first, second]].min())
        yield _Stroke(ends, depth + HALO_DEPTH, view.limb * HALO_WIDTH, LIGHT.background, faint)
        yield _Stroke(ends, depth, view.limb, colours[side], faint)
    singles = [] if lines else [[joint] for joint in range(layout.num_joints)]  # a layout of one joint
    for group in [*singles, head_joints(layout)]:
        if discs := [joint for joint in group if not np.isnan(depths[joint])]:
            # A very short line with round ends is a disc.
            disc = points[discs].mean(axis=0) + np.array([[0.0, 0.0], [0.004, 0.0]])
            nearest = np.nanmin(depths[[*discs, *joints_of(layout, FACE)]])  # a face is on its head, not behind it
            faint = float(opacity[discs].min())
            yield _Stroke(disc, float(nearest), view.limb * HEAD_WIDTH, colours["trunk"], faint)


def _shadow(body: Array, number: int, view: View) -> Iterator[_Stroke]:
    """Yield the strokes of a body's shadow, straight below it on the floor."""
    flat = body.copy()
    flat[:, 1] = view.scene.floors[number]
    points, depths = view.project(flat)
    for first, second, _ in lines_of(view.layout):
        if not np.isnan(depths[[first, second]]).any():
            yield _Stroke(points[[first, second]], float(depths[first]), view.limb * 1.1, LIGHT.shadow)


def _floor_grid(scene: Scene) -> Array:
    """Return the lines of a square grid on the floor, (lines, 2, 3)."""
    steps = np.linspace(-1.0, 1.0, GRID_LINES) * scene.radius
    edge, level = np.full_like(steps, scene.radius), np.zeros_like(steps)
    across = np.stack([np.stack([-edge, level, steps], axis=-1), np.stack([edge, level, steps], axis=-1)], axis=1)
    along = across[..., ::-1]
    floor = np.array([scene.middle[0], np.nanmean(scene.floors), scene.middle[2]])
    lines: Array = np.concatenate([across, along]) + floor
    return lines


def _limb_points(scene: Scene, inches: float) -> float:
    """Return the width of a limb in points (1/72 inch), on axes of a size in inches."""
    return LIMB_SHARE * scene.size / scene.radius * 72 * inches / (2 * MARGIN)
