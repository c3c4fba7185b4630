"""Threads in which a server computes, so that its event loop stays free."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from numpy.typing import NDArray

from ..deploy.contract import Floats
from ..deploy.recognizer import Recognizer, Recording

Result = TypeVar("Result")


class Busy(RuntimeError):
    """Too many tasks wait."""


class Workers:
    """Threads, for which a limited number of tasks may wait.

    Args:
        threads: how many tasks run at the same time.
        waiting: how many may wait.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="last-serve")
        self._most = threads + waiting
        self.tasks = 0

    async def run(self, task: Callable[..., Result], *arguments: Any) -> Result:
        """Run a task in a thread and return its result.

        Raises:
            Busy: too many tasks wait.
        """
        if self.tasks >= self._most:
            raise Busy
        self.tasks += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, task, *arguments)
        future.add_done_callback(self._finished)
        return await asyncio.shield(future)  # a client that leaves does not free a thread that still works

    def _finished(self, future: asyncio.Future[Any]) -> None:
        self.tasks -= 1
        if not future.cancelled():
            future.exception()  # which otherwise would be reported where nobody waits any more

    def close(self) -> None:
        """Start no more tasks."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class SharedRecognizer(Recognizer):
    """A recognizer that several threads use, one at a time, because not every runtime allows more."""

    def __init__(self, path: Path | str, threads: int = 0) -> None:
        super().__init__(path, threads)
        self._lock = Lock()

    def probabilities(self, recording: Recording, confidence: NDArray[Any] | None = None) -> Floats:
        """Return the probabilities (K,) of a recording in the order of the classes; see `Recognizer`."""
        with self._lock:
            return super().probabilities(recording, confidence)
