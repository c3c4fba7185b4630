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
    with path.open("ab", buffering=0) as file:
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
