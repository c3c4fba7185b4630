import errno
import io
import os
import shutil
import sys
from pathlib import Path

import pytest
from conftest import deny_listing

from last.data.preparation.ignore_list import read_ignore_list
from last.runs.append_file import append
from last.runs.checkpoint import read_checkpoint
from last.runs.confusion import read_confusion
from last.runs.logbook import read_rows
from last.utils import files
from last.utils.config import read_yaml
from last.utils.errors import Unwritable, UserError
from last.utils.files import (
    atomic_path,
    copy_files,
    file_checksum,
    make_folder,
    read_json,
    read_whole,
    refuse_unwritable,
    write_csv,
    write_error,
    write_json,
    write_text,
)


def test_a_file_and_its_folders_appear_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "c.txt", "ä\nb\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "ä\nb\n".encode()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["c.txt"]


def test_the_file_is_not_there_before_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "model.pth"
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        assert temporary.parent == target.parent
    assert target.read_text() == "half"


@pytest.mark.parametrize("interruption", [RuntimeError("broken"), KeyboardInterrupt(), UserError("wrong")])
def test_a_failure_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, interruption: BaseException) -> None:
    target = tmp_path / "model.pth"
    target.write_text("old")
    with pytest.raises(type(interruption)), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise interruption
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]
    assert target.read_text() == "old"


def test_a_full_disk_is_reported_and_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "summary.json"
    target.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"Cannot write .*summary.json: the disk is full"):
        write_text(target, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
    assert target.read_text() == "old"


def test_a_file_where_a_folder_should_be_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="a part of the path is a file"):
        write_text(tmp_path / "file" / "below" / "a.txt", "x")
    with pytest.raises(UserError, match="a file of that name is in the way"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_a_folder_in_the_place_of_the_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(UserError, match=r"Cannot write .*a.txt"):
        write_text(tmp_path / "a.txt", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot write"):
        make_folder(tmp_path / "file" / "runs")


@pytest.mark.parametrize("folder", [False, True])
def test_a_place_that_can_be_written_is_left_as_it_is(folder: bool, tmp_path: Path) -> None:
    for path in (tmp_path / "a" / "b" / "page.html", tmp_path / "page.html"):
        refuse_unwritable(path, folder=folder)
    assert list(tmp_path.iterdir()) == []
    refuse_unwritable(tmp_path, folder=True)
    with pytest.raises(UserError, match="it is a folder, not a file"):
        refuse_unwritable(tmp_path)


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(Unwritable, match=r"Cannot write .*page.html: a part of the path is a file, not a folder"):
        refuse_unwritable(tmp_path / "file" / "page.html")

    def touch(_: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "touch", touch)
    with pytest.raises(Unwritable, match=r"the file system is read-only. Choose another place"):
        refuse_unwritable(tmp_path / "new" / "page.html")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_exists_is_no_obstacle(tmp_path: Path) -> None:
    assert make_folder(make_folder(tmp_path / "runs")) == tmp_path / "runs"


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.EACCES, "permission was denied"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_the_cause_of_a_failed_write_is_reported_in_plain_words(number: int, cause: str) -> None:
    assert cause in str(write_error(Path("runs"), OSError(number, "Input/output error")))


@pytest.mark.parametrize(("number", "advises"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EROFS, False)])
def test_only_an_error_of_space_advises_to_free_some(number: int, advises: bool) -> None:
    message = str(write_error(Path("runs"), OSError(number, "no")))
    assert ("Free some space" in message) == advises
    assert message.endswith("hoose another place.")


def test_a_table_is_quoted_where_it_must_be(tmp_path: Path) -> None:
    write_csv(tmp_path / "table.csv", ["name", "top1"], [["drink, water", 0.5], ['say "hi"', 1]])
    assert (tmp_path / "table.csv").read_text() == 'name,top1\n"drink, water",0.5\n"say ""hi""",1\n'


def test_json_is_read_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "ä", "numbers": [1, 2.5]})
    assert read_json(tmp_path / "a.json") == {"name": "ä", "numbers": [1, 2.5]}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[1]", "should hold a JSON object, not a list"),
        (b"{", "is not valid JSON"),
        (b"\xff\xfe", "is not valid JSON"),
        (b'{"a":' + b"[" * 200_000, "is not valid JSON"),
        (b" " * 2000, "is larger than 1000 bytes"),
    ],
    ids=["list", "truncated", "binary", "nested", "large"],
)
def test_what_is_not_a_small_json_object_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=complaint):
        read_json(tmp_path / "a.json", limit_bytes=1000 if b" " in content else 10**6)


