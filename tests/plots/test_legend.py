"""The legend of a drawing: the same words for pictures and pages, and only what tells bodies or sides apart."""

from pathlib import Path

import numpy as np
import pytest

from last.plots.drawing import LIGHT
from last.plots.legend import Entry, draw_legend, legend_of
from last.skeleton import Layout, load_layout

SIDED = load_layout("sbu15")
PAIR = Layout("pair", ("one", "other"), ((1, 0),), 0, 0, ())
SIDES = (("left", "left"), ("right", "right"))


def test_one_body_has_its_sides_in_its_own_colours() -> None:
    assert legend_of(SIDED, [0]) == [Entry(0, SIDES)]
    assert legend_of(SIDED, [1]) == [Entry(1, SIDES)]
    assert legend_of(SIDED, []) == []


def test_several_bodies_are_named_and_those_of_the_same_colours_together() -> None:
    assert legend_of(SIDED, [0, 1]) == [Entry(0, (("body 1:", ""), *SIDES)), Entry(1, (("body 2:", ""), *SIDES))]
    assert [entry.words[0][0] for entry in legend_of(SIDED, [0, 1, 2])] == ["bodies 1, 3:", "body 2:"]


def test_bodies_without_sides_have_the_colour_of_the_trunk() -> None:
    assert legend_of(PAIR, [0]) == []
    assert legend_of(PAIR, [0, 1]) == [Entry(0, (("body 1", "trunk"),)), Entry(1, (("body 2", "trunk"),))]


@pytest.mark.parametrize("bodies", [[0], [1], [0, 1]])
def test_a_legend_is_written_with_lines_of_the_colours_that_it_names(bodies: list[int], tmp_path: Path) -> None:
    images = pytest.importorskip("PIL.Image")
    figures = pytest.importorskip("matplotlib.figure")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = figures.Figure(figsize=(3.6, 1.0), dpi=100, facecolor=LIGHT.background)
    FigureCanvasAgg(figure)
    draw_legend(figure, legend_of(SIDED, bodies), 0.14, 0.5)
    figure.savefig(tmp_path / "legend.png", facecolor=LIGHT.background)
    with images.open(tmp_path / "legend.png") as image:
        seen = {tuple(colour) for colour in np.asarray(image.convert("RGB")).reshape(-1, 3).tolist()}
    for number, colours in enumerate(LIGHT.bodies):
        for side in ("left", "right"):
            assert (tuple(bytes.fromhex(colours[side][1:])) in seen) == (number in bodies)
