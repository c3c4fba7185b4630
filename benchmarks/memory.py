"""Peak memory of this process and its descendants together."""

import os
from pathlib import Path

from .watch import Watch

_PROCESSES = Path("/proc")
_EVERY_S = 0.02


class TreeMemory(Watch):
    """Sample the resident memory of the process tree while a block runs.

    Pages that processes share count once in each. Where the system has no /proc there is no figure.

    Attributes:
        peak_mib: the largest sample; None if there is none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak_mib: float | None = None

    def _watch(self) -> None:
        if not (_PROCESSES / "self" / "statm").is_file():
            return
        while True:
            self.peak_mib = max(self.peak_mib or 0.0, sum(map(_resident_mib, _tree(os.getpid()))))
            if self._over.wait(_EVERY_S):
                return


def _tree(process: int) -> list[int]:
    """Return a process and all below it."""
    found = [process]
    for each in found:
        for tasks in (_PROCESSES / str(each)).glob("task/*/children"):
            found += map(int, _text(tasks).split())
    return found


def _resident_mib(process: int) -> float:
    fields = _text(_PROCESSES / str(process) / "statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if fields else 0.0


def _text(path: Path) -> str:
    """Return a file's text, nothing where its process has ended."""
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
