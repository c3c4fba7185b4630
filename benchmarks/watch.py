"""Sampling in a thread while a block runs."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Watch(ABC):
    """Run `_watch` in a thread from the beginning of a block to its end.

    Attributes:
        patience_s: seconds that the end of the block waits for the thread; None without a limit.
    """

    patience_s: float | None = None

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(self.patience_s)

    @abstractmethod
    def _watch(self) -> None:
        """Sample until `_over` is set."""
