"""Preparing a data set: what is kept, skipped and reported, and what is refused."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from preprocess_probes import CONFIG, NumbersReader, prepare, with_a_copy_of_c

from last.data import open_store
from last.data.preparation.report import PreparationReport
from last.settings.data import DataConfig, ProtocolConfig, SelectConfig
from last.utils.errors import UserError
from last.utils.progress import Progress

pytestmark = pytest.mark.usefixtures("reader")


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


def test_a_refusal_of_an_empty_part_names_the_recordings_that_were_left_out(raw: Path, tmp_path: Path) -> None:
    empty = DataConfig(**{**vars(CONFIG), "protocols": {"xsub": ProtocolConfig("subject", train=[1], test=[9])}})
    with pytest.raises(UserError, match="No store is written") as caught:
        prepare(raw, tmp_path / "out", empty)
    assert "Damaged, left out: 1 recording:\n  c, line 3: is broken\n" in str(caught.value)
    assert "Empty or not used, left out: 1 recording:\n  e: no skeleton\n" in str(caught.value)
    assert not (tmp_path / "out" / "report.txt").exists()


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


def test_an_ignore_list_of_headings_alone_is_refused(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No line of the ignore list names a recording"):
        prepare(raw, tmp_path / "out", ignore=["Samples with missing skeletons:"])


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
    message = "The data set has no protocol, and training needs one, such as protocols: {own: {by: file}}."
    assert message in report.warnings


def test_where_a_selection_keeps_no_recording_that_is_the_only_reason_given(raw: Path, tmp_path: Path) -> None:
    for name in ("c", "e"):
        (raw / f"{name}.txt").unlink()
    config = DataConfig(**{**vars(CONFIG), "select": SelectConfig(setups=[7])})
    with pytest.raises(UserError) as refused:
        prepare(raw, tmp_path / "out", config)
    assert "setups 7" in str(refused.value) and "Damaged" not in str(refused.value)
