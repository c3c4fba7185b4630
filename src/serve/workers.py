"""Threads in which a server computes, so that its event loop stays free."""

import asyncio
import time as clocks
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from numpy.typing import NDArray

from ..deploy.contract import Floats
from ..deploy.recognizer import Recognizer, Recording

Result = TypeVar("Result")
_MOST_CLIENTS = 10_000  # whose times are remembered


class Busy(RuntimeError):
    """Too many tasks wait."""


@dataclass(frozen=True)
class _Task:
    work: Callable[[], Any]
    answer: "asyncio.Future[Any]"


class Workers:
    """Threads, for which a limited number of tasks may wait; of all clients, the one who used least time is next.

    Args:
        threads: how many tasks run at the same time.
        waiting: how many may wait.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="last-serve")
        self._free, self._most = threads, threads + waiting
        self._waiting: dict[str, deque[_Task]] = {}
        self._used: dict[str, float] = {}  # seconds of each client; one who was away gains nothing by that
        self._least = 0.0  # seconds of the client whose task began last
        self._is_closed = False
        self.tasks = 0

    async def run(self, task: Callable[..., Result], *arguments: Any, client: str = "") -> Result:
        """Run a task in a thread and return its result. A task that began is not interrupted if its client leaves.

        Raises:
            Busy: too many tasks wait, or the server ends.
        """
        if self._is_closed or self.tasks >= self._most:
            raise Busy
        self.tasks += 1
        answer = asyncio.get_running_loop().create_future()
        if client not in self._waiting:
            self._used[client] = max(self._used.get(client, 0.0), self._least)
        self._waiting.setdefault(client, deque()).append(_Task(partial(task, *arguments), answer))
        self._begin()
        found: Result = await answer
        return found

    def _begin(self) -> None:
        """Begin tasks while threads are free."""
        while self._free and self._waiting and not self._is_closed:
            client = min(self._waiting, key=self._used.__getitem__)
            task = self._waiting[client].popleft()
            if not self._waiting[client]:
                del self._waiting[client]
            if task.answer.done():  # its client left
                self.tasks -= 1
                continue
            self._least = self._used[client]
            self._free -= 1
            running = asyncio.get_running_loop().run_in_executor(self._pool, _timed, task.work)
            running.add_done_callback(partial(self._end, client, task))

    def _end(self, client: str, task: _Task, running: "asyncio.Future[tuple[float, Any, Exception | None]]") -> None:
        self.tasks -= 1
        self._free += 1
        if running.cancelled():
            task.answer.cancel()
            return
        seconds, result, error = running.result()
        self._used[client] = self._used.get(client, self._least) + seconds
        if len(self._used) > _MOST_CLIENTS:
            self._used = {name: used for name, used in self._used.items() if name in self._waiting or name == client}
        if not task.answer.done():
            if error is None:
                task.answer.set_result(result)
            else:
                task.answer.set_exception(error)
        self._begin()

    def close(self) -> None:
        """Begin no more tasks."""
        self._is_closed = True
        for task in (each for waiting in self._waiting.values() for each in waiting):
            task.answer.cancel()
        self._waiting.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _timed(work: Callable[[], Any]) -> tuple[float, Any, Exception | None]:
    """Return how long a task took, and its result or its error."""
    began = clocks.monotonic()
    try:
        result, error = work(), None
    except Exception as raised:  # which its client gets
        result, error = None, raised
    return clocks.monotonic() - began, result, error


class SharedRecognizer(Recognizer):
    """A recognizer that several threads use, one at a time, because not every runtime allows more."""

    def __init__(self, path: Path | str, threads: int = 0) -> None:
        super().__init__(path, threads)
        self._lock = Lock()

    def probabilities(self, recording: Recording, confidence: NDArray[Any] | None = None) -> Floats:
        """Return the probabilities (K,) of a recording in the order of the classes; see `Recognizer`."""
        with self._lock:
            return super().probabilities(recording, confidence)
