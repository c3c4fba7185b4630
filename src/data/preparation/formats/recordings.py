"""Find recordings in folders and zip archives, and read them without unpacking anything to disk."""

import codecs
import gzip
import logging
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePath, PurePosixPath
from typing import BinaryIO

from ....utils.errors import UserError
from ....utils.names import normal_form
from ....utils.numbers import counted
from ....utils.regular_files import open_regular
from ....utils.system_errors import reason
from ....utils.zip_files import Archive, DamagedZip
from ...store.clip import Clip
from .base import BadClip, Entry, Reader, Source
from .listing import ending, files_below, is_junk, size_of, tally
from .sniff import FIRST_BYTES, ZIP, file_kind, why_unreadable

_logger = logging.getLogger(__name__)
_GZIP_ERRORS = (gzip.BadGzipFile, zlib.error, EOFError)  # what the standard library raises for damaged files
# Endings that may follow that of the format: a file that was compressed, or renamed by a mail program.
_ADDED_ENDINGS = ("", ".gz", ".txt", ".txt.gz")
_PIECE_BYTES = 1 << 20
_FOREIGN_ARCHIVES = {".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tbz2", ".txz", ".rar", ".7z"}


def find_recordings(
    raw: Path, suffix: str, name_of: Callable[[PurePath], str | None], expected: str, source: Source | None = None
) -> list[Entry]:
    """List the recordings of one format in `raw`: a folder (searched recursively), a zip, or one file.

    Args:
        raw: where to look.
        suffix: the lower-case ending of the file names; a name may have capitals, or `.gz` after it.
        name_of: returns a clip's name from its whole path without `.gz`; None for a file that has no such name.
        expected: the expected files, for the message if there are none.
        source: if it is `unlabelled`, a file without such a name is a recording too, named after its path; and so is
            a damaged zip in a folder, which is refused when it is read.

    Returns:
        The entries in the order of their names. A name that is found twice counts once; the others are its copies:
        files before members of zips, then by path.

    Raises:
        UserError: `raw` does not exist, a zip is damaged, or there is no recording.
    """
    found, misnamed, others = [], [], []
    damaged: list[Path] | None = [] if source is not None and source.unlabelled and raw.is_dir() else None
    for path, member, size in _candidates(raw.absolute(), damaged):
        whole = PurePosixPath(member.replace("\\", "/")) if member else path
        plain = _without_added_ending(whole.name, suffix)
        if plain is None:
            others.append(member or path.name)
        elif name := name_of(whole.with_name(plain)) or _own_name(raw, whole.with_name(plain), suffix, source):
            found.append(Entry(name, path, member, size))
        else:
            misnamed.append(member or path.name)
    found += [Entry(path.relative_to(raw.absolute()).as_posix(), path, "", 0) for path in damaged or ()]
    # A zip among the others is inside another zip, since all outer ones were opened.
    packed = [name for name in others if ending(name) in _FOREIGN_ARCHIVES | {".zip"}]
    if not found:
        raise UserError(_nothing_found(raw, expected, misnamed, others, packed))
    if misnamed:
        count = counted(len(misnamed), "file")
        _logger.warning("Left out in %s because of their names: %s, such as %r.", raw, count, misnamed[0])
    if packed:
        _logger.warning("Not read in %s: %s. %s", raw, tally(packed), _unpack(packed))
    return merge_copies(found, raw)


def _own_name(raw: Path, path: PurePath, suffix: str, source: Source | None) -> str:
    """Return the name of a recording from its path in `raw`, without its ending; empty if labels are wanted."""
    if source is None or not source.unlabelled:
        return ""
    folder = raw.absolute().parent if raw.is_file() else raw.absolute()
    below = path.relative_to(folder) if path.is_relative_to(folder) else path
    return normal_form(below.as_posix()[: -len(suffix)].rstrip("/")) or below.stem


def merge_copies(entries: Iterable[Entry], raw: Path) -> list[Entry]:
    """Return one entry per name, in the order of the names: the first one found, with the others as its copies."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.name, []).append(entry)
    twice = [each for each in found.values() if len(each) > 1]
    if twice:
        first, second, *_ = twice[0]
        message = "Found more than once in %s: %s, such as %s and %s; each counts once."
        _logger.warning(message, raw, counted(len(twice), "recording"), first.location, second.location)
    merged = (replace(first, copies=tuple(others)) if others else first for first, *others in found.values())
    return sorted(merged, key=lambda entry: entry.name)


def read_or_copy(reader: Reader, entry: Entry) -> Clip:
    """Return a recording, or if it is damaged one of its copies.

    Raises:
        BadClip: it is damaged, and so are its copies.
    """
    try:
        return reader.read(entry)
    except BadClip:
        for copy in entry.copies:
            with suppress(BadClip):
                return reader.read(copy)
        raise


def read_bytes(entry: Entry, limit_bytes: int) -> bytes:
    """Return the text of one recording as bytes, uncompressed and without a byte order mark.

    Raises:
        BadClip: it is larger than `limit_bytes`, cannot be read or unpacked, or is a file of another kind.
    """
    too_large = BadClip(entry.name, 0, f"is larger than {limit_bytes} bytes, too large for one recording: split it")
    if entry.size > limit_bytes:
        raise too_large
    if not entry.member and entry.path.suffix.lower() == ".zip" and (damage := damage_of_archive(entry.path)):
        raise BadClip(entry.name, 0, f"is not a readable zip archive ({damage})")
    data = _unpacked(entry, limit_bytes)
    if len(data) > limit_bytes:
        raise too_large
    return _text_of(entry, data)


def read_start(entry: Entry, most_bytes: int) -> bytes:
    """Return the first bytes of a recording that is a file of its own, uncompressed and without a byte order mark.

    Raises:
        BadClip: it cannot be read or unpacked, or is a file of another kind.
    """
    return _text_of(entry, _unpacked(entry, most_bytes)[:most_bytes])


def only_file(raw: Path, suffix: str) -> Path:
    """Return `raw` if it is a file, else the one file with that suffix in the folder `raw`.

    Raises:
        UserError: there is none, or more than one.
    """
    if raw.is_file():
        return raw
    files = sorted(path for path in raw.glob("*") if path.is_file() and not is_junk(PurePath(path.name)))
    found = [path for path in files if path.suffix.lower() == suffix]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found)
        raise UserError(f"{raw} holds several {suffix} files ({names}): give the path of the one to read.")
    seen = f" It holds {tally(path.name for path in files)}." if files else ""
    raise UserError(f"There is no {suffix} file at {raw}: give its path, or the folder that holds it.{seen}")


def _without_added_ending(name: str, suffix: str) -> str | None:
    """Return a file's name without an added ending such as `.gz`; None if the rest does not end in `suffix`."""
    for added in _ADDED_ENDINGS:
        if name.lower().endswith(suffix + added):
            return name[: len(name) - len(added)]
    return None


