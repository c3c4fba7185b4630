import csv
import json
import logging
import math
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from last.training.logbook import Logbook, Row, read_rows
from last.utils.errors import UserError

VALUES = st.one_of(st.integers(-(10**9), 10**9), st.floats(), st.text('aé,;"\n ', max_size=5))


def row(epoch: int, **changes: float | int | str) -> Row:
    values: Row = {"epoch": epoch, "train_loss": 1 / (epoch + 1), "test_top1": 10.0 * epoch, "note": "plain"}
    return values | changes


def plain_logbook(folder: Path) -> Logbook:
    return Logbook(folder, tensorboard=False)


def written(folder: Path, epochs: int) -> list[Row]:
    rows = [row(epoch) for epoch in range(epochs)]
    logbook = plain_logbook(folder)
    for each in rows:
        logbook.write(each)
    return rows


def csv_epochs(folder: Path) -> list[int]:
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return [int(values["epoch"]) for values in csv.DictReader(file)]


def test_rows_are_read_back_as_written(tmp_path: Path) -> None:
    rows = written(tmp_path / "run", 3)
    assert plain_logbook(tmp_path / "run").rows() == rows


def test_each_row_is_in_both_files_as_soon_as_it_is_written(tmp_path: Path) -> None:
    logbook = plain_logbook(tmp_path)
    for epoch in range(3):
        logbook.write(row(epoch))
        assert [each["epoch"] for each in read_rows(tmp_path / "metrics.jsonl")] == list(range(epoch + 1))
        assert csv_epochs(tmp_path) == list(range(epoch + 1))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.fixed_dictionaries({"a": VALUES, 'b, "c"': VALUES}), min_size=1, max_size=4))
def test_json_lines_and_csv_agree(tmp_path_factory: pytest.TempPathFactory, drawn: list[Row]) -> None:
    folder = tmp_path_factory.mktemp("run")
    logbook = plain_logbook(folder)
    for epoch, values in enumerate(drawn):
        logbook.write({"epoch": epoch, **values})
    expected = [
        {name: "" if isinstance(value, float) and math.isnan(value) else str(value) for name, value in each.items()}
        for each in logbook.rows()
    ]
    path = folder / "metrics.csv"
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_number_that_is_not_finite_is_null_in_json_and_read_back_as_nan(tmp_path: Path, value: float) -> None:
    plain_logbook(tmp_path).write(row(0, train_loss=value))
    line = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(line, parse_constant=lambda word: pytest.fail(word))["train_loss"] is None
    (found,) = read_rows(tmp_path / "metrics.jsonl")
    assert math.isnan(float(found["train_loss"]))


def test_reopened_logbook_goes_on_with_the_same_columns(tmp_path: Path) -> None:
    written(tmp_path, 2)
    reordered = dict(reversed(row(2).items()))
    plain_logbook(tmp_path).write(reordered)
    assert csv_epochs(tmp_path) == [0, 1, 2]
    assert list(read_rows(tmp_path / "metrics.jsonl")[2]) == list(row(0))


def test_row_with_other_columns_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    written(tmp_path, 1)
    with pytest.raises(UserError, match="differing: extra, note"):
        plain_logbook(tmp_path).write({"epoch": 1, "train_loss": 0.0, "test_top1": 0.0, "extra": 1})
    assert len(read_rows(tmp_path / "metrics.jsonl")) == 1


def test_row_without_an_epoch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="epoch"):
        plain_logbook(tmp_path).write({"train_loss": 1.0})


def test_resuming_drops_the_rows_of_later_epochs_from_both_files(tmp_path: Path) -> None:
    rows = written(tmp_path, 5)
    logbook = plain_logbook(tmp_path)
    logbook.keep_until(2)
    assert logbook.rows() == rows[:3]
    logbook.write(row(3))
    assert csv_epochs(tmp_path) == [0, 1, 2, 3]


