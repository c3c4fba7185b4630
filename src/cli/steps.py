"""The steps of a command that does several things in turn: each is announced and its time is measured."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from .terminal import remark


class Steps:
    """Print the title of each step, unless the command is quiet, and measure its time.

    Args:
        count: the number of steps.

    Attributes:
        seconds: the time of each finished step, by its title.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step; what happens in the block is timed."""
        remark(f"[{len(self.seconds) + 1}/{self.count}] {title}", flush=True)
        began = time.monotonic()
        yield
        self.seconds[title] = time.monotonic() - began
