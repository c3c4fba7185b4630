"""Opening of regular files only: a pipe or a device in place of a file would block a reader forever."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

# Without O_NONBLOCK, opening a pipe waits for a writer; without O_BINARY, Windows converts line ends.
_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def open_regular(path: Path, writable: bool = False) -> BinaryIO:
    """Open a regular file, or a link to one, for reading bytes, or for changing them in place.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe, a device or a socket.
    """
    number = os.open(path, _FLAGS | (os.O_RDWR if writable else os.O_RDONLY))
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        return os.fdopen(number, "rb+" if writable else "rb")
    except BaseException:
        os.close(number)
        raise


def size_of_open(file: BinaryIO) -> int:
    """Return the current size of an open file in bytes, without changing its position."""
    position = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(position)
    return size
