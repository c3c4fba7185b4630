"""Finding recordings in folders and archives, and reading them."""

import gzip
import io
import logging
import pickle
import tarfile
import tracemalloc
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile

import pytest

from last.data.preparation.formats import BadClip, Entry
from last.data.preparation.formats.recordings import find_recordings, only_file, read_bytes
from last.data.preparation.formats.sniff import file_kind
from last.utils.errors import UserError

LIMIT = 1000


def find(raw: Path):
    return find_recordings(
        raw, ".txt", lambda path: path.stem if path.stem.startswith("clip") else None, "files clip*.txt"
    )


def write_zip(path: Path, members: dict[str, bytes], method=ZIP_DEFLATED) -> None:
    with ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def test_recordings_come_in_the_order_of_their_names_from_any_depth_and_archive(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "clip2.txt").write_bytes(b"two")
    write_zip(tmp_path / "a.zip", {"inner/clip3.txt": b"three", "inner/clip1.txt": b"one"})
    entries = find(tmp_path)
    assert [entry.name for entry in entries] == ["clip1", "clip2", "clip3"]
    assert [read_bytes(entry, LIMIT) for entry in entries] == [b"one", b"two", b"three"]
    assert [entry.size for entry in entries] == [3, 3, 5]


def test_a_path_to_a_zip_or_to_one_file_will_do(tmp_path):
    write_zip(tmp_path / "a.zip", {"clip1.txt": b"one"})
    (tmp_path / "clip2.txt").write_bytes(b"two")
    assert [entry.name for entry in find(tmp_path / "a.zip")] == ["clip1"]
    assert [entry.name for entry in find(tmp_path / "clip2.txt")] == ["clip2"]


def test_a_name_found_twice_counts_once_and_the_plain_file_wins(tmp_path, caplog):
    write_zip(tmp_path / "a.zip", {"clip1.txt": b"packed"})
    (tmp_path / "clip1.txt").write_bytes(b"plain")
    (entry,) = find(tmp_path)
    assert read_bytes(entry, LIMIT) == b"plain"
    assert ": 1 recording, such as" in caplog.text
    (copy,) = entry.copies
    assert read_bytes(copy, LIMIT) == b"packed"


def test_files_that_are_no_recordings_by_their_names_are_counted_in_a_warning(tmp_path, caplog):
    for name in ("clip1.txt", "notes.txt", "more.txt", "picture.png"):
        (tmp_path / name).write_bytes(b"x")
    with caplog.at_level(logging.WARNING):
        assert len(find(tmp_path)) == 1
    assert "2 files" in caplog.text


def test_a_folder_without_recordings_is_refused_with_what_was_expected(tmp_path):
    with pytest.raises(UserError, match=r"expected files clip\*\.txt"):
        find(tmp_path)


def refusal(raw: Path) -> str:
    with pytest.raises(UserError) as caught:
        find(raw)
    return str(caught.value)


def test_what_lies_there_instead_of_recordings_is_named(tmp_path):
    for name in ("other.txt", "more.TXT", "a.csv", "b.csv", "x.tar.gz", ".hidden", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"x")
    message = refusal(tmp_path)
    assert "With other names: 2 .txt (more.TXT)." in message
    assert "Other files there: 2 .csv (a.csv), 1 .tar.gz (x.tar.gz)." in message
    assert "unpack x.tar.gz" in message
    assert "hidden" not in message and "Thumbs" not in message
    (tmp_path / "empty").mkdir()
    assert "The folder has no files" in refusal(tmp_path / "empty")


def test_of_many_kinds_of_files_the_most_frequent_are_named(tmp_path):
    for number in range(12):
        (tmp_path / f"a.kind{number}").touch()
        (tmp_path / f"b.kind{number % 2}").touch()
    message = refusal(tmp_path)
    assert "2 .kind0 (a.kind0), 2 .kind1 (a.kind1), 1 .kind10 (a.kind10)" in message and "7 others" in message


@pytest.mark.parametrize("beside", [False, True])
def test_a_zip_within_a_zip_is_named_with_what_to_do(tmp_path, caplog, beside):
    write_zip(tmp_path / "outer.zip", {"inner.zip": b"PK", "readme.md": b"x"})
    if beside:
        (tmp_path / "clip1.txt").write_bytes(b"one")
        assert len(find(tmp_path)) == 1
    message = caplog.text if beside else refusal(tmp_path)
    assert "inner.zip is inside another zip archive: unpack the outer one" in message


def test_archives_that_are_not_read_are_named_beside_recordings(tmp_path, caplog):
    for name in ("clip1.txt", "rest.7z", "rest.tar.gz"):
        (tmp_path / name).write_bytes(b"x")
    assert len(find(tmp_path)) == 1
    assert "1 .7z (rest.7z), 1 .tar.gz (rest.tar.gz)" in caplog.text


