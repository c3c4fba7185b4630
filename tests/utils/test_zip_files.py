"""Reading zip archives that are damaged, or claim what is not true."""

import contextlib
import io
import os
import struct
import zlib
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from last.utils import zip_files
from last.utils.zip_files import Archive, DamagedZip

LIMIT = 1 << 20
MEMBERS = {"a/one.txt": b"one" * 1000, "two.txt": b"", "étude.txt": bytes(range(256)) * 40}


def packed(method: int = ZIP_DEFLATED, members: dict[str, bytes] = MEMBERS, before: bytes = b"") -> bytes:
    buffer = io.BytesIO(before)
    buffer.seek(0, io.SEEK_END)
    with ZipFile(buffer, "a", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def read_all(path: Path, data: bytes, limit: int = LIMIT) -> dict[str, bytes]:
    path.write_bytes(data)
    with Archive(path) as archive:
        return {member.name: archive.read(member, limit) for member in archive.members}


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
@pytest.mark.parametrize("before", [b"", b"#!/bin/sh\n" * 9])
def test_members_come_back_as_they_were_packed(tmp_path: Path, method: int, before: bytes) -> None:
    assert read_all(tmp_path / "a.zip", packed(method, before=before)) == MEMBERS


def test_an_archive_of_zip64_and_one_with_a_comment_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive, archive.open("one", "w", force_zip64=True) as member:
        member.write(b"one" * 1000)
    data = path.read_bytes()
    assert read_all(path, data) == {"one": b"one" * 1000}
    with ZipFile(path, "a") as archive:
        archive.comment = b"a comment"
    assert read_all(path, path.read_bytes()) == {"one": b"one" * 1000}
    assert read_all(path, in_zip64(data)) == {"one": b"one" * 1000}


def test_an_empty_archive_has_no_members(tmp_path: Path) -> None:
    assert read_all(tmp_path / "a.zip", packed(members={})) == {}


def test_a_field_of_zip64_without_all_its_numbers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("one", b"one" * 1000)
    data = in_zip64(path.read_bytes())
    assert read_all(path, data) == {"one": b"one" * 1000}
    with pytest.raises(DamagedZip, match="its directory is damaged"):
        read_all(path, data.replace(struct.pack("<HH", 1, 24), struct.pack("<HH", 1, 23)))


def in_zip64(data: bytes, offset: int = 0) -> bytes:
    """Return an archive of one member with sizes, a claimed offset and directory in the fields of ZIP64."""
    place, end = data.rfind(b"PK\1\2"), data.rfind(b"PK\5\6")
    entry = bytearray(data[place:end])
    packed_size, size = struct.unpack_from("<LL", entry, 20)
    extra = struct.pack("<HHQQQ", 1, 24, size, packed_size, offset)
    struct.pack_into("<LL", entry, 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", entry, 30, len(extra))
    struct.pack_into("<L", entry, 42, 0xFFFFFFFF)
    directory = bytes(entry[: 46 + 3]) + extra
    tail = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(directory), place)
    tail += struct.pack("<4sLQL", b"PK\6\7", 0, place + len(directory), 1)
    return data[:place] + directory + tail + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 2**32 - 1, 2**32 - 1, 0)


def test_a_stored_member_is_found_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(packed(ZIP_STORED))
    with Archive(path) as archive:
        span = archive.stored_span(archive.find("étude.txt"))
        assert path.read_bytes()[slice(*span)] == MEMBERS["étude.txt"]
    path.write_bytes(packed(ZIP_DEFLATED))
    with Archive(path) as archive:
        assert archive.stored_span(archive.find("étude.txt")) is None
        assert archive.find("three.txt") is None


def changed(data: bytes, signature: bytes, place: int, kind: str, *values: int) -> bytes:
    """Return an archive with a field changed in the last header of a kind."""
    copy = bytearray(data)
    struct.pack_into(kind, copy, data.rfind(signature) + place, *values)
    return bytes(copy)


ONE = {"one": b"one" * 5000}


@pytest.mark.parametrize(
    ("place", "kind", "values"),
    [
        (8, "<H", [1]),
        (10, "<H", [12]),
        (16, "<L", [7]),
        (20, "<L", [1]),
        (20, "<L", [2**31]),
        (24, "<L", [14_999]),
        (24, "<L", [15_001]),
        (42, "<L", [5]),
        (42, "<L", [2**32 - 2]),
    ],
    ids=["encrypted", "method", "checksum", "cut", "longer", "smaller", "larger", "moved", "outside"],
)
@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_what_the_directory_claims_falsely_is_one_damaged_member(
    tmp_path: Path, method: int, place: int, kind: str, values: list[int]
) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(changed(packed(method, ONE), b"PK\1\2", place, kind, *values))
    with Archive(path) as archive, pytest.raises(DamagedZip):
        archive.read(archive.members[0], LIMIT)


