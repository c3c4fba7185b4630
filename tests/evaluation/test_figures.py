import math
import sys
from pathlib import Path

import numpy as np
import pytest

from last.evaluation import figures
from last.evaluation.figures import draw_class_accuracy, draw_confusion, draw_training_curve
from last.evaluation.metrics import ClassResult
from last.utils.errors import UserError

pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def coarse_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw with a third of the pixels, for speed."""
    monkeypatch.setattr(figures, "_DOTS_PER_INCH", 50)


def picture_size(path: Path) -> tuple[int, int]:
    """Return (width, height) from a PNG's header."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def epoch(number: int, **changes: object) -> dict[str, object]:
    row: dict[str, object] = {"epoch": number, "learning_rate": 0.01, "train_loss": 1.0, "test_loss": 1.1}
    return row | {"train_top1": 60.0, "test_top1": 50.0 + number} | changes


def result(index: int, accuracy: float | None) -> ClassResult:
    return ClassResult(index, 10, 5, accuracy, None, None, 0)


@pytest.mark.parametrize("classes", [1, 8, 60])
def test_confusion_is_drawn_for_few_and_many_classes(tmp_path: Path, classes: int) -> None:
    path = tmp_path / "deep" / "confusion.png"
    draw_confusion(np.eye(classes, dtype=np.int64), [f"class {n}" for n in range(classes)], path, "title")
    width, height = picture_size(path)
    assert min(width, height) > 130


def test_long_class_names_widen_the_picture_up_to_a_limit(tmp_path: Path) -> None:
    widths = []
    for length in (5, 30, 300, 3000):
        path = tmp_path / f"{length}.png"
        draw_confusion(np.eye(3, dtype=np.int64), ["n" * length] * 3, path, "title")
        widths.append(picture_size(path)[0])
    assert widths[0] < widths[1] < widths[2] == widths[3]


def test_picture_of_very_many_classes_stays_within_bounds(tmp_path: Path) -> None:
    path = tmp_path / "confusion.png"
    draw_confusion(np.eye(400, dtype=np.int64), [str(n) for n in range(400)], path, "title")
    assert max(picture_size(path)) < 1700


def test_class_names_are_never_read_as_mathematics(tmp_path: Path) -> None:
    names = ["$unbalanced", r"$\frac{$", "two\nlines"]
    draw_confusion(np.eye(3, dtype=np.int64), names, tmp_path / "confusion.png", r"$\title")
    draw_class_accuracy([result(n, 50.0) for n in range(3)], names, tmp_path / "bars.png", r"$\title")


def test_class_without_clips_is_drawn_without_a_warning(tmp_path: Path) -> None:
    draw_confusion(np.diag([3, 0]).astype(np.int64), ["seen", "unseen"], tmp_path / "confusion.png", "title")


def test_the_same_confusion_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        draw_confusion(np.eye(4, dtype=np.int64), list("abcd"), tmp_path / name, "title")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_class_accuracy_shows_at_most_twenty_classes(tmp_path: Path) -> None:
    heights = []
    for classes in (5, 20, 60):
        path = tmp_path / f"{classes}.png"
        results = [result(n, float(n)) for n in range(classes)]
        draw_class_accuracy(results, [str(n) for n in range(classes)], path, "title")
        heights.append(picture_size(path)[1])
    assert heights[0] < heights[1] == heights[2]


def test_class_accuracy_of_no_rated_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No class"):
        draw_class_accuracy([result(0, None)], ["a"], tmp_path / "bars.png", "title")


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


def test_training_curve_without_epochs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one epoch"):
        draw_training_curve([], tmp_path / "curve.png", "title")


def test_drawing_leaves_matplotlibs_settings_alone(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw_training_curve([epoch(0)], tmp_path / "curve.png", "title")
    assert dict(matplotlib.rcParams) == before


def test_missing_matplotlib_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"last-har\[plots\]"):
        draw_training_curve([epoch(0)], tmp_path / "curve.png", "title")
