"""Drawings of skeletons: a clip as an animation, as a film, or as a strip of single frames.

A body is seen in perspective from the front and slightly above, over a floor with its shadow; x points left, y up, z
into the picture, as a depth camera sees it: these axes are right-handed, so left and right are not exchanged. Bodies
with two coordinates are drawn flat, as in their picture, where y points down.
A layout is drawn from its bones and extra edges; its mirror pairs define left and right.
Legend: M bodies, T frames, V joints, C coordinates.
"""

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..skeleton.layout import Layout
from ..utils.errors import UserError
from ..utils.extras import extra_problem, fault_of
from ..utils.files import atomic_path
from ..utils.foreign_text import printable
from ..utils.program import install_command
from .drawing import (
    ELEVATION_DEGREES,
    EYE_DISTANCE,
    FACE,
    GRID_LINES,
    LIGHT,
    LIMB_SHARE,
    MARGIN,
    Array,
    Scene,
    has_joints,
    head_joints,
    joints_of,
    lines_of,
    scene_of,
    visible_joints,
)
from .figures import missing_letters_as_boxes
from .running_labels import RunningLabels, draw_labels

_INCHES, _DPI = 3.6, 100
_STRIP_INCHES = 1.9
_HEADER_INCHES = 0.52
_SWING_DEGREES = 24.0
_MOST_FRAMES = 50
_SHORTEST_DELAY_S = 0.03  # viewers slow down faster animations
_GIF_COLOURS = 24
_STRIP_FRAMES = 8
_LABELLED_FRAMES = 300  # of an animation whose labels change
_FILM_FPS, _FILM_FRAMES = 30.0, 5_400
_FILM_DPI = 150
_FILM_OPTIONS = ("-f", "mp4", "-pix_fmt", "yuv420p", "-movflags", "+faststart")
_LABELS_INCHES = 0.86


@dataclass(frozen=True)
class _View:
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
    """A thick line with round ends: its two ends in the picture, its depth, width and colour."""

    ends: Array
    depth: float
    width: float
    colour: str


def animate(
    joints: NDArray[Any],
    layout: Layout,
    path: Path,
    *,
    title: str = "",
    fps: float = 30,
    frame_mask: NDArray[np.bool_] | None = None,
    joint_mask: NDArray[np.bool_] | None = None,
    running: Sequence[RunningLabels] = (),
) -> None:
    """Write a clip as an animated GIF that repeats at the clip's speed.

    Args:
        joints: (M, T, V, C) positions, C as in the layout. A joint with a NaN is not drawn, nor are its bones. A body
            of NaN or zeros alone is not drawn in that frame.
        fps: frames per second of the clip; of a long clip only some frames are drawn.
        frame_mask: (M, T), whether each body is present; None to decide by its joints.
        joint_mask: (M, T, V), which joints were measured; None to decide by their positions.
        running: labels over time, of all bodies or of each of two, which are shown below.

    Raises:
        UserError: there is nothing to draw, the shape does not fit the layout, a library is missing, or the
            file cannot be written.
    """
    _require("PIL", "matplotlib")
    from PIL import Image as images

    bodies = visible_joints(joints, layout, frame_mask, joint_mask)
    scene, frames = scene_of(bodies), bodies.shape[1]
    most = _LABELLED_FRAMES if any(len(each.spans) > 1 for each in running) else _MOST_FRAMES
    count = int(np.clip(frames / fps / _SHORTEST_DELAY_S, 1, min(frames, most)))
    figure, (axes,) = _figure(1, _INCHES, title, layout, _LABELS_INCHES if running else 0.0)
    # One swing to each side per repetition, so that the animation repeats without a jump.
    swing = _SWING_DEGREES * np.sin(2 * np.pi * np.arange(frames) / frames)
    moments = np.arange(count) * frames // count
    views = [_View(layout, scene, float(swing[frame]), _limb_points(scene, _INCHES)) for frame in moments]
    drawn = _drawn_frames(figure, axes, bodies, zip(moments.tolist(), views, strict=True), fps, running)
    pictures = [_pixels(figure) for _ in drawn]
    # One palette for all frames, since a body may appear late and changing colours would flicker.
    palette = images.fromarray(np.concatenate(pictures[::8])).quantize(_GIF_COLOURS)
    first, *rest = (
        images.fromarray(picture).quantize(palette=palette, dither=images.Dither.NONE) for picture in pictures
    )
    # GIF delays are hundredths of a second; rounding the times instead of the delays keeps the speed.
    delays = np.diff(np.linspace(0, 100 * frames / fps, count + 1).round()).astype(int) * 10
    with atomic_path(path) as temporary:
        first.save(temporary, format="GIF", save_all=True, append_images=rest, duration=delays.tolist(), loop=0)


