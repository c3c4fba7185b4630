"""The files of a folder, without those of the operating system, and a short summary of them."""

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from ....utils.errors import UserError
from ....utils.system_errors import reason

_logger = logging.getLogger(__name__)
# What macOS and Windows leave in folders and archives, in addition to hidden files.
_JUNK = {"__macosx", "thumbs.db", "desktop.ini"}
# Endings that are ambiguous without the one before them.
_OUTER = {".gz", ".bz2", ".xz", ".zst", ".txt"}
_KINDS_SHOWN = 5
_LARGE_BYTES = 32 << 20


def is_junk(path: PurePath) -> bool:
    """Tell whether a path, relative to the raw folder or the archive, is hidden or was left by an operating system."""
    return any((part.startswith(".") and part != "..") or part.lower() in _JUNK for part in path.parts)


def files_below(raw: Path) -> Iterator[Path]:
    """Yield the files below the folder `raw`, including linked folders, folder by folder in the order of names.

    Raises:
        UserError: a folder cannot be listed.
    """
    entered = set()
    for folder, subfolders, names in os.walk(raw, onerror=_refuse_folder, followlinks=True):
        resolved = os.path.realpath(folder)
        if resolved in entered:  # a link to a folder above, or a second link to the same folder
            subfolders.clear()
            continue
        entered.add(resolved)
        subfolders[:] = sorted(name for name in subfolders if not is_junk(PurePath(name)))
        yield from (Path(folder, name) for name in sorted(names) if not is_junk(PurePath(name)))


def size_of(path: Path) -> int:
    """Return a file's size in bytes; 0 for a dangling link, which is reported when it is read."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def tell_of_large(raw: Path) -> None:
    """Say that a large file is read, which may take a while without any other sign."""
    if raw.is_file() and (size := size_of(raw)) >= _LARGE_BYTES:
        _logger.info("Reading %s (%d MiB) ...", raw, size >> 20)


def changed_ns(path: Path) -> int:
    """Return when a file was last changed, in nanoseconds.

    Raises:
        UserError: it is not there, as behind a dangling link, or cannot be looked at.
    """
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"Cannot read {path}: {reason(error)}. Copy it again, or remove it if it is a link.") from error


def ending(name: str) -> str:
    """Return the lower-case ending of a file name, with two parts if one is ambiguous: `.tar.gz`."""
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes]
    return "".join(suffixes[-2:] if suffixes and suffixes[-1] in _OUTER else suffixes[-1:])


def tally(names: Iterable[str]) -> str:
    """Return the number of files of each kind, with one example each: `2 .csv (a/b.csv), 1 .json (c.json)`."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(ending(name) or "without an ending", []).append(name)
    ordered = sorted(kinds.items(), key=lambda kind: -len(kind[1]))
    shown = [f"{len(found)} {kind} ({found[0]})" for kind, found in ordered[:_KINDS_SHOWN]]
    if len(ordered) > _KINDS_SHOWN:
        shown.append(f"{sum(len(found) for _, found in ordered[_KINDS_SHOWN:])} others")
    return ", ".join(shown)


def _refuse_folder(error: OSError) -> None:
    raise UserError(f"Cannot look for recordings in {error.filename}: {reason(error)}.") from error
