"""Pictures of long recordings."""

from pathlib import Path

import numpy as np
import pytest

from last.plots.timelines import draw_timeline

pytestmark = pytest.mark.usefixtures("coarse_pictures")


@pytest.mark.parametrize("classes", [2, 60])
def test_a_timeline_is_drawn_for_any_number_of_classes(classes: int, tmp_path: Path) -> None:
    labels = np.repeat(np.arange(-1, classes), 4)
    names = [f"$class {number}" for number in range(classes)]
    for background in (-1, 0):
        path = tmp_path / f"{background}.png"
        draw_timeline(labels, labels[::-1], names, path, "day 1", subtitle="all", fps=25.0, background=background)
        assert path.read_bytes()[:4] == b"\x89PNG"


def test_a_timeline_without_events_or_frame_rate_is_drawn(tmp_path: Path) -> None:
    empty = np.zeros(3, np.int64)
    draw_timeline(empty, empty, ["background"], tmp_path / "a.png", "day", background=0)
    assert (tmp_path / "a.png").stat().st_size > 1000
