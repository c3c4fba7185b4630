"""Folder locks: one writing process at a time.

The operating system holds the lock, on a hidden file in the folder, and releases it when the process ends in any way.
Forked processes do not share it: the loader's workers live some seconds longer than a killed trainer.
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
_held: set[int] = set()  # the descriptors of the locks of this process


class _AlreadyLocked(Exception):
    """Another process has the lock."""


@contextmanager
def sole_writer(
    folder: Path, refusal: str, *, waits: bool = False, makes: bool = True, removes: bool = False
) -> Iterator[None]:
    """Lock `folder` against other processes of this program while the block runs.

    A file system without locks causes a warning; a read-only folder needs no lock.

    Args:
        folder: an existing folder.
        refusal: the error message if another process holds the lock, or the log message if this one `waits`.
        waits: wait for the other process.
        makes: create the lock file if it is missing; False for a folder that is only read.
        removes: remove the lock file afterwards.

    Raises:
        UserError: another process holds the lock.
    """
    path = folder / LOCK_FILE
    try:
        release = _acquire(path, waits=False, makes=makes)
    except _AlreadyLocked:
        if not waits:
            raise UserError(refusal) from None
        _log.info(refusal)
        release = _acquire(path, waits=True, makes=makes)
    try:
        yield
    finally:
        if removes:
            with suppress(OSError):  # Windows cannot remove an open file
                path.unlink()
        release()


def is_locked(folder: Path) -> bool:
    """Return whether another process, or another part of this one, holds the lock of a folder."""
    try:
        with sole_writer(folder, "", makes=False):
            return False
    except UserError:
        return True


if sys.platform == "win32":

    def _acquire(path: Path, *, waits: bool, makes: bool) -> Callable[[], None]:
        from filelock import FileLock, Timeout

        lock = FileLock(path)
        if not makes and not path.exists():
            return _nothing
        try:
            lock.acquire(timeout=-1 if waits else 0)
        except Timeout as error:
            raise _AlreadyLocked from error
        except (OSError, NotImplementedError):
            return _unlocked(path)
        return lock.release

else:
    import fcntl

    def _acquire(path: Path, *, waits: bool, makes: bool) -> Callable[[], None]:
        """Lock a file and return a function that releases it.

        filelock is not used here: without `flock` it falls back to the existence of a file, which outlives its process,
        and its older versions share a lock with forked processes.

        Raises:
            _AlreadyLocked: another process has the lock, and this one does not wait.
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
            raise _AlreadyLocked from error
        except OSError:
            os.close(descriptor)
            return _unlocked(path)
        except BaseException:  # a signal while it waits
            os.close(descriptor)
            raise
        if not _is_there(path, descriptor):  # the previous owner removed the locked file
            os.close(descriptor)
            return _acquire(path, waits=waits, makes=makes)
        _held.add(descriptor)
        _release_in_forked_processes()
        return partial(_release, descriptor)


def _is_there(path: Path, descriptor: int) -> bool:
    """Return whether a path still refers to an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _opened(path: Path, makes: bool) -> int:
    """Open a lock file; that of another user only for reading, which is enough to lock it."""
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if makes else 0), 0o666)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _release(descriptor: int) -> None:
    if descriptor in _held:  # not so in a forked process
        _held.remove(descriptor)
        os.close(descriptor)


@cache
def _release_in_forked_processes() -> None:
    """Close inherited locks in forked processes, since a lock lasts until its last descriptor is closed."""

    def close_all() -> None:
        for descriptor in list(_held):
            _release(descriptor)

    os.register_at_fork(after_in_child=close_all)


def _nothing() -> None:
    """Release nothing."""


def _unlocked(path: Path) -> Callable[[], None]:
    _log.warning(
        "%s is not protected from a second process: its file system has no locks. Start only one.",
        path.parent,
    )
    return _nothing
