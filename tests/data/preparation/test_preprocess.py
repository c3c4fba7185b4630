"""Preparing a data set: what is kept, skipped and reported, resuming, and what is refused."""

import errno
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from noted_progress import NotedProgress

from last.data import open_store
from last.data.preparation import chunks
from last.data.preparation import preprocess as preprocess_module
from last.data.preparation.formats import BadClip, DroppedClip, Entry, base
from last.data.preparation.formats.recordings import merge_copies
from last.data.preparation.preprocess import preprocess, read_ignore_list
from last.data.preparation.report import PreparationReport
from last.data.store.clip import Clip
from last.settings.data import DataConfig, ProtocolConfig, SelectConfig
from last.utils.errors import UserError
from last.utils.progress import Progress


class NumbersReader:
    """Read files `NAME.txt` of six numbers: label, subject, camera, setup, bodies, frames."""

    read_names: list[str] = []  # noqa: RUF012 - every instance of a test counts here
    stop_at = ""

    def __init__(self, source: object) -> None: ...

    def entries(self, raw: Path) -> Sequence[Entry]:
        found = (Entry(path.stem, path, "", path.stat().st_size) for path in sorted(raw.rglob("*.txt")))
        return merge_copies(found, raw)

    def read(self, entry: Entry) -> Clip:
        if entry.name == self.stop_at:
            raise KeyboardInterrupt
        self.read_names.append(entry.name)
        text = entry.path.read_text(encoding="utf-8")
        if text == "bad":
            raise BadClip(entry.name, 3, "is broken")
        if text == "empty":
            raise DroppedClip(entry.name, 0, "no skeleton")
        label, subject, camera, setup, bodies, frames = map(int, text.split())
        joints = np.full((bodies, frames, 25, 3), subject, np.float32)
        return Clip(entry.name, joints, np.ones((bodies, frames), np.bool_), label, subject, camera, setup)


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch) -> type[NumbersReader]:
    """Read every data set here with `NumbersReader`, two recordings per chunk."""
    for module in (base, preprocess_module):
        monkeypatch.setattr(module, "get_reader", lambda name, source: NumbersReader(source))
    monkeypatch.setattr(NumbersReader, "read_names", [])
    monkeypatch.setattr(chunks, "_MAX_ENTRIES", 2)
    return NumbersReader


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Return a folder of seven recordings: c is damaged, e has no skeleton."""
    folder = tmp_path / "raw"
    folder.mkdir()
    texts = {"a": "0 1 1 1 1 4", "b": "1 2 1 1 2 3", "c": "bad", "d": "0 2 2 2 1 5", "e": "empty"}
    for name, text in {**texts, "f": "1 1 2 2 2 2", "g": "0 3 1 3 1 1"}.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


CONFIG = DataConfig(
    name="tiny",
    classes=["wave", "walk"],
    split="xsub",
    protocols={"xsub": ProtocolConfig("subject", train=[1]), "xview": ProtocolConfig("camera", test=[1])},
)


def prepare(raw: Path, out: Path, config: DataConfig = CONFIG, **options: object) -> PreparationReport:
    return preprocess(config, raw, out, workers=1, **options)


def arrays(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.npy"))}


def test_the_store_holds_the_sound_recordings_in_the_order_of_their_names(raw: Path, tmp_path: Path) -> None:
    prepare(raw, tmp_path / "out")
    store = open_store(tmp_path / "out")
    assert [clip.name for clip in store] == ["a", "b", "d", "f", "g"]
    assert [clip.joints.shape[:2] for clip in store] == [(1, 4), (2, 3), (1, 5), (2, 2), (1, 1)]
    assert [clip.subject for clip in store] == [1, 2, 2, 1, 3]
    assert (store[3].joints == 1).all()
    assert (store.name, store.layout, store.classes) == ("tiny", "ntu25", ["wave", "walk"])


def test_the_report_counts_what_is_kept_by_class_and_by_part(raw: Path, tmp_path: Path) -> None:
    report = prepare(raw, tmp_path / "out")
    assert (report.found, report.kept, report.two_bodies, report.frames) == (7, 5, 2, 15)
    assert report.parts == {"xsub": {"train": 2, "test": 3}, "xview": {"train": 2, "test": 3}}
    wave = {"class": "wave", "clips": 3, "xsub train": 1, "xsub test": 2, "xview train": 1, "xview test": 2}
    walk = {"class": "walk", "clips": 2, "xsub train": 1, "xsub test": 1, "xview train": 1, "xview test": 1}
    assert report.classes == [wave, walk]
    assert report.input_bytes == report.read_bytes == sum(path.stat().st_size for path in raw.iterdir())


def test_the_report_lists_what_is_skipped_and_why(raw: Path, tmp_path: Path) -> None:
    report = prepare(raw, tmp_path / "out")
    assert [str(each) for each in report.damaged] == ["c, line 3: is broken"]
    assert [str(each) for each in report.dropped] == ["e: no skeleton"]
    text = (tmp_path / "out" / "report.txt").read_text(encoding="utf-8")
    assert "c, line 3: is broken" in text and "e: no skeleton" in text
    assert json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["kept"] == 5


def test_nothing_but_the_store_and_its_report_is_left_in_the_folder(raw: Path, tmp_path: Path) -> None:
    prepare(raw, tmp_path / "out")
    expected = {"store.json", "joints.npy", "valid.npy", "clips.npy", "report.json", "report.txt"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected


def test_strict_stops_at_the_first_damaged_recording(raw: Path, tmp_path: Path) -> None:
    (raw / "f.txt").write_text("bad", encoding="utf-8")
    with pytest.raises(UserError, match="c, line 3: is broken"):
        prepare(raw, tmp_path / "out", strict=True)
    assert not (tmp_path / "out" / "store.json").exists()


def test_strict_lets_an_empty_recording_pass(raw: Path, tmp_path: Path) -> None:
    (raw / "c.txt").unlink()
    assert prepare(raw, tmp_path / "out", strict=True).kept == 5


def test_a_recording_on_the_ignore_list_is_not_read_and_counted_apart(raw: Path, tmp_path: Path) -> None:
    report = prepare(raw, tmp_path / "out", ignore=["a", "c", "elsewhere"])
    assert (report.ignored, report.ignore_list, report.damaged) == (["a", "c"], 3, [])
    assert "a" not in NumbersReader.read_names and report.kept == 4


def test_recordings_outside_the_selection_are_counted_and_left_out(raw: Path, tmp_path: Path) -> None:
    config = DataConfig(**{**vars(CONFIG), "select": SelectConfig(setups=[1, 2], actions=[1])})
    report = prepare(raw, tmp_path / "out", config)
    assert [clip.name for clip in open_store(tmp_path / "out")] == ["a", "d"]
    assert report.unselected == 3


def with_a_copy_of_c(raw: Path, text: str) -> Path:
    (raw / "z_copies").mkdir()
    (raw / "z_copies" / "c.txt").write_text(text, encoding="utf-8")
    return raw


def test_a_damaged_recording_is_read_from_its_copy_and_that_is_reported(
    raw: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = prepare(with_a_copy_of_c(raw, "1 7 1 1 1 6"), tmp_path / "out", strict=True)
    assert (report.found, report.kept, report.damaged) == (7, 6, [])
    assert {clip.name: clip.subject for clip in open_store(tmp_path / "out")}["c"] == 7
    message = f"c, line 3: is broken ({raw / 'c.txt'}; read from {raw / 'z_copies' / 'c.txt'})"
    assert f"1 damaged recordings were read from a copy. The first: {message}." in caplog.text


@pytest.mark.parametrize("copy", ["bad", "empty"])
def test_a_damaged_recording_whose_copy_is_no_better_is_damaged(raw: Path, tmp_path: Path, copy: str) -> None:
    report = prepare(with_a_copy_of_c(raw, copy), tmp_path / "out")
    assert [str(each) for each in report.damaged] == ["c, line 3: is broken"]


def test_a_whole_recording_is_not_read_from_its_copy(raw: Path, tmp_path: Path) -> None:
    with_a_copy_of_c(raw, "0 1 1 1 1 4")
    for name in ("a", "e"):  # e has no skeleton
        (raw / "z_copies" / f"{name}.txt").write_text("1 9 9 9 1 9", encoding="utf-8")
    report = prepare(raw, tmp_path / "out")
    assert open_store(tmp_path / "out")[0].subject == 1
    assert [each.name for each in report.dropped] == ["e"]


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


def test_nothing_of_the_selection_is_refused_with_the_data_set_that_has_more(raw: Path, tmp_path: Path) -> None:
    select = SelectConfig(setups=[5, 7, 8, 9], actions=[1])
    config = DataConfig(**{**vars(CONFIG), "select": select, "subset_of": "larger"})
    with pytest.raises(UserError) as caught:
        prepare(raw, tmp_path / "out", config, ignore=["a"])
    message = str(caught.value)
    assert "On the ignore list: 1. Damaged or empty: 2; the first: c, line 3" in message
    assert "Outside of the `select` of tiny (setups 5, 7-9, actions 1): 4: try --dataset larger." in message


def test_names_on_the_ignore_list_count_in_any_case_and_form_of_accents(raw: Path, tmp_path: Path) -> None:
    (raw / "a.txt").rename(raw / "\u00e9.txt")
    report = prepare(raw, tmp_path / "out", ignore=["E\u0301", "B"])
    assert report.ignored == ["b", "\u00e9"]


def test_a_class_that_the_data_set_does_not_have_counts_as_damage(raw: Path, tmp_path: Path) -> None:
    (raw / "d.txt").write_text("2 2 2 2 1 5", encoding="utf-8")
    report = prepare(raw, tmp_path / "out")
    assert [str(each) for each in report.damaged][1:] == ["d: its class is number 3, but tiny has 2"]


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


def test_a_refusal_of_an_empty_part_names_the_recordings_that_were_left_out(raw: Path, tmp_path: Path) -> None:
    empty = DataConfig(**{**vars(CONFIG), "protocols": {"xsub": ProtocolConfig("subject", train=[1], test=[9])}})
    with pytest.raises(UserError, match="No store is written") as caught:
        prepare(raw, tmp_path / "out", empty)
    assert "Damaged, left out: 1 recording:\n  c, line 3: is broken\n" in str(caught.value)
    assert "Empty or not used, left out: 1 recording:\n  e: no skeleton\n" in str(caught.value)
    assert not (tmp_path / "out" / "report.txt").exists()


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


def test_a_missing_raw_folder_is_refused_with_how_to_get_the_data(tmp_path: Path) -> None:
    config = DataConfig(**{**vars(CONFIG), "how_to_get": "Ask the lab."})
    with pytest.raises(UserError, match=r"no raw folder .*nowhere\.\nAsk the lab\."):
        prepare(tmp_path / "nowhere", tmp_path / "out", config)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("raw", ["nowhere", "empty"])
def test_how_to_get_the_data_names_the_program_as_it_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: str
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/last-har"])
    config = DataConfig(**{**vars(CONFIG), "how_to_get": "Run: {program} preprocess --raw {DIR}"})
    with pytest.raises(UserError, match=r"Run: last-har preprocess --raw \{DIR\}"):
        prepare(tmp_path / raw, tmp_path / "out", config)


def test_a_raw_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No recording of the format ntu"):
        prepare(tmp_path, tmp_path / "out")


def test_a_raw_folder_of_which_nothing_can_be_kept_is_refused(raw: Path, tmp_path: Path) -> None:
    for path in raw.iterdir():
        path.write_text("bad", encoding="utf-8")
    with pytest.raises(UserError, match=r"None of the 7 recordings .* can be kept.*a, line 3"):
        prepare(raw, tmp_path / "out")
    assert not (tmp_path / "out" / "store.json").exists()


def test_an_ignore_list_of_everything_is_refused(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="All 7 recordings"):
        prepare(raw, tmp_path / "out", ignore=list("abcdefg"))


def test_a_data_set_without_classes_is_refused_before_anything_is_read(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.classes"):
        prepare(raw, tmp_path / "out", DataConfig(name="tiny"))


def test_a_broken_protocol_is_refused_before_anything_is_read(raw: Path, tmp_path: Path) -> None:
    config = DataConfig(**{**vars(CONFIG), "protocols": {"xsub": ProtocolConfig()}})
    with pytest.raises(UserError, match="lists no subject"):
        prepare(raw, tmp_path / "out", config)
    assert NumbersReader.read_names == []


def test_an_unwritable_place_is_refused(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"Cannot write .*file"):
        prepare(raw, tmp_path / "file" / "out")


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


def test_progress_counts_every_recording_once(raw: Path, tmp_path: Path) -> None:
    class Counter(Progress):
        counts: list[int]

        def task(self, description: str, total: int, unit: str = "clips", **facts: Any) -> "Counter":
            self.counts = [*getattr(self, "counts", []), facts.get("before", 0) - total]
            return self

        def advance(self, done: int = 1, note: str = "", run_left_s: float = math.nan) -> None:
            self.counts[-1] += done

    counter = Counter()
    prepare(raw, tmp_path / "out", progress=counter)
    assert counter.counts == [0, 0]


def test_an_ignore_list_takes_names_and_leaves_headings_and_comments_alone(tmp_path: Path) -> None:
    path = tmp_path / "missing.txt"
    lines = ["\ufeffThe 2 samples with missing skeletons are:", "", "S001C002P005R002A008", "# S009", "  b.skeleton "]
    lines += ["S001C002P005R002A008", "c.SKELETON.gz", "d.json", "x/e.npy", "f.1", "e\u0301.npy"]
    path.write_text("\r\n".join(lines), encoding="utf-8")
    assert read_ignore_list(path) == ["S001C002P005R002A008", "b", "c", "d", "x/e", "f.1", "\u00e9"]


@pytest.mark.parametrize("content", [b"", b"only a heading\n", b"\xff\xfe\x00"])
def test_a_file_without_names_is_no_ignore_list(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(UserError, match="ignore list"):
        read_ignore_list(tmp_path / "list")


def test_a_missing_ignore_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Cannot read the ignore list"):
        read_ignore_list(tmp_path / "nowhere.txt")


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


def test_a_report_that_cannot_be_updated_leaves_the_store_usable(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    prepare(raw, tmp_path / "out")

    def fail(*_: object) -> None:
        raise UserError("The disk is full.")

    monkeypatch.setattr(PreparationReport, "save", fail)
    other = DataConfig(**{**vars(CONFIG), "protocols": {"xsub": ProtocolConfig("subject", train=[2])}})
    assert prepare(raw, tmp_path / "out", other).prepared_before
    assert "The report in the store's folder is not updated. The disk is full." in caplog.text


def test_a_report_of_other_parts_than_train_and_test_is_refused(raw: Path, tmp_path: Path) -> None:
    prepare(raw, tmp_path / "out")
    path = tmp_path / "out" / "report.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["parts"]["xsub"] = {"train": 2}
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match="its parts are not train and test"):
        prepare(raw, tmp_path / "out")


def test_a_data_set_without_a_protocol_is_prepared_with_a_warning(raw: Path, tmp_path: Path) -> None:
    report = prepare(raw, tmp_path / "out", DataConfig(**{**vars(CONFIG), "protocols": {}}))
    assert report.warnings == [
        "The data set has no protocol, and training needs one, such as protocols: {own: {by: file}}."
    ]


def test_where_a_selection_keeps_no_recording_that_is_the_only_reason_given(raw: Path, tmp_path: Path) -> None:
    for name in ("c", "e"):
        (raw / f"{name}.txt").unlink()
    config = DataConfig(**{**vars(CONFIG), "select": SelectConfig(setups=[7])})
    with pytest.raises(UserError) as refused:
        prepare(raw, tmp_path / "out", config)
    assert "setups 7" in str(refused.value) and "Damaged" not in str(refused.value)
