"""Keeping a second process out of a folder while one writes it.

The lock is the operating system's, on a hidden file in the folder, so it ends with its process, however that ends. A
forked process has no part in it: the loader's workers live some seconds longer than a trainer that was killed.
"""

import errno
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path

from .errors import UserError

_log = logging.getLogger(__name__)

LOCK_FILE = ".lock"
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_held: set[int] = set()  # the descriptors by which this process keeps others out


class _Taken(Exception):
    """Another process has the lock."""


@contextmanager
def sole_writer(
    folder: Path, refusal: str, *, waits: bool = False, makes: bool = True, removes: bool = False
) -> Iterator[None]:
    """Lock `folder` against other processes of this program while the block runs.

    Where the file system has no locks a warning says so; a folder that cannot be written needs none.

    Args:
        folder: which; it is there already.
        refusal: what the error says where another process is in it, or the log where this one `waits` for that.
        waits: whether to wait for the other process.
        makes: whether to make the lock's file where there is none; not so in a folder that is only read.
        removes: whether to remove that file afterwards.

    Raises:
        UserError: another process is in the folder.
    """
    path = folder / LOCK_FILE
    try:
        release = _acquire(path, waits=False, makes=makes)
    except _Taken:
        if not waits:
            raise UserError(refusal) from None
        _log.info(refusal)
        release = _acquire(path, waits=True, makes=makes)
    try:
        yield
    finally:
        if removes:
            with suppress(OSError):  # Windows keeps a file that is open
                path.unlink()
        release()


if sys.platform == "win32":

    def _acquire(path: Path, *, waits: bool, makes: bool) -> Callable[[], None]:
        from filelock import FileLock, Timeout

        lock = FileLock(path)
        if not makes and not path.exists():
            return _nothing
        try:
            lock.acquire(timeout=-1 if waits else 0)
        except Timeout as error:
            raise _Taken from error
        except (OSError, NotImplementedError):
            return _unlocked(path)
        return lock.release

else:
    import fcntl

    def _acquire(path: Path, *, waits: bool, makes: bool) -> Callable[[], None]:
        """Lock a file and return what releases it.

        filelock is not used here: where a system call is missing it takes a file's mere presence for a lock, which
        outlives its process, and its older versions share a lock with forked processes.

        Raises:
            _Taken: another process has the lock, and this one does not wait.
        """
        try:
            descriptor = _opened(path, makes)
        except FileNotFoundError:
            return _nothing
        except OSError as error:
            return _nothing if error.errno in _READ_ONLY else _unlocked(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except BlockingIOError as error:
            os.close(descriptor)
            raise _Taken from error
        except OSError:
            os.close(descriptor)
            return _unlocked(path)
        except BaseException:  # a signal while it waits
            os.close(descriptor)
            raise
        if not _is_there(path, descriptor):  # the process before removed the file that it had locked
            os.close(descriptor)
            return _acquire(path, waits=waits, makes=makes)
        _held.add(descriptor)
        _let_go_in_forked_processes()
        return partial(_let_go, descriptor)


def _is_there(path: Path, descriptor: int) -> bool:
    """Tell whether a path still leads to an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _opened(path: Path, makes: bool) -> int:
    """Open a lock's file, one of another user for reading only, which is enough to lock it."""
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if makes else 0), 0o666)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _let_go(descriptor: int) -> None:
    if descriptor in _held:  # not so in a forked process
        _held.remove(descriptor)
        os.close(descriptor)


@cache
def _let_go_in_forked_processes() -> None:
    """Let every process that is forked from now on close what it inherits: a lock lasts until the last one does."""

    def close_all() -> None:
        for descriptor in list(_held):
            _let_go(descriptor)

    os.register_at_fork(after_in_child=close_all)


def _nothing() -> None:
    """Release nothing."""


def _unlocked(path: Path) -> Callable[[], None]:
    _log.warning("Nothing keeps a second process out of %s: the file system has no locks. Start only one.", path.parent)
    return _nothing
