"""Reading of untrusted zip archives, without unpacking anything to disk.

This is the only module that reads zip archives. The standard library's reader raises a dozen kinds of errors for
damaged archives and trusts their claims; this one raises only `DamagedZip` and supports what recordings and
NumPy's `.npz` files need: members stored or deflated, ZIP64, bytes before the archive. Memory is bounded by the size of
the directory and by the caller's limit for a member; members may not share bytes, so unpacking all of them takes no
more than 1032 times the bytes of the archive.
"""

import struct
import weakref
import zlib
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from .regular_files import open_regular, size_of_open

# NTU RGB+D 120 has 114,480 recordings; their directory takes 15 MiB.
_MOST_DIRECTORY_BYTES = 32 << 20
_BLOCK_BYTES = 1 << 18
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _UTF8 = 0x1, 0x800

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT = 0xFFFF
_IN_ZIP64, _ZIP64_FIELD = 0xFFFFFFFF, 1


class DamagedZip(ValueError):
    """An archive or one of its members cannot be read: damaged, encrypted, too large, or with another compression."""


class Member(NamedTuple):
    """One file of an archive, as described by the directory.

    Attributes:
        name: its path in the archive, unmodified.
        size, packed: its uncompressed and its compressed size in bytes.
        method, flags: its compression.
        checksum: the CRC-32 of its content.
        offset: the position of its header in the file.
    """

    name: str
    size: int
    packed: int
    method: int
    flags: int
    checksum: int
    offset: int

    @property
    def is_folder(self) -> bool:
        """Tell whether it is only the name of a folder."""
        return self.name.endswith("/")


class Archive:
    """An open zip archive: `with Archive(path) as archive: archive.read(archive.members[0], limit)`.

    Args:
        source: a regular file, or its bytes in memory.

    Attributes:
        members: the entries of the directory, in its order.

    Raises:
        DamagedZip: it is not a zip archive, or its directory is damaged or too large.
        OSError: the file cannot be read, or is not a regular file.
    """

    def __init__(self, source: Path | bytes) -> None:
        self._file: BinaryIO = BytesIO(source) if isinstance(source, bytes) else open_regular(source)
        self._close = weakref.finalize(
            self, self._file.close
        )  # when the archive is deleted, unless it was closed before
        try:
            self._ends, directory, shift = _directory(self._file)
            self.members = list(_members(directory, shift))
        except BaseException:
            self._close()
            raise
        self._overlapping = _overlapping(self.members)
        self._by_name = {member.name: member for member in self.members}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def find(self, name: str) -> Member | None:
        """Return the member with this name, the last one of several, or None."""
        return self._by_name.get(name)

    def read(self, member: Member, limit_bytes: int) -> bytes:
        """Return the content of a member, at most `limit_bytes`.

        Raises:
            DamagedZip: it is larger, encrypted, damaged, has an unknown compression, or not the size that it claims.
            OSError: the file cannot be read.
        """
        if member.size > limit_bytes:
            raise DamagedZip(f"it is larger than {limit_bytes} bytes")
        start, end = self._span(member)
        self._file.seek(start)
        if member.method == _STORED:
            data = self._file.read(end - start)
        else:
            data = _inflated(self._file, end - start, member.size)
        if len(data) != member.size or zlib.crc32(data) != member.checksum:
            raise DamagedZip("its content does not match the size and checksum in the archive")
        return data

    def stored_span(self, member: Member) -> tuple[int, int] | None:
        """Return the start and the end of a member's content in the file, or None if it is compressed.

        Raises:
            DamagedZip: it is encrypted or damaged.
            OSError: the file cannot be read.
        """
        return self._span(member) if member.method == _STORED else None

    def _span(self, member: Member) -> tuple[int, int]:
        """Return the start and the end of a member's bytes, after its own header."""
        if member.flags & _ENCRYPTED:
            raise DamagedZip("it is encrypted")
        if member.method not in (_STORED, _DEFLATED):
            raise DamagedZip("its compression is neither none nor deflate")
        if member.method == _STORED and member.size != member.packed:
            raise DamagedZip("it is stored, but has another size than it claims")
        if member in self._overlapping:
            raise DamagedZip("it shares bytes with another member")
        header = b""
        if member.offset < self._ends:  # ZIP64 can claim an offset that is too large to seek
            self._file.seek(member.offset)
            header = self._file.read(_LOCAL.size)
        if len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
            raise DamagedZip("its header is not where the archive says it is")
        *_, name_length, extra_length = _LOCAL.unpack(header)
        start = member.offset + _LOCAL.size + name_length + extra_length
        if start + member.packed > self._ends:
            raise DamagedZip("it is cut short")
        return start, start + member.packed


