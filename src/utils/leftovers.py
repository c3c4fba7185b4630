"""Names of files and folders that are being written, and removing those whose writer was killed."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

# Another program's files are never like this, so none of them is removed.
_TEMPORARY = re.compile(r"\..+\.last-\d+\.tmp", re.DOTALL)
_ABANDONED_S = 24 * 3600  # a process that writes touches its file now and then; one may be suspended for a night


def temporary_beside(path: Path) -> Path:
    """Return where to write what shall become `path`: a hidden place of this process in the same folder.

    What other processes left there a day ago or longer is removed, the first time that this one writes in the folder.
    """
    _remove_abandoned(path.parent)
    return path.with_name(f".{path.name}.last-{os.getpid()}.tmp")


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Make the folder in which `path` is written and yield it; what is left in it when the block ends is removed.

    Raises:
        OSError: it cannot be made.
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


@cache
def _remove_abandoned(folder: Path) -> None:
    """Remove what was left half-written in a folder; what cannot be removed is in nobody's way."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            if _TEMPORARY.fullmatch(entry.name):
                with suppress(OSError):
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED_S:
                        remove(Path(entry.path))
