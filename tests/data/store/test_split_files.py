"""A split as a text file: written, read again, and refused with file, line and remedy."""

import re
from pathlib import Path

import numpy as np
import pytest

from last.data.store import listed_parts
from last.data.store.format import index_type
from last.data.store.protocols import Split, split
from last.data.store.recordings import RECORDING
from last.data.store.split_files import with_split_file, write_split_file
from last.settings.data import DataConfig, ProtocolConfig, SelectConfig
from last.utils.config import merge, override_layer, to_yaml
from last.utils.errors import UserError
from last.utils.yaml_text import parse_with_texts

NAMES = ["wave/b 1", "wave/ä2", "#3", "jump/4", "jump/5", "jump/6"]


def make_clips(recordings: list[int] | None = None) -> np.ndarray:
    clips = np.zeros(6, np.dtype(index_type(8).descr + ([(RECORDING, "<i8")] if recordings else [])))
    clips["name"], clips["subject"], clips["label"] = NAMES, [1, 1, 2, 2, 3, 0], [0, 0, 1, 1, 1, 1]
    if recordings:
        clips[RECORDING] = recordings
    return clips


def read(folder: Path, text: str, clips: np.ndarray | None = None, name: str = "mine.txt") -> DataConfig:
    (folder / name).write_text(text, encoding="utf-8")
    data = DataConfig(name="tiny", protocols={"xsub": ProtocolConfig("subject", train=[1])})
    return with_split_file(data, make_clips() if clips is None else clips, folder / name)


def test_a_split_is_the_same_after_it_was_written_and_read(tmp_path: Path) -> None:
    parts = Split(train=np.array([0, 2, 3]), test=np.array([1, 4]))
    write_split_file(tmp_path / "mine.txt", make_clips(), parts, "file", ["tiny, six clips"])
    data = with_split_file(DataConfig(name="tiny"), make_clips(), tmp_path / "mine.txt")
    assert data.split == "mine"
    again = split(make_clips(), data)
    assert (again.train.tolist(), again.test.tolist()) == ([0, 2, 3], [1, 4])


def test_a_configuration_holds_the_split_so_the_file_is_not_needed_again(tmp_path: Path) -> None:
    data = read(tmp_path, "train:\n#3\njump/4\ntest:\njump/5\n")
    (tmp_path / "mine.txt").unlink()
    saved = merge(DataConfig(), [override_layer([f"protocols={parse_with_texts(to_yaml(data))[0]['protocols']}"])])
    other_order = make_clips()[::-1]
    parts = split(other_order, saved, "mine")
    assert other_order["name"][parts.train].tolist() == ["jump/4", "#3"]
    assert other_order["name"][parts.test].tolist() == ["jump/5"]


def test_headings_comments_line_ends_and_accents_are_read_as_people_write_them(tmp_path: Path) -> None:
    text = "\ufeff# by hand\r\nBy: subject\r\n\r\nTRAIN :\r\n  wave/b 1  \r\nwave/a\u03082\r\n# more\r\nTest:\r\n#3\r\n"
    parts = split(make_clips(), read(tmp_path, text))
    assert (parts.train.tolist(), parts.test.tolist()) == ([0, 1], [2])


def test_a_file_named_like_a_protocol_of_the_data_set_gets_another_name(tmp_path: Path) -> None:
    assert read(tmp_path, "train:\n#3\ntest:\njump/5\n", name="xsub.txt").split == "xsub_file"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("train:\n#3\ntest:\njump/44\n", "line 4: the data set has no clip 'jump/44'. Did you mean 'jump/4'?"),
        ("train:\nx\ntest:\ny\n", "Unknown names in all: 2"),
        ("train:\n#3\njump/4\n#3\n", "line 4: the clip '#3' is in line 2 too. Remove one"),
        ("train:\n#3\ntest:\njump/4\n#3\n", "line 5: the clip '#3' is in both parts: line 2 is below train:"),
        ("#3 is a comment\njump/4\ntrain:\n", "line 2: 'jump/4' is above the first heading"),
        ("by: person\ntrain:\n#3\n", "line 1: by: should be subject, camera, setup, replication, not 'person'"),
        (
            "by: subject\ntrain:\nwave/b 1\ntest:\njump/5\nwave/ä2\n",
            "line 6: the clip 'wave/ä2' tests, and the clip in line 3, also of the subject 1, trains",
        ),
        ("# nothing\ntrain:\ntest:\n", "lists no clip"),
    ],
)
def test_a_wrong_line_is_refused_with_file_line_and_remedy(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UserError, match=re.escape(problem)) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith(str(tmp_path / "mine.txt"))


def test_a_file_that_is_no_text_or_missing_or_endless_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.txt").write_bytes(b"PK\x03\x04\xff\xfe")
    for name, problem in (("binary.txt", "not a text file"), ("gone.txt", "Cannot read the split")):
        with pytest.raises(UserError, match=problem):
            with_split_file(DataConfig(name="tiny"), make_clips(), tmp_path / name)
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(UserError, match=r"huge\.txt"):
        with_split_file(DataConfig(name="tiny"), make_clips(), tmp_path / "huge.txt")


def test_a_file_that_divides_a_recording_is_refused_with_both_lines(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="line 5: the clip 'jump/4' tests, and the clip in line 2, also of the same recording"
    ):
        read(tmp_path, "train:\n#3\njump/6\ntest:\njump/4\n", make_clips([0, 1, 2, 2, 3, 4]))


def test_a_list_of_other_clips_is_refused_and_so_is_a_damaged_one(tmp_path: Path) -> None:
    data = read(tmp_path, "train:\n#3\ntest:\njump/4\n")
    with pytest.raises(UserError, match=r"lists the clips of another store: 6 clips, and here are 5"):
        split(make_clips()[1:], data)
    data.protocols["mine"].parts = "TTxE--"
    with pytest.raises(UserError, match="is damaged"):
        split(make_clips(), data)


def test_a_list_of_a_smaller_data_set_fits_the_store_of_the_larger_one(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("train:\nwave/b 1\ntest:\nwave/ä2\n")
    data = DataConfig(name="tiny", select=SelectConfig(actions=[1]))
    own = with_split_file(data, make_clips()[:2], tmp_path / "mine.txt")
    assert split(make_clips(), own).test.tolist() == [1]


def test_more_clips_than_a_configuration_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed_parts, "MOST_CLIPS", 5)
    with pytest.raises(UserError, match="can have 5 clips, and the data set has 6"):
        read(tmp_path, "train:\n#3\ntest:\njump/4\n")


def test_a_file_of_someone_else_is_not_replaced(tmp_path: Path) -> None:
    parts = Split(train=np.array([0]), test=np.array([1]))
    write_split_file(tmp_path / "mine.txt", make_clips(), parts, "subject")
    write_split_file(tmp_path / "mine.txt", make_clips(), parts, "subject")
    with pytest.raises(UserError, match="is there already and has other content"):
        write_split_file(tmp_path / "mine.txt", make_clips(), Split(parts.test, parts.train), "subject")
