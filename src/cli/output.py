"""What is shown to people: text that cannot be written is dropped, and the work goes on.

A terminal vanishes, a reader such as `head` leaves, a disk gets full under `> log.txt`, a shell starts a command with
`>&-`, `pythonw` has no streams at all. Everything that the commands show passes `sys.stdout` or `sys.stderr`: print,
Rich, logging, tracebacks, argparse. So these two are what is replaced, and nothing else needs to know.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from ..utils.files import reason

_STANDARD = (0, 1, 2)  # the descriptors of stdin, stdout and stderr
_NOT_WRITABLE = (OSError, ValueError)  # Python says ValueError where a stream was closed within the process


class Shown:
    """A text stream that raises nothing where it cannot be written.

    Each text is tried, so that a disk with space again, or a reader that is slow, gets what comes then.

    Args:
        stream: where the text goes; None where there is nothing, and all is dropped.

    Attributes:
        problem: why text was dropped, the first time; None where none was.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.problem: OSError | ValueError | None = None

    def write(self, text: str) -> int:
        """Write `text`, or drop it; return its length as every text stream does."""
        if self._stream is not None:
            with self._dropping():
                self._stream.write(text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write texts one after the other."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Pass on what the stream holds back."""
        if self._stream is not None:
            with self._dropping():
                self._stream.flush()

    def isatty(self) -> bool:
        """Tell whether the stream is a terminal that is still there."""
        try:
            return self._stream is not None and self._stream.isatty()
        except _NOT_WRITABLE:
            return False

    def settle(self) -> None:
        """Flush for the last time; what cannot be written then is forgotten, or Python would complain at its end."""
        self.flush()
        if self.problem is not None and self._stream is not None:
            with suppress(*_NOT_WRITABLE):
                _forget_buffered(self._stream)

    def __getattr__(self, name: str) -> Any:
        """Return what else the stream has, such as its encoding and its descriptor."""
        return getattr(self._stream, name)

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except _NOT_WRITABLE as error:
            self.problem = self.problem or error


@contextmanager
def shown_to_people() -> Iterator[tuple[Shown, Shown]]:
    """Let nothing that is printed raise while the block runs; yield what stands for stdout and stderr.

    Descriptors that are closed lead nowhere from then on: the next file that is opened, a checkpoint for example, would
    get the number of one of them, and with it whatever a library prints.
    """
    _occupy_closed_descriptors()
    out, err = Shown(sys.stdout), Shown(sys.stderr)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield out, err
    finally:
        out.settle()
        err.settle()
        sys.stdout, sys.stderr = before


def left_early(problem: OSError | ValueError | None) -> bool:
    """Tell whether a reader such as `head` left before the end of the output."""
    return isinstance(problem, BrokenPipeError)


def why(problem: OSError | ValueError) -> str:
    """Return why output was dropped, in plain words."""
    if not isinstance(problem, OSError):
        return str(problem)
    return reason(problem) or problem.strerror or str(problem)


def _occupy_closed_descriptors() -> None:
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, number)  # inheritable: a process that this one starts needs it as much
            if nowhere != number:
                os.close(nowhere)
            else:
                os.set_inheritable(number, True)


def _forget_buffered(stream: TextIO) -> None:
    """Let what a stream holds back go nowhere; its descriptor stays what it is."""
    number = stream.fileno()
    kept, nowhere = os.dup(number), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, number)
        stream.flush()
    finally:
        os.dup2(kept, number)
        os.close(kept)
        os.close(nowhere)
