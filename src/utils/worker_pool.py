"""A pool of worker processes that end with this process, however it ends.

No executor of the standard library is used: if a signal raises an exception while an executor shuts down, Python 3.11
waits for its processes for ever. Here each process has one pipe, this process has no threads for them, and a process is
terminated before it is joined. If this process is killed, they terminate themselves.
"""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import TypeVar

from .errors import UserError
from .signals import ignore_terminal

# Spawned processes import what they need and inherit no lock, thread or open archive.
_SPAWN = multiprocessing.get_context("spawn")

_WAIT_S = 1.0

Item = TypeVar("Item")


def work_in_order(
    work: Callable[[Item], None],
    items: Sequence[Item],
    processes: int,
    lost: str,
    on_wait: Callable[[], None] | None = None,
    on_done: Callable[[Item, float], None] | None = None,
) -> Generator[Item, None, None]:
    """Call `work` with every item in several processes; yield each item once it and all items before it are done.

    Args:
        work: the function; it is pickled.
        items: its arguments; they are pickled.
        processes: number of processes; they end when the generator is closed.
        lost: the message if a process ends unexpectedly.
        on_wait: called about once a second while this process waits, such as to show progress.
        on_done: called with each item once it is done, and with the seconds that it took; for the first item of a
            process with those of its start.

    Raises:
        UserError: `work` raised one, or a process ended unexpectedly.
        RuntimeError: `work` raised anything else; the text is its traceback.
    """
    with ExitStack() as stack:
        idle = [stack.enter_context(_process(work)) for _ in range(processes)]
        busy: dict[Connection, int] = {}
        began = [time.monotonic()] * len(items)
        done: set[int] = set()
        given = 0
        for number, item in enumerate(items):
            while number not in done:
                while idle and given < len(items):
                    with _dead_process_as_user_error(lost):
                        idle[-1].send(items[given])
                    busy[idle.pop()] = given
                    began[given] = time.monotonic()
                    given += 1
                ready = wait(list(busy), timeout=None if on_wait is None else _WAIT_S)
                if on_wait is not None:
                    on_wait()
                for connection in [each for each in busy if each in ready]:
                    _receive(connection, lost)
                    ended = busy.pop(connection)
                    if on_done is not None:
                        on_done(items[ended], time.monotonic() - began[ended])
                    done.add(ended)
                    idle.append(connection)
            yield item


@contextmanager
def _process(work: Callable[[Item], None]) -> Iterator[Connection]:
    """Start a process that calls `work` with each item sent to its connection; terminate it at the end of the block."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(theirs, work), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.terminate()
        process.join()


def _serve(connection: Connection, work: Callable[[Item], None]) -> None:
    """Call `work` with each received item, until the other end is closed or its process has ended."""
    ignore_terminal()
    threading.Thread(target=_end_after_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):
        while True:
            connection.send(_failure(work, connection.recv()))


def _end_after_parent() -> None:
    """Terminate this process once its parent has ended, so that work in progress can save its state as on SIGTERM."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _failure(work: Callable[[Item], None], item: Item) -> Exception | None:
    """Call `work` with one item and return the error, if any, in a form that can be pickled."""
    try:
        work(item)
    except UserError as error:
        return UserError(str(error))
    except Exception:
        return RuntimeError(traceback.format_exc())
    return None


def _receive(connection: Connection, lost: str) -> None:
    """Receive the result of a process, and raise its error if there is one."""
    with _dead_process_as_user_error(lost):
        failure = connection.recv()
    if failure is not None:
        raise failure


@contextmanager
def _dead_process_as_user_error(lost: str) -> Iterator[None]:
    try:
        yield
    except (EOFError, ConnectionError) as error:
        raise UserError(lost) from error
