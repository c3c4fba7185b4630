import csv
import errno
import json
import logging
import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from last.runs.logbook import Logbook, Row, read_rows
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
    logbook = plain_logbook(tmp_path)
    logbook.write(row(0, train_loss=value))
    line = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(line, parse_constant=lambda word: pytest.fail(word))["train_loss"] is None
    for (found,) in (logbook.rows(), read_rows(tmp_path / "metrics.jsonl")):
        assert math.isnan(float(found["train_loss"]))


def test_reopened_logbook_continues_with_the_same_columns(tmp_path: Path) -> None:
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
    logbook.drop_rows_after(2)
    assert logbook.rows() == rows[:3]
    logbook.write(row(3))
    assert csv_epochs(tmp_path) == [0, 1, 2, 3]


def test_dropping_every_row_frees_the_columns(tmp_path: Path) -> None:
    written(tmp_path, 2)
    logbook = plain_logbook(tmp_path)
    logbook.drop_rows_after(-1)
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
def test_csv_that_disagrees_is_rewritten_on_opening(tmp_path: Path, damage: str | None) -> None:
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


def test_switched_off_tensorboard_leaves_no_folder(tmp_path: Path) -> None:
    written(tmp_path, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.csv", "metrics.jsonl"]


def test_opening_alone_writes_nothing(tmp_path: Path) -> None:
    Logbook(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return what makes every flush to the disk fail with an error number, and work again with 0."""
    number, flush = 0, os.fsync

    def flush_or_fail(descriptor: int) -> None:
        if number:
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    def set_error(wanted: int) -> None:
        nonlocal number
        number = wanted

    monkeypatch.setattr(os, "fsync", flush_or_fail)
    return set_error


def log_records(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_row_that_cannot_be_written_is_kept_and_warned_of_once(
    tmp_path: Path, disk: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    rows = written(tmp_path, 1)
    logbook = plain_logbook(tmp_path)
    disk(errno.ENOSPC)
    for epoch in (1, 2, 3):
        rows.append(row(epoch))
        logbook.write(row(epoch))
    ((level, message),) = log_records(caplog)
    assert level == "WARNING"
    assert f"Cannot write {tmp_path / 'metrics.jsonl'}: the disk is full. Training continues" in message
    assert logbook.rows() == rows


def test_file_that_cannot_be_written_keeps_what_it_held(tmp_path: Path, disk: Callable[[int], None]) -> None:
    written(tmp_path, 2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    logbook = plain_logbook(tmp_path)
    disk(errno.EDQUOT)
    for epoch in (2, 3):
        logbook.write(row(epoch))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_kept_rows_are_written_with_the_next_one_as_soon_as_it_works_again(
    tmp_path: Path, disk: Callable[[int], None]
) -> None:
    rows = written(tmp_path / "undisturbed", 5)
    logbook = plain_logbook(tmp_path)
    for epoch, error in enumerate([0, errno.ENOSPC, errno.EIO, 0, 0]):
        disk(error)
        logbook.write(rows[epoch])
    for name in ("metrics.jsonl", "metrics.csv"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()


def test_catching_up_is_reported_once_and_a_later_failure_again(
    tmp_path: Path, disk: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    logbook = plain_logbook(tmp_path)
    with caplog.at_level(logging.INFO):
        for epoch, error in enumerate([errno.ENOSPC, 0, 0, errno.ENOSPC, 0, 0]):
            disk(error)
            logbook.write(row(epoch))
    messages = log_records(caplog)
    assert [level for level, _ in messages] == ["WARNING", "INFO", "WARNING", "INFO"]
    assert "metrics.jsonl and metrics.csv are complete again" in messages[1][1]


def test_failure_of_the_csv_alone_is_made_good_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logbook = plain_logbook(tmp_path)
    (tmp_path / "metrics.csv").mkdir()
    logbook.write(row(0))
    assert "metrics.csv: " in caplog.text
    assert read_rows(tmp_path / "metrics.jsonl") == [row(0)]
    (tmp_path / "metrics.csv").rmdir()
    logbook.write(row(1))
    assert csv_epochs(tmp_path) == [0, 1]


def test_folder_that_vanishes_is_made_again_with_every_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "run"
    logbook = plain_logbook(folder)
    for epoch in range(4):
        if epoch == 1:
            folder.rename(tmp_path / "moved")
            folder.write_text("in the way")
        if epoch == 3:
            folder.unlink()
        logbook.write(row(epoch))
    assert len(caplog.records) == 1
    assert csv_epochs(folder) == [0, 1, 2, 3]


def test_first_row_fixes_the_columns_even_when_it_could_not_be_written(
    tmp_path: Path, disk: Callable[[int], None]
) -> None:
    logbook = plain_logbook(tmp_path)
    disk(errno.ENOSPC)
    logbook.write(row(0))
    with pytest.raises(UserError, match="differing: extra"):
        logbook.write(row(1, extra=1))
    assert logbook.rows() == [row(0)]


def test_run_that_ends_with_rows_unwritten_is_reported(tmp_path: Path, disk: Callable[[int], None]) -> None:
    logbook = plain_logbook(tmp_path)
    disk(errno.ENOSPC)
    logbook.write(row(0))
    with pytest.raises(UserError, match=r"Cannot write .*metrics.jsonl: the disk is full. Free some space"):
        logbook.flush()
    disk(0)
    logbook.flush()
    assert csv_epochs(tmp_path) == [0]


def test_opening_on_a_full_disk_is_refused(tmp_path: Path, disk: Callable[[int], None]) -> None:
    written(tmp_path, 2)
    (tmp_path / "metrics.csv").unlink()
    disk(errno.ENOSPC)
    with pytest.raises(UserError, match="the disk is full"):
        plain_logbook(tmp_path)


def test_dropping_rows_on_a_full_disk_is_refused(tmp_path: Path, disk: Callable[[int], None]) -> None:
    written(tmp_path, 2)
    logbook = plain_logbook(tmp_path)
    disk(errno.ENOSPC)
    with pytest.raises(UserError, match="the disk is full"):
        logbook.drop_rows_after(0)


def test_returned_rows_may_be_changed_without_harm(tmp_path: Path) -> None:
    rows = written(tmp_path, 2)
    logbook = plain_logbook(tmp_path)
    logbook.rows()[0]["epoch"] = 7
    assert logbook.rows() == rows
