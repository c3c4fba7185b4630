"""Work spread over processes that end with this one, however this one ends.

No executor of the standard library is used here: where a signal raises an exception while one shuts down, Python
3.11 waits for its processes for ever. Here each process has one pipe, there are no threads, and none is waited for
without being ended first.
"""

import multiprocessing
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import TypeVar

from ...utils.errors import UserError
from ...utils.signals import ignore_terminal

# Spawned processes import what they need and inherit no lock, thread or open archive.
_SPAWN = multiprocessing.get_context("spawn")

Item = TypeVar("Item")


def work_in_order(work: Callable[[Item], None], items: Sequence[Item], processes: int) -> Generator[Item, None, None]:
    """Do `work` on every item, in several processes, and yield each item once it and all before it are done.

    Args:
        work: what to do; it and the items are pickled.
        items: what to do it on.
        processes: how many to use; they are ended when the generator is.

    Raises:
        UserError: `work` raised one, or a process ended by itself.
        RuntimeError: `work` raised anything else; the text is its traceback.
    """
    with ExitStack() as stack:
        idle = [stack.enter_context(_process(work)) for _ in range(processes)]
        busy: dict[Connection, int] = {}
        done: set[int] = set()
        given = 0
        for number, item in enumerate(items):
            while number not in done:
                while idle and given < len(items):
                    with _death_told():
                        idle[-1].send(items[given])
                    busy[idle.pop()] = given
                    given += 1
                ready = wait(list(busy))
                for connection in [each for each in busy if each in ready]:
                    _receive(connection)
                    done.add(busy.pop(connection))
                    idle.append(connection)
            yield item


@contextmanager
def _process(work: Callable[[Item], None]) -> Iterator[Connection]:
    """Start a process that does `work` on what its connection is sent; end it with the block, whatever it does."""
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
    """Work on one item after another, until the other end is closed or its process is gone."""
    ignore_terminal()
    with suppress(EOFError, ConnectionError):
        while True:
            connection.send(_failure(work, connection.recv()))


def _failure(work: Callable[[Item], None], item: Item) -> Exception | None:
    """Work on one item and return what went wrong, in a form that can be sent."""
    try:
        work(item)
    except UserError as error:
        return UserError(str(error))
    except Exception:
        return RuntimeError(traceback.format_exc())
    return None


def _receive(connection: Connection) -> None:
    """Take a process's word that it is done, or raise what went wrong."""
    with _death_told():
        failure = connection.recv()
    if failure is not None:
        raise failure


@contextmanager
def _death_told() -> Iterator[None]:
    try:
        yield
    except (EOFError, ConnectionError) as error:
        raise UserError(
            "A reading process ended by itself, perhaps because the memory was used up. Run the same command "
            "again, with fewer --workers; finished chunks are kept."
        ) from error