def _directory(file: BinaryIO) -> tuple[int, bytes, int]:
    """Return the start of an archive's directory, its bytes, and the shift of the archive's offsets."""
    size = size_of_open(file)
    begin = max(0, size - _END.size - _LONGEST_COMMENT)
    file.seek(begin)
    tail = file.read(size - begin)
    position = tail.rfind(b"PK\x05\x06", 0, max(0, len(tail) - _END.size + 4))
    if position < 0:
        raise DamagedZip("it has no directory: it is not a zip archive, or is cut short")
    _, disk, first_disk, *_, length, offset, _ = _END.unpack_from(tail, position)
    end = begin + position
    locator = end - _LOCATOR_64.size
    if locator >= _END_64.size:
        file.seek(locator - _END_64.size)
        before = file.read(_END_64.size + _LOCATOR_64.size)
        if before.startswith(b"PK\x06\x06") and before[_END_64.size :].startswith(b"PK\x06\x07"):
            _, _, _, _, disk, first_disk, _, _, length, offset = _END_64.unpack_from(before)
            end = locator - _END_64.size
    start = end - length
    if disk or first_disk or start < offset:
        raise DamagedZip("its directory is damaged, or in another file")
    if length > _MOST_DIRECTORY_BYTES:
        raise DamagedZip(f"its directory takes more than {_MOST_DIRECTORY_BYTES} bytes")
    file.seek(start)
    return start, file.read(length), start - offset


def _members(directory: bytes, shift: int) -> Iterator[Member]:
    """Yield the members in a directory, with offsets from the start of the file."""
    position = 0
    while position < len(directory):
        if position + _ENTRY.size > len(directory) or not directory.startswith(b"PK\x01\x02", position):
            raise DamagedZip("its directory is damaged")
        _, _, _, flags, method, _, _, checksum, packed, size, *lengths, _, _, _, offset = _ENTRY.unpack_from(
            directory, position
        )
        name_length, extra_length, comment_length = lengths
        name_end = position + _ENTRY.size + name_length
        position = name_end + extra_length + comment_length
        if position > len(directory):
            raise DamagedZip("its directory is cut short")
        size, packed, offset = _in_full(directory[name_end : name_end + extra_length], size, packed, offset)
        name = _name(directory[name_end - name_length : name_end], flags)
        yield Member(name, size, packed, method, flags, checksum, offset + shift)


def _in_full(extra: bytes, *numbers: int) -> list[int]:
    """Return size, packed size and offset; values too large for their fields are read from an extra field."""
    position, full = 0, list(numbers)
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        if kind == _ZIP64_FIELD:
            missing = [number for number, value in enumerate(full) if value == _IN_ZIP64]
            given = extra[position + 4 : position + 4 + length]
            if len(given) < 8 * len(missing):
                raise DamagedZip("its directory is damaged")
            for number, where in enumerate(missing):
                (full[where],) = struct.unpack_from("<Q", given, 8 * number)
            break
        position += 4 + length
    return full


def _name(raw: bytes, flags: int) -> str:
    """Return a name as text; one with a wrong encoding flag is decoded as by the oldest programs."""
    raw = raw.partition(b"\0")[0]
    if flags & _UTF8:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return raw.decode("cp437")


def _overlapping(members: list[Member]) -> frozenset[Member]:
    """Return the members that overlap the next one."""
    ordered = sorted(members, key=lambda member: (member.offset, member.packed))
    return frozenset(
        one for one, following in pairwise(ordered) if one.offset + _LOCAL.size + one.packed > following.offset
    )


def _inflated(file: BinaryIO, packed: int, size: int) -> bytes:
    """Unpack `packed` bytes of a file to at most one byte more than `size`, which is only a claim."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    parts: list[bytes] = []
    room = size + 1
    try:
        while room and not unpacker.eof:
            block = unpacker.unconsumed_tail or file.read(min(packed, _BLOCK_BYTES))
            packed -= 0 if unpacker.unconsumed_tail else len(block)
            parts.append(unpacker.decompress(block, min(room, _BLOCK_BYTES)))
            room -= len(parts[-1])
            if not block and not parts[-1]:
                break  # neither packed bytes nor buffered output are left
    except zlib.error as error:
        raise DamagedZip(f"it cannot be unpacked ({error})") from error
    return b"".join(parts)
