"""Only regular files are opened."""

import os
from pathlib import Path

import pytest

from last.utils.regular_files import open_regular, size_of_open


def test_a_file_and_a_link_to_one_are_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("file", "link"):
        with open_regular(tmp_path / name) as file:
            assert file.read(2) == b"12"
            assert size_of_open(file) == 5
            assert file.read() == b"345"  # at the same position as before


def test_a_file_is_changed_in_place_if_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    with open_regular(tmp_path / "file", writable=True) as file:
        file.seek(1)
        file.write(b"x")
    assert (tmp_path / "file").read_bytes() == b"1x345"


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "nothing"])
def test_what_is_no_regular_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        getattr(os, "mkfifo", Path.mkdir)(path)  # Windows has no pipes in folders
    with pytest.raises(OSError, match=r"regular|directory|Permission"):
        open_regular(path)
