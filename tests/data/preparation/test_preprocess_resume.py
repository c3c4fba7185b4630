"""Preparing a data set again: after an interruption, a full disk or another process, and where a store is already."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from noted_progress import NotedProgress
from preprocess_probes import CONFIG, NumbersReader, arrays, prepare, with_a_copy_of_c

from last.data import open_store
from last.data.preparation import preprocess as preprocess_module
from last.data.preparation.formats import Entry
from last.data.preparation.report import PreparationReport
from last.data.store.clip import Clip
from last.settings.data import DataConfig
from last.utils.errors import UserError

pytestmark = pytest.mark.usefixtures("reader")


def test_a_copy_that_changed_is_read_again(
    raw: Path, tmp_path: Path, reader: type[NumbersReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_copy_of_c(raw, "1 7 1 1 1 6")
    monkeypatch.setattr(reader, "stop_at", "g")
    with pytest.raises(KeyboardInterrupt):
        prepare(raw, tmp_path / "out")
    monkeypatch.setattr(reader, "stop_at", "")
    (raw / "z_copies" / "c.txt").write_text("1 8 1 1 1 66", encoding="utf-8")
    prepare(raw, tmp_path / "out")
    assert {clip.name: clip.joints.shape[1] for clip in open_store(tmp_path / "out")}["c"] == 66


def test_an_interrupted_preparation_resumes_and_gives_the_same_bytes(
    raw: Path, tmp_path: Path, reader: type[NumbersReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(raw, tmp_path / "whole")
    monkeypatch.setattr(reader, "stop_at", "f")
    with pytest.raises(KeyboardInterrupt):
        prepare(raw, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".partial"]
    monkeypatch.setattr(reader, "stop_at", "")
    reader.read_names.clear()
    shown = NotedProgress()
    report = prepare(raw, tmp_path / "out", progress=shown)
    assert (shown.tasks[0].before, shown.tasks[0].total, sum(shown.tasks[0].done)) == (2, 7, 5)
    # c is read again with its neighbour, because c is damaged; a and b are not.
    assert reader.read_names == ["c", "d", "e", "f", "g"]
    assert arrays(tmp_path / "out") == arrays(tmp_path / "whole")
    assert (report.kept, len(report.left_out)) == (5, 2)


def test_a_recording_that_changed_after_an_interruption_is_read_again(
    raw: Path, tmp_path: Path, reader: type[NumbersReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "stop_at", "c")
    with pytest.raises(KeyboardInterrupt):
        prepare(raw, tmp_path / "out")
    monkeypatch.setattr(reader, "stop_at", "")
    (raw / "a.txt").write_text("0 9 1 1 1 44", encoding="utf-8")
    prepare(raw, tmp_path / "out")
    assert open_store(tmp_path / "out")[0].joints.shape[1] == 44


def test_clips_that_were_read_under_other_class_names_or_another_order_are_read_again(
    raw: Path, tmp_path: Path, reader: type[NumbersReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    for classes in (["wave", "walk"], ["walk", "wave"], ["wave", "stroll"]):
        reader.read_names.clear()
        monkeypatch.setattr(reader, "stop_at", "c")
        with pytest.raises(KeyboardInterrupt):
            prepare(raw, tmp_path / "out", DataConfig(**{**vars(CONFIG), "classes": classes}))
        assert reader.read_names == ["a", "b"]


def test_a_damaged_part_of_an_interrupted_run_is_read_again(
    raw: Path, tmp_path: Path, reader: type[NumbersReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "stop_at", "c")
    with pytest.raises(KeyboardInterrupt):
        prepare(raw, tmp_path / "out")
    (part,) = (tmp_path / "out" / ".partial").iterdir()
    part.write_bytes(part.read_bytes()[:100])
    monkeypatch.setattr(reader, "stop_at", "")
    assert prepare(raw, tmp_path / "out").kept == 5


def test_what_other_runs_left_unfinished_is_removed_before_reading(
    raw: Path, tmp_path: Path, reader: type[NumbersReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = tmp_path / "out" / ".partial"
    partial.mkdir(parents=True)
    leftovers = [
        tmp_path / "out" / ".joints.npy.123.tmp",
        partial / ".000000-x.npz.123.tmp",
        partial / "000000-0123.npz",
    ]
    for path in leftovers:
        path.write_bytes(b"half")
    monkeypatch.setattr(reader, "stop_at", "a")
    with pytest.raises(KeyboardInterrupt):
        prepare(raw, tmp_path / "out")
    assert [path for path in leftovers if path.exists()] == []


def test_a_finished_store_of_the_same_input_is_not_made_again(
    raw: Path, tmp_path: Path, reader: type[NumbersReader]
) -> None:
    first = prepare(raw, tmp_path / "out")
    reader.read_names.clear()
    again = prepare(raw, tmp_path / "out")
    assert reader.read_names == []
    assert again.prepared_before and not first.prepared_before
    assert again == PreparationReport(**{**vars(first), "prepared_before": True})


def test_strict_refuses_a_finished_store_that_left_damaged_recordings_out(raw: Path, tmp_path: Path) -> None:
    prepare(raw, tmp_path / "out")
    with pytest.raises(UserError, match="c, line 3: is broken"):
        prepare(raw, tmp_path / "out", strict=True)


@pytest.mark.parametrize(
    "options",
    [
        {"ignore": ["a"]},
        {"config": DataConfig(**{**vars(CONFIG), "bodies": 1})},
        {"config": DataConfig(**{**vars(CONFIG), "classes": ["greet", "walk"]})},
    ],
)
def test_a_finished_store_of_other_input_is_kept_unless_it_may_be_overwritten(
    raw: Path, tmp_path: Path, options: dict[str, object]
) -> None:
    prepare(raw, tmp_path / "out")
    before = arrays(tmp_path / "out")
    with pytest.raises(UserError, match="--overwrite"):
        prepare(raw, tmp_path / "out", **options)
    assert arrays(tmp_path / "out") == before
    assert not prepare(raw, tmp_path / "out", **options, overwrite=True).prepared_before
    assert len(open_store(tmp_path / "out")) == (4 if "ignore" in options else 5)


def test_a_finished_store_without_its_report_is_reported(raw: Path, tmp_path: Path) -> None:
    prepare(raw, tmp_path / "out")
    (tmp_path / "out" / "report.json").unlink()
    with pytest.raises(UserError, match="no valid report"):
        prepare(raw, tmp_path / "out")


def test_a_store_elsewhere_is_used_only_if_it_can_be_read(raw: Path, tmp_path: Path) -> None:
    prepare(raw, tmp_path / "input")
    found = prepare(raw, tmp_path / "out", elsewhere=[tmp_path / "input"])
    assert found.prepared_before and not (tmp_path / "out").exists()
    (tmp_path / "input" / "store.json").write_text("{", encoding="utf-8")
    report = prepare(raw, tmp_path / "out", elsewhere=[tmp_path / "input", tmp_path / "removed"])
    assert not report.prepared_before
    assert len(open_store(tmp_path / "out")) == 5


def test_a_store_that_was_damaged_is_refused_until_it_may_be_overwritten(raw: Path, tmp_path: Path) -> None:
    prepare(raw, tmp_path / "out")
    (tmp_path / "out" / "store.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"store\.json"):
        prepare(raw, tmp_path / "out")
    assert not prepare(raw, tmp_path / "out", overwrite=True).prepared_before
    assert len(open_store(tmp_path / "out")) == 5


def test_a_full_disk_ends_with_one_message_and_the_next_run_continues(
    raw: Path, tmp_path: Path, reader: type[NumbersReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    writes_left = 2

    def fsync(descriptor: int) -> None:
        nonlocal writes_left
        writes_left -= 1
        if writes_left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(UserError, match="the disk is full"):
            prepare(raw, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".partial"]
    assert len(list((tmp_path / "out" / ".partial").iterdir())) == 2
    reader.read_names.clear()
    assert prepare(raw, tmp_path / "out").kept == 5
    assert "a" not in reader.read_names


def test_a_full_disk_at_the_very_end_leaves_no_store(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        if "joints.npy" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, "No space left on device")

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to tell which file is written")
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(UserError, match="the disk is full"):
        prepare(raw, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.npy")) and not (tmp_path / "out" / "store.json").exists()


def test_a_second_preparation_of_the_same_store_is_refused_and_leaves_the_first_alone(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = NumbersReader.read

    def read_while_another_one_begins(self: NumbersReader, entry: Entry) -> Clip:
        if entry.name == "d":
            (tmp_path / "out" / ".joints.npy.123.tmp").touch()
            with pytest.raises(UserError, match="Another process is preparing"):
                prepare(raw, tmp_path / "out")
            assert (tmp_path / "out" / ".joints.npy.123.tmp").exists()
        return read(self, entry)

    monkeypatch.setattr(NumbersReader, "read", read_while_another_one_begins)
    assert prepare(raw, tmp_path / "out").kept == 5
    assert len(open_store(tmp_path / "out")) == 5


def test_what_a_killed_preparation_left_half_written_is_removed(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("joints.npy", "store.json", "report.txt", "later.npy"):
        (tmp_path / "out" / f".{name}.77.tmp").touch()
    prepare(raw, tmp_path / "out")
    assert not list((tmp_path / "out").glob(".*"))


def test_a_preparation_that_was_refused_leaves_no_lock_behind(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        prepare(raw, tmp_path / "out", strict=True)
    assert not (tmp_path / "out" / ".lock").exists()


def test_a_store_that_another_process_has_just_finished_is_not_written_again(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sole_writer = preprocess_module.sole_writer

    def finish_before_the_lock_is_taken(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(preprocess_module, "sole_writer", sole_writer)
        prepare(raw, tmp_path / "out")
        return sole_writer(*arguments, **options)

    monkeypatch.setattr(preprocess_module, "sole_writer", finish_before_the_lock_is_taken)
    assert prepare(raw, tmp_path / "out").prepared_before
    assert len(NumbersReader.read_names) == len(set(NumbersReader.read_names))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "label"])
def test_a_chunk_that_is_damaged_in_any_part_is_read_again(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(NumbersReader, "stop_at", "f")
    with pytest.raises(KeyboardInterrupt):
        prepare(raw, tmp_path / "out")
    for path in (tmp_path / "out" / ".partial").iterdir():
        content = bytearray(path.read_bytes())
        if damage == "flip":
            content[len(content) // 2] ^= 4
        path.write_bytes({"cut": content[:-100], "empty": b"", "label": b"PK" + content}.get(damage, content))
    monkeypatch.setattr(NumbersReader, "stop_at", "")
    assert prepare(raw, tmp_path / "out").kept == 5
