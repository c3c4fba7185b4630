import sys
from pathlib import Path

import numpy as np
import pytest
from png_files import picture_size

from last.evaluation.metrics import ClassResult
from last.plots import figures
from last.plots.figures import draw_class_accuracy, draw_confusion
from last.plots.training_curve import draw_training_curve
from last.utils.errors import UserError

pytest.importorskip("matplotlib")


pytestmark = pytest.mark.usefixtures("coarse_pictures")


EPOCH = {"epoch": 0, "learning_rate": 0.01, "train_loss": 1.0, "test_loss": 1.1, "train_top1": 60.0, "test_top1": 50.0}


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


def test_class_names_in_letters_that_the_font_lacks_are_drawn_without_a_warning(tmp_path: Path) -> None:
    draw_confusion(np.eye(2, dtype=np.int64), ["動作", "走る"], tmp_path / "confusion.png", "動作")


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


LONG = "nano_e on synthetic xsub, distilled from base_e, large_e and small_e of two seeds"


def test_a_long_title_leaves_whole_what_stands_below_and_at_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from matplotlib.figure import Figure

    shown: list[str] = []
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda self, path, **_: (shown.extend(t.get_text() for t in self.axes[0].texts), path.touch()),
    )
    draw_confusion(
        np.eye(3, dtype=np.int64), list("abc"), tmp_path / "a.png", LONG, 0, "after epoch 19, averaged weights"
    )
    draw_training_curve([EPOCH], tmp_path / "b.png", f"{LONG}, 3 of 70 epochs, diverged")
    assert any(text.startswith("after epoch 19, averaged weights; top-1 100.0%, 3 of 3 clips") for text in shown)
    assert any(" ".join(text.split()) == f"{LONG}, 3 of 70 epochs, diverged" for text in shown)


def test_a_long_title_does_not_widen_a_picture(tmp_path: Path) -> None:
    widths = []
    for length in (10, 1000):
        draw_training_curve([EPOCH], tmp_path / "curve.png", "n" * length)
        widths.append(picture_size(tmp_path / "curve.png")[0])
    assert widths[1] < 1.3 * widths[0]


def test_clips_without_a_prediction_count_as_wrong_in_the_line_under_the_title(tmp_path: Path) -> None:
    draw_confusion(np.zeros((2, 2), np.int64), ["a", "b"], tmp_path / "confusion.png", "title", unusable=4)
    assert picture_size(tmp_path / "confusion.png")[0] > 130


def test_drawing_leaves_matplotlibs_settings_alone(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw_training_curve([EPOCH], tmp_path / "curve.png", "title")
    assert dict(matplotlib.rcParams) == before


def test_missing_matplotlib_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"last-har\[plots\]"):
        draw_training_curve([EPOCH], tmp_path / "curve.png", "title")


def test_a_test_part_of_one_clip_is_called_so() -> None:
    assert figures.worth_of_a_clip(1) == "; of one clip"
