"""Appending to files during a run: an addition is written completely, or the file stays unchanged."""

import os
from contextlib import suppress
from pathlib import Path


def append(path: Path, data: bytes) -> None:
    """Append `data` to a file, made where it is missing, and flush it to the disk.

    Raises:
        OSError: the file cannot be written; a partial addition is removed.
    """
    # Unbuffered, because a buffer keeps what could not be written and tries it once more on closing.
    with open(path, "ab", buffering=0, opener=_open_without_blocking) as file:
        size = file.tell()
        try:
            written = 0
            while written < len(data):
                written += file.write(data[written:])
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                file.truncate(size)
            raise


def _open_without_blocking(path: str, flags: int) -> int:
    """Open a file as Python does, but without waiting for the reader of a pipe: the system then refuses to open it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
