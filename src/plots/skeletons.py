"""Drawings of skeletons: a clip as an animation, as a film, or as a strip of single frames.

A body is seen in perspective from the front and slightly above, over a floor with its shadow; x points left, y up, z
into the picture, as a depth camera sees it: these axes are right-handed, so left and right are not exchanged. Bodies
with two coordinates are drawn flat, as in their picture, where y points down.
A layout is drawn from its bones and extra edges; its mirror pairs define left and right. A joint of low confidence is
faint. The player of pages, in `player/drawing.js`, draws the same.
Legend: M bodies, T frames, V joints, C coordinates.
"""

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
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
from .clip_frames import DrawnClip, View, draw_frame, drawn_clip
from .drawing import AZIMUTH_DEGREES, DEFAULT_FPS, LIGHT, MARGIN, has_joints
from .figures import missing_letters_as_boxes
from .legend import draw_legend, legend_of
from .running_labels import RunningLabels, draw_labels

_INCHES, _DPI = 3.6, 100
_STRIP_INCHES = 1.9
_HEADER_INCHES = 0.52
_SWING_DEGREES = 24.0
_MOST_FRAMES = 50
_SHORTEST_DELAY_S = 0.03  # viewers slow down faster animations
_GIF_COLOURS, _GIF_FADED_COLOURS = 24, 128  # the latter for joints of different opacities
_STRIP_FRAMES = 8
_LABELLED_FRAMES = 300  # of an animation whose labels change
_FILM_FPS, _FILM_FRAMES = 30.0, 5_400
_FILM_DPI = 150
_FILM_OPTIONS = ("-f", "mp4", "-pix_fmt", "yuv420p", "-movflags", "+faststart")
_LABELS_INCHES = 0.86


def animate(
    joints: NDArray[Any],
    layout: Layout,
    path: Path,
    *,
    title: str = "",
    fps: float = DEFAULT_FPS,
    frame_mask: NDArray[np.bool_] | None = None,
    joint_mask: NDArray[np.bool_] | None = None,
    confidence: NDArray[Any] | None = None,
    running: Sequence[RunningLabels] = (),
) -> None:
    """Write a clip as an animated GIF that repeats at the clip's speed.

    Args:
        joints: (M, T, V, C) positions, C as in the layout. A joint with a NaN is not drawn, nor are its bones. A body
            of NaN or zeros alone is not drawn in that frame.
        fps: frames per second of the clip, 0 if unknown; of a long clip only some frames are drawn.
        frame_mask: (M, T), whether each body is present; None to decide by its joints.
        joint_mask: (M, T, V), which joints were measured; None to decide by their positions.
        confidence: (M, T, V) from 0 to 1, shown as opacity; None if it is unknown.
        running: labels over time, of all bodies or of each of two, which are shown below.

    Raises:
        UserError: there is nothing to draw, the shape does not fit the layout, a library is missing, or the
            file cannot be written.
    """
    _require("PIL", "matplotlib")
    from PIL import Image as images

    clip = drawn_clip(joints, layout, fps, frame_mask, joint_mask, confidence)
    frames = clip.frames
    most = _LABELLED_FRAMES if any(len(each.spans) > 1 for each in running) else _MOST_FRAMES
    count = int(np.clip(frames / clip.speed / _SHORTEST_DELAY_S, 1, min(frames, most)))
    figure, (axes,) = _figure(1, _INCHES, title, clip, _LABELS_INCHES if running else 0.0)
    # One swing to each side per repetition, so that the animation repeats without a jump.
    swing = _SWING_DEGREES * np.sin(2 * np.pi * np.arange(frames) / frames)
    moments = np.arange(count) * frames // count
    views = [clip.view(float(swing[frame]), _INCHES) for frame in moments]
    drawn = _drawn_frames(figure, axes, clip, zip(moments.tolist(), views, strict=True), running)
    pictures = [_pixels(figure) for _ in drawn]
    # One palette for all frames, since a body may appear late and changing colours would flicker.
    palette = _palette(np.concatenate(pictures[::8]), is_faded=bool((clip.opacity < 1).any()))
    first, *rest = (
        images.fromarray(picture).quantize(palette=palette, dither=images.Dither.NONE) for picture in pictures
    )
    # GIF delays are hundredths of a second; rounding the times instead of the delays keeps the speed.
    delays = np.diff(np.linspace(0, 100 * frames / clip.speed, count + 1).round()).astype(int) * 10
    with atomic_path(path) as temporary:
        first.save(temporary, format="GIF", save_all=True, append_images=rest, duration=delays.tolist(), loop=0)


def _palette(sample: NDArray[np.uint8], *, is_faded: bool) -> Any:
    """Return a palette for the pixels of a sample, as an image; `is_faded` if joints differ in opacity."""
    from PIL import Image as images

    if not is_faded:
        return images.fromarray(sample).quantize(_GIF_COLOURS)
    # A faint limb has few pixels, so each colour counts once; and the colours that fill areas stay as they are.
    exact = [LIGHT.background, LIGHT.grid, LIGHT.shadow, *(colour for body in LIGHT.bodies for colour in body.values())]
    seen = np.unique(sample.reshape(-1, 3), axis=0)
    others = images.fromarray(seen[None]).quantize(_GIF_FADED_COLOURS).getpalette() or []
    palette = images.new("P", (1, 1))
    palette.putpalette([*b"".join(bytes.fromhex(colour[1:]) for colour in exact), *others])
    return palette


