"""The picture of a sweep."""

from pathlib import Path

import pytest
from matplotlib.axes import Axes

from last.evaluation.paired import Difference
from last.experiments.sweep.figure import draw_sweep
from last.experiments.sweep.results import VariantResult
from last.utils.spread import MeanDeviation


def result(name: str, difference: Difference | None) -> VariantResult:
    return VariantResult(name, [], {}, MeanDeviation.of([50.0]), MeanDeviation.of([50.0]), difference, (1, 1), 0.1)


@pytest.mark.usefixtures("coarse_pictures")
def test_each_variant_with_a_difference_has_a_line(tmp_path: Path) -> None:
    found = [Difference(mean, mean - 1, mean + 1, 100, 3) for mean in (2.0, -2.0, 0.1)]
    results = [result("baseline", None), *(result(f"variant{number}", each) for number, each in enumerate(found))]
    draw_sweep(results[:2], "nano_e on tiny", "test clips", tmp_path / "one.png")
    draw_sweep(results, "nano_e on tiny", "test clips", tmp_path / "three.png")
    sizes = [(tmp_path / name).read_bytes() for name in ("one.png", "three.png")]
    assert all(each.startswith(b"\x89PNG") for each in sizes)
    assert len(sizes[0]) < len(sizes[1])


def test_nothing_is_drawn_without_a_difference(tmp_path: Path) -> None:
    draw_sweep([result("baseline", None)], "nano_e on tiny", "test clips", tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_the_axis_names_the_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[str] = []
    monkeypatch.setattr(Axes, "set_xlabel", lambda _, text, **__: labels.append(text))
    results = [result("slow", Difference(1.0, 0.5, 1.5, 100, 3))]
    draw_sweep(results, "nano_e on tiny", "held-out training clips", tmp_path / "one.png")
    assert labels == ["top-1 on held-out training clips, percentage points"]
