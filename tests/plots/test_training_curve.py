"""The curve of a training: its panels, what they say, and the marked best epoch."""

import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from png_files import picture_size

from last.plots.training_curve import CurveFacts, draw_training_curve

pytest.importorskip("matplotlib")


pytestmark = pytest.mark.usefixtures("coarse_pictures")


def epoch(number: int, **changes: object) -> dict[str, object]:
    row: dict[str, object] = {"epoch": number, "learning_rate": 0.01, "train_loss": 1.0, "test_loss": 1.1}
    return row | {"train_top1": 60.0, "test_top1": 50.0 + number} | changes


@pytest.mark.parametrize("epochs", [1, 3, 30])
def test_training_curve_is_drawn_for_every_length(tmp_path: Path, epochs: int) -> None:
    draw_training_curve([epoch(number) for number in range(epochs)], tmp_path / "curve.png", "title")
    assert picture_size(tmp_path / "curve.png")[0] > 130


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_training_curve_leaves_out_values_that_are_not_finite(tmp_path: Path, broken: float) -> None:
    for name, value in (("broken.png", broken), ("missing.png", None)):
        rows = [epoch(0), epoch(1, test_top1=value, train_loss=value), epoch(2)]
        draw_training_curve(rows, tmp_path / name, "title")
    assert (tmp_path / "broken.png").read_bytes() == (tmp_path / "missing.png").read_bytes()


def test_training_curve_without_any_test_result_is_drawn(tmp_path: Path) -> None:
    draw_training_curve([epoch(0, test_top1=math.nan)], tmp_path / "curve.png", "title")
    assert (tmp_path / "curve.png").exists()


def curve_axes(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, object]], **facts: object) -> list[Any]:
    """Return the panels of a curve that is drawn, and not saved."""
    from matplotlib.figure import Figure

    panels: list[Any] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: (panels.extend(figure.axes), path.touch()))
    draw_training_curve(rows, Path(tempfile.mkdtemp()) / "curve.png", "title", CurveFacts(**facts))  # type: ignore[arg-type]
    return panels


def legend(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_the_curve_describes_each_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, *_ = curve_axes(monkeypatch, [epoch(0)], train="smoothed", test="plain")
    assert legend(loss) == ["train: smoothed", "test: plain"]


def test_the_curve_of_a_distilled_run_has_the_labels_part_beside_its_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [epoch(0, train_labels_loss=2.0), epoch(1, train_labels_loss=1.0)]
    loss, *_ = curve_axes(monkeypatch, rows, part=("train_labels_loss", "own"))
    assert legend(loss)[1] == "train: own"
    assert loss.get_lines()[1].get_ydata().tolist() == [2.0, 1.0]


def test_the_legend_lies_above_all_that_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    for rows in ([epoch(0)], [epoch(n, train_loss=2.0 - n) for n in range(3)], [epoch(0, train_loss=9.0), epoch(1)]):
        loss, *_ = curve_axes(monkeypatch, rows)
        loss.figure.canvas.draw()
        lower = loss.get_legend().get_window_extent().y0
        points = [point for line in loss.get_lines()[:2] for point in line.get_xydata()]
        assert all(loss.transData.transform(point)[1] < lower for point in points)


def test_a_loss_that_explodes_in_one_epoch_leaves_the_others_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [epoch(n, train_loss=1e4 if n == 3 else 2.0 - 0.1 * n) for n in range(9)]
    assert curve_axes(monkeypatch, rows)[0].get_yscale() == "log"
    assert curve_axes(monkeypatch, [epoch(n) for n in range(9)])[0].get_yscale() == "linear"


@pytest.mark.parametrize(("clips", "least"), [(None, 10), (16487, 10), (60, 100 / 3), (5, 100)])
def test_an_axis_of_percent_shows_twenty_clips_at_least(
    monkeypatch: pytest.MonkeyPatch, clips: int | None, least: float
) -> None:
    rows = [epoch(n, train_top1=99.0, test_top1=98.0 + n % 2) for n in range(4)]
    low, high = curve_axes(monkeypatch, rows, test_clips=clips)[1].get_ylim()
    assert high - low == pytest.approx(least)
    assert -4 < low < 98 and 99 < high < 104


def subtitle(axes: Any) -> str:
    return str(axes.texts[1].get_text())


def test_the_curve_says_what_one_clip_is_worth_where_it_can_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert subtitle(curve_axes(monkeypatch, [epoch(0)], test_clips=60)[0]).endswith("one of the 60 clips is 1.7 points")
    assert "clips" not in subtitle(curve_axes(monkeypatch, [epoch(0)], test_clips=16487)[0])


def test_the_best_epoch_is_that_of_the_weights_and_the_part_that_choose_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [epoch(n, ema_test_top1=60.0 - n, ema_val_top1=40.0 + n % 3) for n in range(6)]
    axes = curve_axes(monkeypatch, rows, weights="ema_")
    assert subtitle(axes[0]) == "test top-1: best 58.0% in epoch 2, chosen on held-out clips; last 55.0% in epoch 5"
    assert subtitle(curve_axes(monkeypatch, rows)[0]) == "test top-1: best 55.0% in epoch 5; last 55.0% in epoch 5"


def test_training_curve_without_epochs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one epoch"):
        draw_training_curve([], tmp_path / "curve.png", "title")