def film(
    joints: NDArray[Any],
    layout: Layout,
    path: Path,
    *,
    title: str = "",
    fps: float = DEFAULT_FPS,
    frame_mask: NDArray[np.bool_] | None = None,
    joint_mask: NDArray[np.bool_] | None = None,
    confidence: NDArray[Any] | None = None,
    running: Sequence[RunningLabels] = (),
) -> None:
    """Write a clip as an MP4 film of the clip's speed, by ffmpeg; arguments and further errors are those of `animate`.

    Raises:
        UserError: ffmpeg is not installed, or cannot write the film.
    """
    _require("matplotlib")
    program = film_program("Writing a film (.mp4)")
    from matplotlib import rc_context
    from matplotlib.animation import FFMpegWriter

    clip = drawn_clip(joints, layout, fps, frame_mask, joint_mask, confidence)
    frames = clip.frames
    count = int(np.clip(frames * min(1.0, _FILM_FPS / clip.speed), 1, _FILM_FRAMES))
    figure, (axes,) = _figure(1, _INCHES, title, clip, _LABELS_INCHES if running else 0.0)
    view = clip.view(AZIMUTH_DEGREES, _INCHES)
    moments = ((frame, view) for frame in (np.arange(count) * frames // count).tolist())
    rate: Any = count * clip.speed / frames  # any number, although its annotation says a whole one
    with atomic_path(path) as temporary, rc_context({"animation.ffmpeg_path": program}), missing_letters_as_boxes():
        writer = FFMpegWriter(fps=rate, codec="h264", extra_args=[*_FILM_OPTIONS])
        try:
            with writer.saving(figure, str(temporary), _FILM_DPI):
                for _ in _drawn_frames(figure, axes, clip, moments, running):
                    writer.grab_frame(facecolor=LIGHT.background)
        except (subprocess.CalledProcessError, BrokenPipeError) as error:
            raise UserError(f"ffmpeg ({program}) could not write {path}: {fault_of(error)}") from error


def film_program(purpose: str) -> str:
    """Return the path of ffmpeg: that of the system, or that of the package imageio-ffmpeg.

    Args:
        purpose: what it is needed for, such as `Writing a film`.

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
            f"{purpose} needs ffmpeg, which is not installed. Install it by your system's package manager, or with: "
            f"{install_command('imageio-ffmpeg')}. Or write an animation (.gif) or a page (.html)."
        ) from None


def _drawn_frames(
    figure: Any,
    axes: Any,
    clip: DrawnClip,
    moments: Iterable[tuple[int, View]],
    running: Sequence[RunningLabels],
) -> Iterator[None]:
    """Draw one frame after the other of a clip into a figure, each replacing the previous one."""
    height = _LABELS_INCHES / figure.get_figheight()
    labels: list[Any] = []
    for frame, view in moments:
        draw_frame(axes, clip, frame, view)
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
    fps: float = DEFAULT_FPS,
    frame_mask: NDArray[np.bool_] | None = None,
    joint_mask: NDArray[np.bool_] | None = None,
    confidence: NDArray[Any] | None = None,
) -> None:
    """Write eight frames of a clip as a PNG strip; arguments and errors are those of `animate`."""
    clip = drawn_clip(joints, layout, fps, frame_mask, joint_mask, confidence)
    moments = np.linspace(0, clip.frames - 1, _STRIP_FRAMES).round().astype(int).tolist()
    view = clip.view(AZIMUTH_DEGREES, _STRIP_INCHES)
    figure, all_axes = _figure(_STRIP_FRAMES, _STRIP_INCHES, title, clip)
    for axes, frame in zip(all_axes, moments, strict=True):
        draw_frame(axes, clip, frame, view)
    with atomic_path(path) as temporary, missing_letters_as_boxes():
        figure.savefig(temporary, format="png", facecolor=LIGHT.background)


def _figure(count: int, inches: float, title: str, clip: DrawnClip, below: float = 0.0) -> tuple[Any, list[Any]]:
    """Return a figure of `count` square axes in a row, with a title and the legend above.

    Args:
        count: the number of axes.
        inches: their size.
        title: the title.
        clip: what is drawn.
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
    bodies = np.flatnonzero(has_joints(clip.bodies).any(axis=1)).tolist()
    draw_legend(figure, legend_of(clip.layout, bodies), 0.14, height - 0.42)
    all_axes = [figure.add_axes((index / count, below / height, 1 / count, inches / height)) for index in range(count)]
    for axes in all_axes:
        axes.set(xlim=(-MARGIN, MARGIN), ylim=(-MARGIN, MARGIN))
        axes.set_axis_off()
    return figure, all_axes


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
