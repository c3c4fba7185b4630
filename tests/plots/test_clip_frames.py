"""Frames of a clip: confidence as opacity, times or numbers as captions, and a layout without any bone."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from last.plots.clip_frames import draw_frame, drawn_clip
from last.plots.drawing import FAINTEST, LIGHT
from last.skeleton import Layout, load_layout

Image = pytest.importorskip("PIL.Image")
figures = pytest.importorskip("matplotlib.figure")

LAYOUT = load_layout("sbu15")
LEFT, RIGHT = (np.array([*bytes.fromhex(LIGHT.bodies[0][side][1:])]) for side in ("left", "right"))


def picture_of(
    joints: NDArray[np.float64], layout: Layout, path: Path, confidence: NDArray[np.float64] | None = None
) -> NDArray[np.uint8]:
    """Return the first frame as an image without its caption."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = figures.Figure(figsize=(4, 4), dpi=100, facecolor=LIGHT.background)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1))
    axes.set_axis_off()
    clip = drawn_clip(joints, layout, 30.0, None, None, confidence)
    draw_frame(axes, clip, 0, clip.view(20.0, 4.0))
    figure.savefig(path, facecolor=LIGHT.background)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def has(picture: NDArray[np.uint8], colour: NDArray[np.float64], pixels: int = 100) -> bool:
    """Tell whether a colour fills an area, and not single pixels at the edges of limbs."""
    return int((np.abs(picture.astype(float) - colour).max(axis=2) <= 1).sum()) > pixels


def body() -> NDArray[np.float64]:
    return np.random.default_rng(0).uniform(-0.8, 0.8, (1, 1, 15, 3))


def test_a_joint_of_no_confidence_makes_its_bones_faint_and_no_others(tmp_path: Path) -> None:
    confidence = np.ones((1, 1, 15))
    confidence[..., [joint for joint, name in enumerate(LAYOUT.joints) if name.startswith("left")]] = 0.0
    plain = picture_of(body(), LAYOUT, tmp_path / "plain.png")
    faded = picture_of(body(), LAYOUT, tmp_path / "faded.png", confidence)
    background = np.array([*bytes.fromhex(LIGHT.background[1:])])
    faint = FAINTEST * LEFT + (1 - FAINTEST) * background
    assert has(plain, LEFT) and not has(plain, faint)
    assert has(faded, faint) and not has(faded, LEFT)
    assert has(plain, RIGHT) and has(faded, RIGHT)


def test_full_confidence_and_none_draw_the_same(tmp_path: Path) -> None:
    plain = picture_of(body(), LAYOUT, tmp_path / "plain.png")
    assert (plain == picture_of(body(), LAYOUT, tmp_path / "full.png", np.ones((1, 1, 15)))).all()


def test_unknown_confidences_are_as_faint_as_none_at_all() -> None:
    unknown = drawn_clip(body(), LAYOUT, 30.0, None, None, np.full((1, 1, 15), np.nan))
    assert (unknown.opacity == FAINTEST).all()


def test_a_layout_of_one_joint_is_drawn_as_a_disc(tmp_path: Path) -> None:
    point = Layout("point", ("snout",), (), 0, 0, ())
    picture = picture_of(np.array([[[[0.0, 0.5, 0.5]], [[1.0, 0.5, 0.5]]]]), point, tmp_path / "point.png")
    assert has(picture, np.array([*bytes.fromhex(LIGHT.bodies[0]["trunk"][1:])]), 10)


def test_the_caption_is_the_time_or_the_number_of_a_frame_if_the_rate_is_unknown() -> None:
    joints = np.repeat(body(), 40, axis=1)
    assert drawn_clip(joints, LAYOUT, 20.0, None, None, None).caption(30) == "1.5 s"
    assert drawn_clip(joints, LAYOUT, 0.0, None, None, None).caption(30) == "31 / 40"