def _nothing_found(raw: Path, expected: str, misnamed: list[str], others: list[str], packed: list[str]) -> str:
    """Describe what was expected, what was found and what to do."""
    message = f"There are no recordings in {raw}: expected {expected}, also compressed as .gz, or in .zip archives."
    if misnamed:
        message += f"\nWith other names: {tally(misnamed)}."
    if others:
        message += f"\nOther files there: {tally(others)}."
    if not misnamed and not others:
        message += " The folder has no files."
    return message + (f"\n{_unpack(packed)}" if packed else "")


def _unpack(packed: list[str]) -> str:
    inner = [name for name in packed if ending(name) == ".zip"]
    if inner:
        return f"{inner[0]} is inside another zip archive: unpack the outer one, and name its folder with --raw."
    return f"Archives of this kind are not read: unpack {packed[0]}, and name its folder with --raw."


def damage_of_archive(path: Path) -> str:
    """Return why a zip archive cannot be read; empty if it can."""
    try:
        with Archive(path):
            return ""
    except (OSError, DamagedZip) as error:
        return why_unreadable(path, ZIP, error)


def _candidates(raw: Path, damaged: list[Path] | None = None) -> Iterator[tuple[Path, str, int]]:
    """Yield (path, member, size) of every file, plain files before members of zips.

    Args:
        raw: a folder or a file.
        damaged: receives the archives that cannot be read; None to refuse them.
    """
    archives = []
    for path in [raw] if raw.is_file() else files_below(raw):
        if path.suffix.lower() == ".zip":
            archives.append(path)
        else:
            yield path, "", size_of(path)
    for path in archives:
        if damaged is not None and damage_of_archive(path):
            damaged.append(path)
            continue
        for member, size in _members(path):
            yield path, member, size


def _members(path: Path) -> list[tuple[str, int]]:
    try:
        with Archive(path) as archive:
            members = [member for member in archive.members if not member.is_folder]
    except (OSError, DamagedZip) as error:
        damage = why_unreadable(path, ZIP, error)
        raise UserError(f"{path} is not a readable zip archive ({damage}). Download it again, or remove it.") from error
    return sorted(
        (member.name, member.size) for member in members if not is_junk(PurePosixPath(member.name.replace("\\", "/")))
    )


def _text_of(entry: Entry, data: bytes) -> bytes:
    """Return data without a byte order mark; refuse those of another kind of file."""
    if foreign := file_kind(data[:FIRST_BYTES]):
        raise BadClip(entry.name, 0, f"is {foreign}")
    return data.removeprefix(codecs.BOM_UTF8)


def _unpacked(entry: Entry, limit_bytes: int) -> bytes:
    """Return the content of a recording, up to one byte beyond the limit if it is a file of its own."""
    try:
        return _read_member(entry, limit_bytes) if entry.member else _read_file(entry, limit_bytes)
    except (DamagedZip, *_GZIP_ERRORS) as error:
        raise BadClip(entry.name, 0, f"cannot be unpacked from {entry.path.name}: {error}") from error
    except OSError as error:
        raise BadClip(entry.name, 0, f"cannot be read: {reason(error)}") from error


def _read_file(entry: Entry, limit_bytes: int) -> bytes:
    with open_regular(entry.path) as file:
        return _read_plain(file, entry.path.name, limit_bytes)


def _read_member(entry: Entry, limit_bytes: int) -> bytes:
    archive = _open_archive(entry.path, entry.path.stat().st_mtime_ns, os.getpid())
    member = archive.find(entry.member)
    if member is None:
        raise DamagedZip("it no longer has this member")
    return _read_plain(BytesIO(archive.read(member, limit_bytes)), entry.member, limit_bytes)


def _read_plain(file: BinaryIO, name: str, limit_bytes: int) -> bytes:
    """Return the content of a file, decompressed if its name ends in `.gz`, up to one byte beyond the limit."""
    if not name.lower().endswith(".gz"):
        return _read_pieces(file, limit_bytes + 1)
    with gzip.GzipFile(fileobj=file) as unpacked:
        return _read_pieces(unpacked, limit_bytes + 1)


def _read_pieces(file: BinaryIO | gzip.GzipFile, limit_bytes: int) -> bytes:
    """Return at most `limit_bytes` of a file; a single read would reserve the memory for all of them."""
    pieces, left = [], limit_bytes
    while left and (piece := file.read(min(left, _PIECE_BYTES))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


@lru_cache(maxsize=4)
def _open_archive(path: Path, changed_ns: int, process: int) -> Archive:  # noqa: ARG001
    """Open a zip once in each process: a forked one must not share a file position with its parent."""
    return Archive(path)
