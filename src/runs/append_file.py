"""Files that grow while a run goes on: what is added is on the disk whole, or the file stays as it was."""

import os
from contextlib import suppress
from pathlib import Path


def append(path: Path, data: bytes) -> None:
    """Append `data` to a file, made where it is missing, and flush it to the disk.

    Raises:
        OSError: the file cannot be written; what was added is taken back.
    """
    # Unbuffered, because a buffer keeps what could not be written and tries it once more on closing.
    with open(path, "ab", buffering=0, opener=_opened_at_once) as file:
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


def _opened_at_once(path: str, flags: int) -> int:
    """Open a file as Python does, but do not wait for a reader where it is a pipe: the system refuses one then."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
