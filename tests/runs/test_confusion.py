"""The confusion matrix of a run's last test, as a file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from last.experiments import run as experiment
from last.runs import confusion
from last.runs.confusion import ConfusionFile, read_confusion
from last.settings.run import RunConfig
from last.utils.errors import UserError

CLASSES = ["wave, twice", 'say "no"', "größer\nthan"]
COUNTS = np.arange(12).reshape(3, 4)


@pytest.mark.parametrize("unusable", [True, False])
def test_what_is_written_is_read_back(tmp_path: Path, unusable: bool) -> None:
    counts = COUNTS * [1, 1, 1, unusable]
    kept = ConfusionFile(tmp_path / "confusion.csv", CLASSES)
    kept.update(counts, epoch=7)
    kept.write()
    found = read_confusion(tmp_path / "confusion.csv")
    assert found is not None
    assert (found.classes, found.epoch) == (CLASSES, 7)
    assert np.column_stack([found.counts, found.unusable]).tolist() == counts.tolist()


def test_an_epoch_of_thousands_of_digits_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "confusion.csv").write_text(f'"true, after epoch {"9" * 5000}",a\na,1\n')
    found = read_confusion(tmp_path / "confusion.csv")
    assert found is not None and found.epoch is None


def test_a_run_that_was_not_tested_has_no_file(tmp_path: Path) -> None:
    ConfusionFile(tmp_path / "confusion.csv", CLASSES).write()
    assert read_confusion(tmp_path / "confusion.csv") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "\x00", "true,a,b\na,1\nb,1,1\n", "true,a,b\na,1,one\nb,1,1\n", "true,a,b\nb,1,1\na,1,1\n"),
        *("true,a\na,-1\n", "true,a\na,1,2,3\n", "true,a\na," + "9" * 30 + "\n"),
    ],
)
def test_a_file_that_is_no_confusion_matrix_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "confusion.csv").write_text(text)
    with pytest.raises(UserError, match=r"confusion\.csv is no table of a confusion matrix"):
        read_confusion(tmp_path / "confusion.csv")


def test_a_file_that_cannot_be_written_is_reported_once_and_does_not_end_the_run(
    tiny_config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(path: Path, *_: object) -> None:
        raise UserError(f"Cannot write {path}: the disk is full.")

    monkeypatch.setattr(confusion, "write_csv", fail)
    result = experiment.train(tiny_config("epochs=3"))
    assert result.summary["test_clips"] == 12
    assert caplog.text.count("confusion.csv: the disk is full. Training continues without it") == 1


@pytest.mark.parametrize(("overrides", "column"), [([], "test_top1"), (["ema.decay=0.99"], "ema_test_top1")])
def test_a_run_keeps_the_predictions_of_the_weights_that_it_offers(
    tiny_config: Callable[..., RunConfig], overrides: list[str], column: str
) -> None:
    parts = ("validation=split", "validation_fraction=0.3", "epochs=3", "test_every=2", "learning_rate=0.08")
    run = experiment.train(tiny_config(*parts, *overrides)).run
    found = read_confusion(run.confusion)
    assert found is not None
    rows = last_rows(run.path)
    assert not overrides or rows[-1]["test_top1"] != rows[-1][column], "the two weights cannot be distinguished"
    assert (found.epoch, found.counts.sum()) == (2, 12)
    assert 100 * found.counts.trace() / 12 == pytest.approx(rows[-1][column])


def last_rows(path: Path) -> list[dict[str, float]]:
    from last.runs.logbook import read_rows

    return read_rows(path / "metrics.jsonl")  # type: ignore[return-value]


def test_a_file_that_is_too_large_for_a_confusion_matrix_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confusion, "_LIMIT_BYTES", 3)
    (tmp_path / "confusion.csv").write_text("true,a\na,1\n")
    with pytest.raises(UserError, match="larger than 3 bytes, too large for a confusion matrix"):
        read_confusion(tmp_path / "confusion.csv")
