"""Progress reporting of long tasks, independent of the display."""

import math
from types import TracebackType
from typing import Self


class Progress:
    """Progress of a long task; this base class shows nothing.

    Use it as a context manager: `with progress.task("reading", total=100): progress.advance()`.
    The command line uses a subclass that shows a bar on a terminal and plain lines elsewhere.
    """

    def task(
        self,
        description: str,  # noqa: ARG002 - for subclasses, as the others
        total: int,  # noqa: ARG002
        unit: str = "clips",  # noqa: ARG002
        *,
        before: int = 0,  # noqa: ARG002
        in_run: bool = False,  # noqa: ARG002
    ) -> Self:
        """Start a task of `total` units.

        Args:
            description: the title of the task.
            total: the number of units, including those done earlier.
            unit: the name of a unit.
            before: units that an earlier process did, which do not count in the rate.
            in_run: whether it is one of many tasks of a run, which logs their results itself.
        """
        return self

    def advance(self, done: int = 1, note: str = "", run_left_s: float = math.nan) -> None:
        """Count `done` more units; `note` is a short text, `run_left_s` the time left of the whole run in seconds."""

    def finish(self) -> None:
        """End the task."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()


SILENT = Progress()