def film(
    joints: NDArray[Any],
    layout: Layout,
    path: Path,
    *,
    title: str = "",
    fps: float = 30,
    frame_mask: NDArray[np.bool_] | None = None,
    joint_mask: NDArray[np.bool_] | None = None,
    running: Sequence[RunningLabels] = (),
) -> None:
    """Write a clip as an MP4 film of the clip's speed, by ffmpeg; arguments and further errors are those of `animate`.

    Raises:
        UserError: ffmpeg is not installed, or cannot write the film.
    """
    _require("matplotlib")
    program = _ffmpeg()
    from matplotlib import rc_context
    from matplotlib.animation import FFMpegWriter

    bodies = visible_joints(joints, layout, frame_mask, joint_mask)
    scene, frames = scene_of(bodies), bodies.shape[1]
    count = int(np.clip(frames * min(1.0, _FILM_FPS / fps), 1, _FILM_FRAMES))
    figure, (axes,) = _figure(1, _INCHES, title, layout, _LABELS_INCHES if running else 0.0)
    view = _View(layout, scene, _SWING_DEGREES / 2, _limb_points(scene, _INCHES))
    moments = (np.arange(count) * frames // count).tolist()
    with atomic_path(path) as temporary, rc_context({"animation.ffmpeg_path": program}), missing_letters_as_boxes():
        writer = FFMpegWriter(fps=count * fps / frames, codec="h264", extra_args=[*_FILM_OPTIONS])
        try:
            with writer.saving(figure, str(temporary), _FILM_DPI):
                for _ in _drawn_frames(figure, axes, bodies, ((frame, view) for frame in moments), fps, running):
                    writer.grab_frame(facecolor=LIGHT.background)
        except (subprocess.CalledProcessError, BrokenPipeError) as error:
            raise UserError(f"ffmpeg ({program}) could not write {path}: {fault_of(error)}") from error


def _ffmpeg() -> str:
    """Return the path of ffmpeg: that of the system, or that of the package imageio-ffmpeg.

    Raises:
        UserError: there is none.
    """
    if found := shutil.which("ffmpeg"):
        return found
    try:
        path: str = import_module("imageio_ffmpeg").get_ffmpeg_exe()
        return path
    except (ImportError, RuntimeError):
        raise UserError(
            "Writing a film (.mp4) needs ffmpeg, which is not installed. Install it by your system's package manager, "
            f"or with: {install_command('imageio-ffmpeg')}. Or write an animation (.gif) or a page (.html)."
        ) from None


def _drawn_frames(
    figure: Any,
    axes: Any,
    bodies: Array,
    moments: Iterable[tuple[int, "_View"]],
    fps: float,
    running: Sequence[RunningLabels],
) -> Iterator[None]:
    """Draw one frame after the other of bodies (M, T, V, 3) into a figure, each replacing the previous one."""
    height = _LABELS_INCHES / figure.get_figheight()
    labels: list[Any] = []
    for frame, view in moments:
        _draw_frame(axes, bodies[:, frame], view, f"{frame / fps:.1f} s")
        for old in labels:
            old.remove()
        labels = draw_labels(figure, running, frame, height) if running else []
        yield


def draw_frames(
    joints: NDArray[Any],
    layout: Layout,
    path: Path,
    *,
    title: str = "",
    fps: float = 30,
    frame_mask: NDArray[np.bool_] | None = None,
    joint_mask: NDArray[np.bool_] | None = None,
) -> None:
    """Write eight frames of a clip as a PNG strip; arguments and errors are those of `animate`."""
    bodies = visible_joints(joints, layout, frame_mask, joint_mask)
    scene = scene_of(bodies)
    drawn_frames = np.linspace(0, bodies.shape[1] - 1, _STRIP_FRAMES).round().astype(int)
    view = _View(layout, scene, _SWING_DEGREES / 2, _limb_points(scene, _STRIP_INCHES))
    figure, all_axes = _figure(_STRIP_FRAMES, _STRIP_INCHES, title, layout)
    for axes, frame in zip(all_axes, drawn_frames, strict=True):
        _draw_frame(axes, bodies[:, frame], view, f"{frame / fps:.1f} s")
    with atomic_path(path) as temporary, missing_letters_as_boxes():
        figure.savefig(temporary, format="png", facecolor=LIGHT.background)


def _limb_points(scene: Scene, inches: float) -> float:
    """Return the width of a limb in points (1/72 inch), on axes of a size in inches."""
    return LIMB_SHARE * scene.size / scene.radius * 72 * inches / (2 * MARGIN)


def _figure(count: int, inches: float, title: str, layout: Layout, below: float = 0.0) -> tuple[Any, list[Any]]:
    """Return a figure of `count` square axes in a row, with a title and a legend of left and right above.

    Args:
        count: the number of axes.
        inches: their size.
        title: the title.
        layout: the layout of the bodies.
        below: inches that are left free below the axes.
    """
    _require("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = count * inches, inches + _HEADER_INCHES + below
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=LIGHT.background)
    FigureCanvasAgg(figure)
    heading = figure.text(0.14 / width, 1 - 0.21 / height, printable(title), color=LIGHT.ink, fontsize=12, va="center")
    heading.set(fontweight="bold", parse_math=False)  # a foreign name may have dollars
    if layout.mirror:
        colours = LIGHT.bodies[0]
        line = 1 - 0.43 / height
        figure.text(0.14 / width, line, "left", color=colours["left"], fontsize=9, va="center")
        figure.text(0.45 / width, line, "right", color=colours["right"], fontsize=9, va="center")
    all_axes = [figure.add_axes((index / count, below / height, 1 / count, inches / height)) for index in range(count)]
    for axes in all_axes:
        axes.set(xlim=(-MARGIN, MARGIN), ylim=(-MARGIN, MARGIN))
        axes.set_axis_off()
    return figure, all_axes


def _draw_frame(axes: Any, bodies: Array, view: _View, caption: str) -> None:
    """Draw the bodies (M, V, 3) of one frame, replacing the previous one."""
    from matplotlib.collections import LineCollection

    for old in [*axes.collections, *axes.texts]:
        old.remove()
    shown = [(number, body) for number, body in enumerate(bodies) if has_joints(body)]
    shadows: list[_Stroke] = []
    if not view.layout.flat:
        grid, _ = view.project(_floor_grid(view.scene))
        axes.add_collection(LineCollection(list(grid), colors=LIGHT.grid, linewidths=0.8))
        shadows = [stroke for number, body in shown for stroke in _shadow(body, number, view)]
    limbs = [stroke for number, body in shown for stroke in _limbs(body, number, view)]
    for strokes in (shadows, sorted(limbs, key=lambda stroke: -stroke.depth)):
        drawn = LineCollection(
            [stroke.ends for stroke in strokes],
            colors=[stroke.colour for stroke in strokes],
            linewidths=[stroke.width for stroke in strokes],
            capstyle="round",
            snap=False,
        )
        axes.add_collection(drawn)
    axes.text(0.965, 0.03, caption, transform=axes.transAxes, ha="right", color=LIGHT.faint_ink, fontsize=9)


def _limbs(body: Array, number: int, view: _View) -> Iterator[_Stroke]:
    """Yield the strokes of one body (V, 3): each bone on a wider stroke of the background colour, and the head."""
    layout = view.layout
    points, depths = view.project(body)
    colours = LIGHT.bodies[number % len(LIGHT.bodies)]
    for first, second, side in lines_of(layout):
        ends, depth = points[[first, second]], float(depths[[first, second]].mean())
        if np.isnan(depth):
            continue
        yield _Stroke(ends, depth + 0.08, view.limb * 1.5, LIGHT.background)
        yield _Stroke(ends, depth, view.limb, colours[side])
    if head := [joint for joint in head_joints(layout) if not np.isnan(depths[joint])]:
        # A very short line with round ends is a disc.
        disc = points[head].mean(axis=0) + np.array([[0.0, 0.0], [0.004, 0.0]])
        nearest = np.nanmin(depths[[*head, *joints_of(layout, FACE)]])  # draws a face on its head, not behind it
        yield _Stroke(disc, float(nearest), view.limb * 2.8, colours["trunk"])


def _shadow(body: Array, number: int, view: _View) -> Iterator[_Stroke]:
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


def _pixels(figure: Any) -> NDArray[np.uint8]:
    """Return a figure as an image (height, width, 3)."""
    with missing_letters_as_boxes():
        figure.canvas.draw()
    image: NDArray[np.uint8] = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    return np.ascontiguousarray(image)


def _require(*packages: str) -> None:
    """Raise an error if a package cannot be imported."""
    for package in packages:
        problem = extra_problem(package, "Drawing a skeleton")
        if problem is not None:
            raise problem
