"""What all drawings of a clip share: its lines with their sides and colours, and its space.

Legend: M bodies, T frames, V joints, C coordinates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..skeleton.layout import Layout
from ..utils.errors import UserError

Array = NDArray[np.float64]

AZIMUTH_DEGREES, ELEVATION_DEGREES = 20.0, 12.0
MARGIN = 1.12  # half the width of the picture in radii of the scene
EYE_DISTANCE = 8.0  # in radii of the scene
LIMB_SHARE = 0.03  # thickness of a limb in units of the body's height
GRID_LINES = 7
FACE = ("nose", "eye", "ear", "mouth")
HALO_WIDTH, HALO_DEPTH = 1.5, 0.08  # below each limb: its width in limbs, and how far it is behind it, in radii
HEAD_WIDTH = 2.8  # in limbs
FAINTEST = 0.12  # opacity of a joint whose confidence is 0
DEFAULT_FPS = 30.0  # of clips whose frame rate is unknown


@dataclass(frozen=True)
class Palette:
    """The colours of a drawing; `bodies` are those of left, right and trunk of the first and of the second body."""

    background: str
    ink: str
    faint_ink: str
    grid: str
    shadow: str
    mark: str
    bodies: tuple[dict[str, str], ...]


LIGHT = Palette(
    background="#f8f8f5",
    ink="#22252b",
    faint_ink="#8b9099",
    grid="#e4e3dc",
    shadow="#d6d5cd",
    mark="#b3128a",
    bodies=(
        {"left": "#2a78d6", "right": "#e2574c", "trunk": "#3c4250"},
        {"left": "#0f9d8a", "right": "#d99a14", "trunk": "#75569e"},
    ),
)
DARK = Palette(
    background="#17191d",
    ink="#e8e9ec",
    faint_ink="#9aa0aa",
    grid="#2b2f36",
    shadow="#0c0d10",
    mark="#ff86dd",
    bodies=(
        {"left": "#5a9df0", "right": "#f07a70", "trunk": "#c3c8d2"},
        {"left": "#35c4b0", "right": "#f0b944", "trunk": "#b394dd"},
    ),
)


@dataclass(frozen=True)
class Scene:
    """The space of a clip.

    Attributes:
        middle: the point that the camera looks at, (3,).
        radius: the largest distance of the clip's joints from there.
        size: the height of a body.
        floors: (M,), the height of the floor below each body, which differs if the recording camera looked down; NaN
            below a body that is never present.
    """

    middle: Array
    radius: float
    size: float
    floors: Array


def visible_joints(
    joints: NDArray[Any],
    layout: Layout,
    frame_mask: NDArray[np.bool_] | None = None,
    joint_mask: NDArray[np.bool_] | None = None,
) -> Array:
    """Return joints (M, T, V, 3), y up, with NaN for every joint that is not drawn in a frame.

    Raises:
        UserError: the shape is not that of the layout.
    """
    shape = (layout.num_joints, layout.coordinates)
    if joints.ndim != 4 or joints.shape[2:] != shape:
        raise UserError(
            f"Cannot draw an array of shape {joints.shape} as {layout.name}: it should be bodies, frames, "
            f"{shape[0]} joints, and {shape[1]} coordinates."
        )
    bodies = np.zeros((*joints.shape[:3], 3))
    bodies[..., : shape[1]] = joints
    if layout.flat:
        bodies[..., 1] *= -1
    seen = np.asarray(np.isfinite(bodies).all(axis=3))  # (M, T, V)
    seen &= np.asarray(np.nan_to_num(bodies).any(axis=(2, 3)))[..., None]
    seen &= True if frame_mask is None else frame_mask[..., None]
    seen &= True if joint_mask is None else joint_mask
    bodies[~seen] = np.nan
    return bodies


def has_joints(bodies: Array) -> NDArray[np.bool_]:
    """Return which bodies (..., V, 3) have a joint that is drawn, (...)."""
    return np.asarray(np.isfinite(bodies).any(axis=(-2, -1)), bool)


def opacities(confidence: NDArray[Any] | None, shape: tuple[int, ...]) -> Array:
    """Return the opacity of joints of some shape, from their confidences from 0 to 1; None if those are unknown."""
    if confidence is None:
        return np.ones(shape)
    opaque: Array = FAINTEST + (1 - FAINTEST) * np.clip(np.nan_to_num(confidence), 0, 1)
    return opaque


def scene_of(bodies: Array) -> Scene:
    """Return the scene that contains all bodies (M, T, V, 3), except for single outlying joints.

    Raises:
        UserError: no frame has a body.
    """
    present = has_joints(bodies)
    if not present.any():
        raise UserError("There is nothing to draw: no frame of the clip has a body.")
    drawn = bodies[np.isfinite(bodies).all(axis=3)]  # (joints in frames, 3)
    low, high = np.percentile(drawn, [0.5, 99.5], axis=0)
    middle = (low + high) / 2
    width = np.percentile(np.linalg.norm((drawn - middle)[:, [0, 2]], axis=1), 99.5)
    heights = bodies[present][..., 1]  # (bodies in frames, V)
    size = float(np.median(np.nanmax(heights, axis=1) - np.nanmin(heights, axis=1)))
    tilt = np.radians(ELEVATION_DEGREES)
    radius = float(max(width, np.cos(tilt) * (high - low)[1] / 2 + np.sin(tilt) * width, 1e-6))
    floors = [_floor(body) for body in bodies]
    smallest = radius / (10 if bodies.shape[2] > 1 else 2)  # a single joint has no height, and is a disc
    return Scene(middle, radius, max(size, smallest), np.array(floors))


def _floor(body: Array) -> float:
    """Return the height of the floor below a body (T, V, 3), NaN if it is never present."""
    heights = body[has_joints(body)][..., 1]  # (frames with the body, V)
    return float(np.percentile(np.nanmin(heights, axis=1), 10)) if len(heights) else np.nan


def lines_of(layout: Layout) -> list[tuple[int, int, str]]:
    """Return the lines that draw a body: two joints, and the side whose colour the line has."""
    bones = [(*bone, side_of(layout, bone[0])) for bone in layout.bones]
    return [*bones, *((*edge, _side_of_edge(layout, edge)) for edge in layout.extra_edges)]


def side_of(layout: Layout, joint: int) -> str:
    """Return the side of a joint: left, right or trunk."""
    for left, right in layout.mirror:
        if joint in (left, right):
            return "left" if joint == left else "right"
    return "trunk"


def _side_of_edge(layout: Layout, edge: tuple[int, int]) -> str:
    """Return the side of an edge if both its joints are on it, else the trunk."""
    first, second = (side_of(layout, joint) for joint in edge)
    return first if first == second else "trunk"


def head_joints(layout: Layout) -> list[int]:
    """Return the joints in whose middle the head is: its own joint, else two ears or two eyes; else none."""
    if "head" in layout.joints:
        return [layout.joints.index("head")]
    pairs = (joints_of(layout, (part,)) for part in ("ear", "eye"))
    return next((pair for pair in pairs if len(pair) == 2), [])


def joints_of(layout: Layout, parts: Sequence[str]) -> list[int]:
    """Return the joints with one of these words in their names, such as `eye` in `left_eye_inner`."""
    return [joint for joint, name in enumerate(layout.joints) if set(name.split("_")) & set(parts)]
