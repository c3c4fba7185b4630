"""The files of a folder, without those of the operating system."""

from pathlib import Path, PurePath

import pytest

from last.data.preparation.formats.listing import ending, files_below, is_junk, size_of, tally


@pytest.mark.parametrize("path", [".DS_Store", "a/.hidden/b.csv", "__MACOSX/a.csv", "a/Thumbs.db"])
def test_what_systems_leave_behind_is_no_recording(path: str) -> None:
    assert is_junk(PurePath(path)) and not is_junk(PurePath("../a/b.csv"))


def test_files_are_found_in_order_and_once_each(tmp_path: Path) -> None:
    for name in ("b/2.csv", "b/1.csv", "a/3.csv", ".git/x", "a/.x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "gone.csv").symlink_to(tmp_path / "none")
    found = list(files_below(tmp_path))
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a/3.csv", "b/1.csv", "b/2.csv", "b/gone.csv"]
    assert [size_of(path) for path in found] == [7, 7, 7, 0]


@pytest.mark.parametrize(
    ("name", "expected"), [("a.CSV", ".csv"), ("a.tar.gz", ".tar.gz"), ("a.skeleton.txt", ".skeleton.txt"), ("a", "")]
)
def test_an_ambiguous_ending_has_two_parts(name: str, expected: str) -> None:
    assert ending(name) == expected


def test_kinds_are_counted_with_an_example() -> None:
    assert tally(["a.csv", "b.csv", "c"]) == "2 .csv (a.csv), 1 without an ending (c)"
    assert tally(f"a.{number}" for number in range(7)).endswith("1 .4 (a.4), 2 others")
