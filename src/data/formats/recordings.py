"""Find recordings in folders and zip archives, and read them without unpacking anything."""

import logging
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path, PurePath, PurePosixPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from ...utils.errors import UserError
from .base import BadClip, Entry

_logger = logging.getLogger(__name__)
# All that the standard library raises for archives that are damaged, encrypted, or made to hurt.
_ZIP_ERRORS = (BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, KeyError, ValueError)


def find_recordings(raw: Path, suffix: str, name_of: Callable[[PurePath], str | None], expected: str) -> list[Entry]:
    """List the recordings of one format in `raw`: a folder (searched to its depth), a zip, or one file.

    Args:
        raw: where to look.
        suffix: how the files' names end.
        name_of: gives a clip's name from its whole path, or None for a file that is no recording.
        expected: what should be there, for the message when nothing is.

    Returns:
        The entries in the order of their names. A name found twice counts once: a file before a zip's member,
        then the first by path.

    Raises:
        UserError: `raw` does not exist, a zip is damaged, or there is no recording.
    """
    found: dict[str, Entry] = {}
    strangers, twice = [], 0
    for path, member, size in _candidates(raw.absolute(), suffix):
        name = name_of(PurePosixPath(member) if member else path)
        if name is None:
            strangers.append(member or path.name)
        elif name in found:
            twice += 1
        else:
            found[name] = Entry(name, path, member, size)
    if not found:
        raise UserError(f"There are no recordings in {raw}: expected {expected}, also inside .zip archives.")
    if strangers:
        _logger.warning("%d files in %s are left out by their names: %r ...", len(strangers), raw, strangers[0])
    if twice:
        _logger.warning("%d recordings in %s were found twice; each counts once.", twice, raw)
    return [found[name] for name in sorted(found)]


def read_bytes(entry: Entry, limit_bytes: int) -> bytes:
    """Read one recording whole.

    Raises:
        BadClip: it is larger than `limit_bytes`, or cannot be read or unpacked.
    """
    too_large = BadClip(entry.name, 0, f"is larger than {limit_bytes} bytes, too large for one recording")
    if entry.size > limit_bytes:
        raise too_large
    try:
        data = _read_member(entry, limit_bytes) if entry.member else _read_file(entry.path, limit_bytes)
    except OSError as error:
        raise BadClip(entry.name, 0, f"cannot be read: {error.strerror or error}") from error
    except _ZIP_ERRORS as error:
        raise BadClip(entry.name, 0, f"cannot be unpacked from {entry.path.name}: {error}") from error
    if len(data) > limit_bytes:
        raise too_large
    return data


def only_file(raw: Path, suffix: str) -> Path:
    """Return `raw` if it is a file, else the one file with that suffix in the folder `raw`.

    Raises:
        UserError: there is none, or more than one.
    """
    if raw.is_file():
        return raw
    found = sorted(path for path in raw.glob(f"*{suffix}") if path.is_file())
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found)
        raise UserError(f"{raw} holds several {suffix} files ({names}): give the path of the one to read.")
    raise UserError(f"There is no {suffix} file at {raw}: give its path, or the folder that holds it.")


def _candidates(raw: Path, suffix: str) -> Iterator[tuple[Path, str, int]]:
    """Yield (path, member, size) of every file with that suffix, plain files before members of zips."""
    archives = []
    for path in _files(raw):
        if path.name.endswith(suffix):
            yield path, "", _size(path)
        elif path.suffix.lower() == ".zip":
            archives.append(path)
    for path in archives:
        for member, size in _members(path):
            if member.endswith(suffix):
                yield path, member, size


def _files(raw: Path) -> Iterator[Path]:
    if raw.is_file():
        yield raw
        return
    for folder, subfolders, names in os.walk(raw, onerror=_refuse_folder):
        subfolders.sort()
        for name in sorted(names):
            yield Path(folder, name)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # a dangling link; reading it says so


def _refuse_folder(error: OSError) -> None:
    raise UserError(f"Cannot look for recordings in {error.filename}: {error.strerror}.") from error


def _members(path: Path) -> list[tuple[str, int]]:
    try:
        with ZipFile(path) as archive:
            return sorted((info.filename, info.file_size) for info in archive.infolist())
    except (OSError, *_ZIP_ERRORS) as error:
        raise UserError(f"{path} is not a readable zip archive ({error}). Download it again.") from error


def _read_file(path: Path, limit_bytes: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit_bytes + 1)


def _read_member(entry: Entry, limit_bytes: int) -> bytes:
    archive = _open_archive(entry.path, entry.path.stat().st_mtime_ns, os.getpid())
    if archive.getinfo(entry.member).compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise BadZipFile("its compression is neither none nor deflate")
    with archive.open(entry.member) as file:
        return file.read(limit_bytes + 1)


@lru_cache(maxsize=4)
def _open_archive(path: Path, changed_ns: int, process: int) -> ZipFile:  # noqa: ARG001
    """Open a zip once in each process: a forked one must not share a file position with its parent."""
    return ZipFile(path)
