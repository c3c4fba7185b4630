"""Temporary files and folders of atomic writes, and removal of those that killed processes left."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

# Other programs do not use this pattern, so their files are never removed.
_TEMPORARY = re.compile(r"\..+\.last-\d+\.tmp", re.DOTALL)
_ABANDONED_S = 24 * 3600  # long enough for a process that was suspended overnight


def temporary_beside(path: Path) -> Path:
    """Return the temporary path for writing `path`: a hidden name in the same folder, unique to this process.

    The first call for a folder removes temporary files there that are older than a day.
    """
    _remove_abandoned(path.parent)
    return path.with_name(f".{path.name}.last-{os.getpid()}.tmp")


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Create a temporary folder for writing `path` and yield it; remove it when the block ends.

    Raises:
        OSError: it cannot be created.
    """
    folder = temporary_beside(path)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a file or a folder.

    Raises:
        OSError: it cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def abandoned(folder: Path) -> list[Path]:
    """Return the temporary files and folders in a folder that are older than a day; none if it cannot be read."""
    found = []
    with suppress(OSError):
        for entry in os.scandir(folder):
            if _TEMPORARY.fullmatch(entry.name):
                with suppress(OSError):
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED_S:
                        found.append(Path(entry.path))
    return sorted(found)


@cache
def _remove_abandoned(folder: Path) -> None:
    """Remove abandoned temporary files in a folder; ignore those that cannot be removed."""
    for path in abandoned(folder):
        with suppress(OSError):
            remove(path)
