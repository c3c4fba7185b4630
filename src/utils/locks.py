"""Keep a second process out of a folder that one process writes."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from .files import make_folder, unwritable

_log = logging.getLogger(__name__)


@contextmanager
def alone_in(folder: Path, name: str, taken: Callable[[], None], keep: bool = True) -> Iterator[None]:
    """Make a folder and keep other processes out of it while the block runs. A process that is killed lets go, too.

    Args:
        folder: the folder.
        name: of the file in it that is locked.
        taken: called where another process is in the folder: it raises an error, or returns in order to wait.
        keep: leave the file there afterwards; without it the folder holds nothing of the lock.

    Raises:
        UserError: the folder cannot be written.
    """
    path = make_folder(folder) / name
    lock = FileLock(path)
    try:
        _acquire(lock, path, taken)
    except NotImplementedError:  # a file system without locks
        _log.warning("Nothing keeps other runs out of %s: do not start two at once.", folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield
    finally:
        if not keep:
            with suppress(OSError):  # Windows keeps a file that is open
                path.unlink()
        lock.release(force=True)


def _acquire(lock: FileLock, path: Path, taken: Callable[[], None]) -> None:
    """Lock the file that has the path now: the one before it may have been removed by who had it."""
    while True:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            taken()
            lock.acquire()
        if path.exists():
            return
        lock.release(force=True)