def test_a_missing_json_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Cannot read .*absent.json"):
        read_json(tmp_path / "absent.json")


def test_the_checksum_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_checksum(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")


# --- what is no file


def pipe(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    return path


READERS = {
    "a configuration": read_yaml,
    "json": read_json,
    "a logbook": read_rows,
    "a confusion matrix": read_confusion,
    "a checkpoint": read_checkpoint,
    "a list of names": read_ignore_list,
    "any file": lambda path: read_whole(path, 5, "anything"),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes on Windows")
@pytest.mark.parametrize("place", ["a pipe", "a folder", "a device"])
@pytest.mark.parametrize("what", READERS)
def test_no_reader_waits_for_what_is_no_file(tmp_path: Path, what: str, place: str) -> None:
    make = {"a pipe": pipe, "a folder": make_folder, "a device": lambda _: Path("/dev/zero")}[place]
    with pytest.raises((UserError, OSError)):
        READERS[what](make(tmp_path / "place"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes on Windows")
def test_no_line_is_appended_to_a_pipe(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such device"):
        append(pipe(tmp_path / "log.txt"), b"line\n")


def test_a_file_is_read_up_to_its_limit_and_refused_beyond(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_whole(path, 5, "it") == b"12345"
    with pytest.raises(UserError, match="larger than 4 bytes, too large for it"):
        read_whole(path, 4, "it")


def test_a_path_that_is_no_text_is_kept_in_json_and_shown_in_csv(tmp_path: Path) -> None:
    name = b"caf\xe9".decode(errors="surrogateescape")
    write_json(tmp_path / "a.json", {"path": name})
    assert read_json(tmp_path / "a.json") == {"path": name}
    write_csv(tmp_path / "a.csv", ["name"], [[name]])
    assert (tmp_path / "a.csv").read_text() == "name\ncaf\\udce9\n"


# --- copies


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """Return a folder with a file in it and one below."""
    folder = tmp_path / "original"
    (folder / "below").mkdir(parents=True)
    for name in ("first.txt", "below/second.txt"):
        (folder / name).write_text(name)
    return folder


def test_a_copy_has_all_files_but_hidden_ones(tmp_path: Path, original: Path) -> None:
    (original / ".lock").touch()
    (original / ".half.last-1.tmp").mkdir()
    (original / ".half.last-1.tmp" / "third.txt").touch()
    copy_files(original, tmp_path / "copy")
    copied = {str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*")}
    assert copied == {"first.txt", "below", "below/second.txt"}
    assert (tmp_path / "copy" / "below" / "second.txt").read_text() == "below/second.txt"


@pytest.mark.skipif(sys.platform != "linux", reason="it needs a file that opens and cannot be read")
def test_of_a_folder_that_cannot_be_copied_whole_the_file_that_cannot_be_read_is_named(
    tmp_path: Path, original: Path
) -> None:
    bad = original / "below" / "bad.txt"
    bad.symlink_to("/proc/self/mem")
    with pytest.raises(UserError, match=rf"^Cannot read {bad} for copying: Input/output error\.") as caught:
        copy_files(original, tmp_path / "copy")
    assert not isinstance(caught.value, Unwritable)
    assert [path.name for path in tmp_path.iterdir()] == ["original"]


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deny_listing(original / "below", monkeypatch)
    with pytest.raises(UserError, match=rf"^Cannot read {original / 'below'} for copying: permission was denied\."):
        copy_files(original, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_copy_that_finds_no_space_is_reported_as_one_that_cannot_be_written(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_source: Path, _target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(Unwritable, match=rf"^Cannot write {tmp_path / 'copy'}: the disk is full\."):
        copy_files(original, tmp_path / "copy")


def test_a_pipe_that_took_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes on Windows")
    bad = pipe(original / "pipe.txt")
    monkeypatch.setattr(Path, "is_file", lambda path: not path.is_dir())
    with pytest.raises(UserError, match=rf"^Cannot read {bad} for copying: it is not a regular file\."):
        copy_files(original, tmp_path / "copy")


@pytest.mark.parametrize("given", [MemoryError(), bytes(5)], ids=["no memory", "it has grown"])
def test_a_file_that_is_larger_than_it_said_or_than_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: MemoryError | bytes
) -> None:
    class Opened(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            if isinstance(given, MemoryError):
                raise given
            return given

    monkeypatch.setattr(files, "open_regular", lambda _path: Opened())
    monkeypatch.setattr(files, "size_of_open", lambda _file: 4)
    with pytest.raises(UserError, match=r"4 bytes, (more than the available memory|too large for a test)"):
        read_whole(tmp_path / "a", 4, "a test")