def test_dropping_every_row_frees_the_columns(tmp_path: Path) -> None:
    written(tmp_path, 2)
    logbook = plain_logbook(tmp_path)
    logbook.keep_until(-1)
    logbook.write({"epoch": 0, "other": 1.0})
    assert logbook.rows() == [{"epoch": 0, "other": 1.0}]
    assert (tmp_path / "metrics.csv").read_text() == "epoch,other\n0,1.0\n"


@pytest.mark.parametrize("kept", [1, 10, -2])
def test_torn_last_line_is_left_out_and_replaced_by_the_next_row(tmp_path: Path, kept: int) -> None:
    rows = written(tmp_path, 3)
    path = tmp_path / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:kept])
    assert read_rows(path) == rows[:2]
    plain_logbook(tmp_path).write(row(2))
    assert read_rows(path) == rows
    assert csv_epochs(tmp_path) == [0, 1, 2]


def test_last_row_that_lacks_only_its_line_end_is_kept(tmp_path: Path) -> None:
    written(tmp_path, 2)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    plain_logbook(tmp_path).write(row(2))
    assert [each["epoch"] for each in read_rows(path)] == [0, 1, 2]


@pytest.mark.parametrize("damage", [None, "", "epoch,tr", "epoch,train_loss\n0,1.0\n0,1.0\n"])
def test_csv_that_disagrees_is_made_anew_on_opening(tmp_path: Path, damage: str | None) -> None:
    written(tmp_path, 3)
    path = tmp_path / "metrics.csv"
    whole = path.read_bytes()
    if damage is None:
        path.unlink()
    else:
        path.write_text(damage)
    plain_logbook(tmp_path)
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[1]",
        b"{}",
        b"\xff\xfe",
        b'{"epoch": 0, "a": [1]}',
        b'{"epoch": "0"}',
        b'{"epoch": 5, "b": 1}',
        b"[" * 99999,
    ],
)
def test_broken_line_within_the_file_is_refused_by_its_number(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"epoch": 0, "a": 1}\n' + line + b'\n{"epoch": 1, "a": 1}\n')
    with pytest.raises(UserError, match="line 2"):
        read_rows(path)


def test_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(UserError, match="too large"):
        read_rows(path)


def test_missing_file_has_no_rows(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "metrics.jsonl") == []


def test_folder_that_cannot_be_made_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match="taken"):
        plain_logbook(tmp_path / "taken")


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Read TensorBoard's event files back: tag to step to value."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder / "tensorboard")).Reload()
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def test_tensorboard_scalars_are_grouped_by_figure(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    logbook = Logbook(tmp_path)
    logbook.write(row(0, test_loss=2.0, val_loss=3.0, seconds=3))
    logbook.close()
    assert scalars(tmp_path) == {
        "loss/train": {0: 1.0},
        "loss/test": {0: 2.0},
        "loss/val": {0: 3.0},
        "top1/test": {0: 0.0},
        "run/seconds": {0: 3.0},
    }


def test_tensorboard_hides_the_epochs_that_a_resumed_run_writes_anew(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    logbook = Logbook(tmp_path)
    for epoch in range(4):
        logbook.write(row(epoch))
    logbook.keep_until(1)
    logbook.write(row(2, train_loss=7.0))
    logbook.close()
    assert scalars(tmp_path)["loss/train"] == {0: 1.0, 1: 0.5, 2: 7.0}


def test_missing_tensorboard_is_told_once_and_the_rows_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with caplog.at_level(logging.INFO):
        logbook = Logbook(tmp_path)
        logbook.write(row(0))
        logbook.write(row(1))
        logbook.close()
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "last-har[tensorboard]" in caplog.text
    assert len(logbook.rows()) == 2


def test_switched_off_tensorboard_leaves_no_folder(tmp_path: Path) -> None:
    written(tmp_path, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.csv", "metrics.jsonl"]


def test_opening_alone_writes_nothing(tmp_path: Path) -> None:
    Logbook(tmp_path).close()
    assert list(tmp_path.iterdir()) == []
