import csv
import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from last.evaluation.metrics import Predictions, measure
from last.evaluation.report import write_report
from last.utils.errors import UserError

CLASSES = ["wave", "drink, sitting", "né"]
SCORES = [[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.2, 0.6, 0.2]]
FACTS = {"model": "nano_e", "dataset": "synthetic", "checkpoint": "best_model.pth"}


def report(out: Path, classes: list[str] = CLASSES, scores: list[list[float]] = SCORES) -> dict[str, Path]:
    predictions = Predictions(["a", "b", "c"], np.array([0, 1, 1]), np.array(scores, np.float32))
    return write_report(out, measure(predictions, 3), predictions, classes, FACTS)


def table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_report_writes_every_file_that_it_names(tmp_path: Path, coarse_pictures: None) -> None:
    files = report(tmp_path / "new")
    assert sorted(path.name for path in files.values()) == [
        "class_accuracy.png",
        "confusion.csv",
        "confusion.png",
        "metrics.json",
        "per_class.csv",
        "predictions.csv",
    ]
    assert sorted(files.values()) == sorted((tmp_path / "new").iterdir())


def test_metrics_file_holds_the_figures_and_the_facts(tmp_path: Path) -> None:
    values = json.loads(report(tmp_path)["metrics"].read_text(encoding="utf-8"))
    assert values["facts"] == FACTS
    assert (values["clips"], values["classes"]) == (3, 3)
    assert (values["top1"], values["top5"], values["mean_class_accuracy"]) == (66.6667, 100.0, 75.0)
    assert values["loss"] == pytest.approx(-np.log([0.7, 0.3, 0.6]).mean(), abs=1e-4)
    assert values["per_class"][2] == {
        "index": 2,
        "clips": 0,
        "correct": 0,
        "accuracy": None,
        "precision": None,
        "confused_with": None,
        "confused_count": 0,
        "name": "né",
        "confused_with_name": None,
    }


def test_per_class_table_names_the_most_frequent_confusion(tmp_path: Path) -> None:
    rows = table(report(tmp_path)["per_class"])
    assert rows[0][:4] == ["index", "name", "clips", "correct"]
    assert rows[2] == ["1", "drink, sitting", "2", "1", "50.0", "100.0", "0", "wave", "1"]
    assert rows[3] == ["2", "né", "0", "0", "", "", "", "", "0"]


def test_confusion_table_has_class_names_on_both_sides(tmp_path: Path) -> None:
    rows = table(report(tmp_path)["confusion"])
    assert rows[0][1:] == CLASSES
    assert rows[1:] == [["wave", "1", "0", "0"], ["drink, sitting", "1", "1", "0"], ["né", "0", "0", "0"]]


def test_predictions_table_has_each_clips_prediction_and_the_rank_of_the_true_class(tmp_path: Path) -> None:
    rows = table(report(tmp_path)["predictions"])
    predictions = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    assert predictions[1] == {
        "name": "b",
        "true_label": "1",
        "true_name": "drink, sitting",
        "predicted_label": "0",
        "predicted_name": "wave",
        "probability": "0.500000",
        "correct": "0",
        "true_rank": "2",
        "top5_labels": "0 1 2",
    }
    assert [prediction["correct"] for prediction in predictions] == ["1", "0", "1"]


def test_equal_scores_are_ordered_alike_in_every_file(tmp_path: Path) -> None:
    predictions = Predictions(["a"], np.array([1]), np.full((1, 2), 0.5, np.float32))
    files = write_report(tmp_path, measure(predictions, 2), predictions, ["x", "y"], {})
    assert json.loads(files["metrics"].read_text())["top1"] == 0.0
    assert table(files["predictions"])[1][3:] == ["0", "x", "0.500000", "0", "2", "0 1"]
    assert table(files["confusion"])[2] == ["y", "1", "0"]


def test_without_matplotlib_the_tables_are_written_and_one_warning_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with caplog.at_level(logging.WARNING):
        files = report(tmp_path)
    assert set(files) == {"metrics", "per_class", "confusion", "predictions"}
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "last-har[plots]" in caplog.text


LEFT = ["details.json", "robustness.json", "robustness.png", "events.csv", "timeline_01_a.png"]


def test_what_was_measured_besides_stays_while_the_predictions_are_the_same(
    tmp_path: Path, coarse_pictures: None
) -> None:
    report(tmp_path)
    for name in LEFT:
        (tmp_path / name).write_text("of the first evaluation")
    report(tmp_path)
    assert all((tmp_path / name).exists() for name in LEFT)


def test_what_was_measured_besides_is_removed_with_the_predictions_that_it_was_measured_on(
    tmp_path: Path, coarse_pictures: None
) -> None:
    report(tmp_path)
    own = [tmp_path / "notes.txt", tmp_path / "picture.png", tmp_path / "report.html"]
    for path in [*own, *(tmp_path / name for name in LEFT)]:
        path.write_text("of the first evaluation")
    files = report(tmp_path, scores=SCORES[::-1])
    assert sorted(tmp_path.iterdir()) == sorted([*files.values(), *own])


def test_too_few_class_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 class names for 3 classes"):
        report(tmp_path, CLASSES[:2])


def test_unwritable_folder_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match="taken"):
        report(tmp_path / "taken")