@pytest.mark.parametrize("offset", [2**31, 2**62, 2**63, 2**64 - 1])
@pytest.mark.parametrize("before", [b"", b"#!/bin/sh\n"])
@pytest.mark.parametrize("in_memory", [False, True])
def test_a_member_far_outside_of_the_file_is_damaged(
    tmp_path: Path, offset: int, before: bytes, in_memory: bool
) -> None:
    path = tmp_path / "a.zip"
    with ZipFile(path, "w") as archive:
        archive.writestr("one", b"one" * 1000)
    data = before + in_zip64(path.read_bytes(), offset)
    path.write_bytes(data)
    with Archive(data if in_memory else path) as archive:
        with pytest.raises(DamagedZip, match="not where the archive says"):
            archive.read(archive.members[0], LIMIT)
        with pytest.raises(DamagedZip, match="not where the archive says"):
            archive.stored_span(archive.members[0])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"PK\5\6" + bytes(17),
        packed()[:-1],
        packed()[200:],
        changed(packed(), b"PK\1\2", 0, "<H", 0),
        changed(packed(), b"PK\1\2", 28, "<H", 9999),
        changed(packed(), b"PK\5\6", 12, "<L", 2**31),
        changed(packed(), b"PK\5\6", 16, "<L", 2**31),
        changed(packed(), b"PK\5\6", 4, "<H", 3),
        changed(packed(members=ONE), b"PK\1\2", 20, "<LLHH", 0xFFFFFFFF, 1, 3, 0),
    ],
)
def test_a_damaged_directory_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DamagedZip):
        read_all(tmp_path / "a.zip", data)


def test_a_directory_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_files, "_MOST_DIRECTORY_BYTES", 100)
    with pytest.raises(DamagedZip, match="directory takes more than 100 bytes"):
        read_all(tmp_path / "a.zip", packed())


def test_a_member_of_another_compression_or_larger_than_allowed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedZip, match="compression"):
        read_all(tmp_path / "a.zip", packed(ZIP_BZIP2, ONE))
    with pytest.raises(DamagedZip, match="larger than 14999 bytes"):
        read_all(tmp_path / "a.zip", packed(members=ONE), limit=14_999)


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    """A few kilobytes that many members share would unpack to terabytes."""
    data = packed(members=ONE)
    place, end = data.rfind(b"PK\1\2"), data.rfind(b"PK\5\6")
    entry = data[place:end]
    path = tmp_path / "a.zip"
    path.write_bytes(changed(data[:place] + entry * 3 + data[end:], b"PK\5\6", 12, "<L", 3 * len(entry)))
    with Archive(path) as archive:
        assert len(archive.members) == 3
        for member in archive.members:
            with pytest.raises(DamagedZip, match="shares bytes"):
                archive.read(member, LIMIT)


def test_one_member_that_reaches_into_the_next_does_not_spoil_that(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    members = {"one": os.urandom(500), "two": b"two" * 50}
    with ZipFile(path, "w", ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    data = bytearray(path.read_bytes())
    struct.pack_into("<LL", data, data.find(b"PK\1\2") + 20, 600, 600)
    path.write_bytes(data)
    with Archive(path) as archive:
        one, two = archive.members
        with pytest.raises(DamagedZip, match="shares bytes"):
            archive.read(one, LIMIT)
        assert archive.read(two, LIMIT) == members["two"]


def test_a_name_that_is_not_what_it_claims_to_be_is_read_as_the_oldest_programs_wrote_it(tmp_path: Path) -> None:
    data = packed(members={"étude": b"x"}).replace("étude".encode(), b"\xff\xfetude")
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    with Archive(path) as archive:
        assert archive.members[0].name.endswith("tude")


def test_a_pipe_in_place_of_an_archive_does_not_wait(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "a.zip")
    with pytest.raises(OSError, match="not a regular file"):
        Archive(tmp_path / "a.zip")


def test_what_the_unpacker_holds_back_at_the_end_of_a_member_is_not_lost(tmp_path: Path) -> None:
    for size in (zip_files._BLOCK_BYTES - 1, zip_files._BLOCK_BYTES, zip_files._BLOCK_BYTES + 1, 1_000_003):
        content = bytes(size)
        info = ZipInfo("zeros")
        info.compress_type = ZIP_DEFLATED
        with ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(info, content)
        assert read_all(tmp_path / "a.zip", (tmp_path / "a.zip").read_bytes())["zeros"] == content


@given(st.data())
def test_no_change_brings_anything_but_the_content_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    method = data.draw(st.sampled_from([ZIP_STORED, ZIP_DEFLATED]))
    whole = bytearray(packed(method, {"one": b"one" * 20, "two": b"two"}))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + 1] = data.draw(st.binary(max_size=2))
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    path.write_bytes(whole)
    with contextlib.suppress(DamagedZip), Archive(path) as archive:
        for member in archive.members:
            with contextlib.suppress(DamagedZip):
                assert zlib.crc32(archive.read(member, LIMIT)) == member.checksum
