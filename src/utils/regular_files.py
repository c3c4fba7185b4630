"""Open what is a file and nothing else: a pipe or a device in its place would keep a reader waiting for ever."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

# Opening a pipe waits for a writer without the first; Windows would change line ends without the second.
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
    """Return how many bytes an open file has now; where it is read next stays."""
    place = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(place)
    return size
