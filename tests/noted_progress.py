"""A progress that records its calls."""

import math
from dataclasses import dataclass, field
from typing import Self

from last.utils.progress import Progress


@dataclass
class Noted:
    """A task: its arguments, and its counts, each with note and time left."""

    description: str
    total: int
    before: int
    in_run: bool
    done: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    run_left_s: list[float] = field(default_factory=list)


class NotedProgress(Progress):
    """Note every task and everything that is counted in it."""

    def __init__(self) -> None:
        self.tasks: list[Noted] = []

    def task(self, description: str, total: int, unit: str = "clips", *, before: int = 0, in_run: bool = False) -> Self:
        self.tasks.append(Noted(description, total, before, in_run))
        return self

    def advance(self, done: int = 1, note: str = "", run_left_s: float = math.nan) -> None:
        task = self.tasks[-1]
        task.done.append(done)
        task.notes.append(note)
        task.run_left_s.append(run_left_s)