def test_a_zip_that_is_a_web_page_is_named_so_and_nothing_beside_it_is_read(tmp_path):
    (tmp_path / "clip1.txt").write_bytes(b"one")
    (tmp_path / "a.zip").write_bytes(b"<!DOCTYPE html>")
    assert "it is an HTML page" in refusal(tmp_path)


def test_what_unpacks_to_more_than_the_limit_is_refused_without_unpacking_it_all(tmp_path):
    bomb = gzip.compress(bytes(300_000_000), compresslevel=1)
    (tmp_path / "clip1.txt.gz").write_bytes(gzip.compress(b"x" * (LIMIT + 1)))
    write_zip(tmp_path / "a.zip", {"clip2.txt.gz": bomb})
    entries = find(tmp_path)
    tracemalloc.start()
    for entry, limit in zip(entries, (LIMIT, 10_000_000), strict=True):
        with pytest.raises(BadClip, match="too large"):
            read_bytes(entry, limit)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


def test_a_missing_folder_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        find(tmp_path / "nowhere")


def test_an_archive_that_is_none_is_refused_by_name(tmp_path):
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(UserError, match=r"broken\.zip is not a readable zip"):
        find(tmp_path)


def test_a_member_with_damaged_bytes_is_one_bad_clip(tmp_path):
    path = tmp_path / "a.zip"
    write_zip(path, {"clip1.txt": bytes(range(200)), "clip2.txt": b"fine"})
    data = bytearray(path.read_bytes())
    data[60:70] = b"\xff" * 10
    path.write_bytes(data)
    first, second = find(path)
    with pytest.raises(BadClip, match="cannot be unpacked"):
        read_bytes(first, LIMIT)
    assert read_bytes(second, LIMIT) == b"fine"


def test_a_member_of_an_unusual_compression_is_one_bad_clip(tmp_path):
    write_zip(tmp_path / "a.zip", {"clip1.txt": b"one"}, ZIP_BZIP2)
    (entry,) = find(tmp_path)
    with pytest.raises(BadClip, match="compression"):
        read_bytes(entry, LIMIT)


@pytest.mark.parametrize("packed", [False, True])
def test_a_recording_larger_than_the_limit_is_refused(tmp_path, packed):
    if packed:
        write_zip(tmp_path / "a.zip", {"clip1.txt": bytes(LIMIT + 1)})
    else:
        (tmp_path / "clip1.txt").write_bytes(bytes(LIMIT + 1))
    (entry,) = find(tmp_path)
    with pytest.raises(BadClip, match="too large"):
        read_bytes(entry, LIMIT)


def test_a_file_that_grew_since_it_was_listed_is_refused(tmp_path):
    (tmp_path / "clip1.txt").write_bytes(b"small")
    (entry,) = find(tmp_path)
    (tmp_path / "clip1.txt").write_bytes(bytes(LIMIT + 1))
    with pytest.raises(BadClip, match="too large"):
        read_bytes(entry, LIMIT)


def test_a_file_that_is_gone_is_one_bad_clip(tmp_path):
    with pytest.raises(BadClip, match="cannot be read"):
        read_bytes(Entry("clip1", tmp_path / "clip1.txt", "", 3), LIMIT)


def test_a_rewritten_archive_is_opened_again(tmp_path):
    path = tmp_path / "a.zip"
    write_zip(path, {"clip1.txt": b"old"})
    assert read_bytes(find(path)[0], LIMIT) == b"old"
    path.unlink()
    write_zip(path, {"before.txt": b"x" * 50, "clip1.txt": b"new"})
    assert read_bytes(find(path)[0], LIMIT) == b"new"


def test_a_refusal_crosses_to_another_process_whole():
    copy = pickle.loads(pickle.dumps(BadClip("clip1", 3, "is odd")))  # noqa: S301 - our own bytes
    assert str(copy) == "clip1, line 3: is odd"


def test_the_only_file_of_a_kind_is_found_and_several_are_refused(tmp_path):
    (tmp_path / "a.npz").touch()
    assert only_file(tmp_path, ".npz") == tmp_path / "a.npz"
    (tmp_path / "b.npz").touch()
    with pytest.raises(UserError, match=r"a\.npz, b\.npz"):
        only_file(tmp_path, ".npz")
    with pytest.raises(UserError, match=r"no \.pkl file .* It holds 2 \.npz \(a\.npz\)"):
        only_file(tmp_path, ".pkl")
    (tmp_path / "._c.pkl").touch()
    (tmp_path / "C.PKL").touch()
    assert only_file(tmp_path, ".pkl") == tmp_path / "C.PKL"


def test_a_tar_archive_is_named_as_one():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("one"))
    assert file_kind(data.getvalue()) == "a tar archive (unpack it)"
