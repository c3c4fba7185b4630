"""Lists for `preprocess --ignore`: which recordings they name, and which lines are headings and comments."""

from pathlib import Path

import numpy as np
import pytest

from last.data.preparation.ignore_list import named_recordings, read_ignore_list
from last.data.store.copies import Copies, write_copies
from last.utils.errors import UserError


def test_names_are_found_and_headings_and_comments_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "missing.txt"
    lines = ["\ufeffThe 2 samples with missing skeletons are:", "", "S001C002P005R002A008", "# S009", "  b.skeleton "]
    lines += ["S001C002P005R002A008", "c.SKELETON.gz", "d.json", "x/e.npy # cut off", "f.1", "e\u0301.npy", "gone"]
    path.write_text("\r\n".join(lines), encoding="utf-8")
    names = ["S001C002P005R002A008", "S009", "b", "c", "d", "x/e", "f.1", "\u00e9", "samples", "other"]
    found, count = named_recordings(read_ignore_list(path), names)
    assert found == set(names) - {"S009", "samples", "other"}
    assert count == 8  # and the one that is not there


@pytest.mark.parametrize("name", ["wave/clip 2", "drink water/clip1", "take 1.json", "#1/take", "a\u2028b", "a #2"])
def test_a_list_that_a_command_writes_is_read_back_whole(name: str, tmp_path: Path) -> None:
    names = [name, "wave/clip", "drink", "take 1", "a", "b"]
    path = tmp_path / "copies.txt"
    write_copies(path, names, Copies(np.array([0]), np.array([1])))
    assert named_recordings(read_ignore_list(path), names) == ({name}, 1)


def test_a_part_of_a_long_recording_is_told(caplog: pytest.LogCaptureFixture) -> None:
    assert named_recordings(["day 1/000000-000060"], ["day 1", "day 2"])[0] == set()
    assert "1 name on the ignore list is a part of a long recording, and stays: day 1/000000-000060." in caplog.text


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe\x00"])
def test_an_empty_file_is_no_ignore_list(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(UserError, match="ignore list"):
        read_ignore_list(tmp_path / "list")


def test_a_missing_ignore_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Cannot read the ignore list"):
        read_ignore_list(tmp_path / "nowhere.txt")
