"""How a long task tells how far it is, without knowing who listens."""

from types import TracebackType
from typing import Self


class Progress:
    """Report how far a long task has come; this base class says nothing.

    Use it as a context manager: `with progress.task("reading", total=100): progress.advance()`.
    The command line passes one that draws a bar on a terminal and plain lines elsewhere.
    """

    def task(self, description: str, total: int, unit: str = "clips") -> Self:  # noqa: ARG002 - for subclasses
        """Begin a task of `total` units."""
        return self

    def advance(self, done: int = 1, note: str = "") -> None:
        """Count `done` more units; `note` is a short text of current figures."""

    def finish(self) -> None:
        """End the task."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()


SILENT = Progress()
