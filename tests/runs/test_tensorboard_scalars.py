import errno
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from last.runs.logbook import Logbook
from last.runs.tensorboard_scalars import TensorboardScalars


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Read TensorBoard's event files back: tag to step to value."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder)).Reload()
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def full(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_scalars_are_grouped_by_figure(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    row = {
        "epoch": 0,
        "train_loss": 1.0,
        "test_loss": 2.0,
        "val_loss": 3.0,
        "test_top1": 0.0,
        "seconds": 3,
        "note": "n",
    }
    TensorboardScalars(tmp_path).write(row)
    assert scalars(tmp_path) == {
        "loss/train": {0: 1.0},
        "loss/test": {0: 2.0},
        "loss/val": {0: 3.0},
        "top1/test": {0: 0.0},
        "run/seconds": {0: 3.0},
    }


def test_each_epoch_can_be_read_as_soon_as_it_is_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    written = TensorboardScalars(tmp_path)
    for epoch in range(3):
        written.write({"epoch": epoch, "train_loss": 1.5})
        assert scalars(tmp_path)["loss/train"] == dict.fromkeys(range(epoch + 1), 1.5)
    assert len(list(tmp_path.iterdir())) == 1


def test_epochs_that_a_resumed_run_rewrites_are_hidden(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    logbook = Logbook(tmp_path)
    for epoch in range(4):
        logbook.write({"epoch": epoch, "train_loss": 1 / (epoch + 1)})
    logbook.drop_rows_after(1)
    logbook.write({"epoch": 2, "train_loss": 7.0})
    assert scalars(tmp_path / "tensorboard")["loss/train"] == {0: 1.0, 1: 0.5, 2: 7.0}


def test_missing_library_is_reported_before_the_first_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with caplog.at_level(logging.INFO):
        Logbook(tmp_path, tensorboard=False)
        assert not caplog.records
        logbook = Logbook(tmp_path)
    assert "last-har[tensorboard]" in caplog.text
    logbook.write({"epoch": 0})
    assert len(caplog.records) == 1


def test_missing_library_is_reported_once_and_the_rows_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    with caplog.at_level(logging.INFO):
        logbook = Logbook(tmp_path)
        logbook.write({"epoch": 0})
        logbook.write({"epoch": 1})
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "last-har[tensorboard]" in caplog.text
    assert len(logbook.rows()) == 2


def test_a_library_that_cannot_be_imported_is_reported_with_its_reason_and_the_rows_are_kept(
    tmp_path: Path, replace_package: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    replace_package("tensorboard", 'raise TypeError("Descriptors cannot be created directly")')
    with caplog.at_level(logging.INFO):
        logbook = Logbook(tmp_path)
        logbook.write({"epoch": 0})
    (line,) = caplog.messages
    assert "(TypeError: Descriptors cannot be created directly)" in line
    assert len(logbook.rows()) == 1


def test_full_disk_switches_it_off_with_one_warning_and_keeps_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("tensorboard")
    written = TensorboardScalars(tmp_path)
    written.write({"epoch": 0, "seconds": 1})
    (file,) = tmp_path.iterdir()
    before = file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        written.write({"epoch": 1, "seconds": 1})
        written.write({"epoch": 2, "seconds": 1})
    written.begin_file()
    written.write({"epoch": 3, "seconds": 1})
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(f"Cannot write {file}: the disk is full. Training continues")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_folder_that_cannot_be_made_does_not_end_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "tensorboard").write_text("in the way")
    logbook = Logbook(tmp_path)
    logbook.write({"epoch": 0})
    logbook.write({"epoch": 1})
    (record,) = caplog.records
    assert f"Cannot write {tmp_path / 'tensorboard'}: a file of that name is in the way." in record.getMessage()
    assert len(logbook.rows()) == 2
