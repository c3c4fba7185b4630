"""Output streams that drop text that cannot be written, so that a command continues.

A terminal may close, a reader such as `head` may exit, a disk may be full under `> log.txt`, a shell may start a
command with `>&-`, and `pythonw` has no streams. All output passes through `sys.stdout` or `sys.stderr`: print, Rich,
logging, tracebacks, argparse. Replacing these two therefore covers everything.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

_STANDARD = (0, 1, 2)  # the descriptors of stdin, stdout and stderr
_NOT_WRITABLE = (OSError, ValueError)  # ValueError: the stream was closed within the process


class SafeStream:
    """A text stream that drops text when a write fails.

    Each write is attempted, so that output continues when a disk has space again.

    Args:
        stream: the underlying stream; None drops everything.

    Attributes:
        problem: the first error; None if there was none.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.problem: OSError | ValueError | None = None

    def write(self, text: str) -> int:
        """Write `text`, or drop it; return its length, as text streams do."""
        if self._stream is not None:
            with self._dropping():
                self._stream.write(text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write texts one after the other."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream."""
        if self._stream is not None:
            with self._dropping():
                self._stream.flush()

    def isatty(self) -> bool:
        """Return whether the stream is an open terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except _NOT_WRITABLE:
            return False

    def finish(self) -> None:
        """Flush for the last time and discard what cannot be written, so that Python reports no error at exit."""
        self.flush()
        if self.problem is not None and self._stream is not None:
            with suppress(*_NOT_WRITABLE):
                _discard_buffer(self._stream)

    def __getattr__(self, name: str) -> Any:
        """Return other attributes of the stream, such as its encoding and its descriptor."""
        return getattr(self._stream, name)

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except _NOT_WRITABLE as error:
            self.problem = self.problem or error


@contextmanager
def safe_output() -> Iterator[tuple[SafeStream, SafeStream]]:
    """Replace stdout and stderr by streams that never raise while the block runs, and yield them.

    They print `?` for a character that the encoding of a terminal or a pipe lacks.

    Closed standard descriptors are redirected to the null device. Otherwise the next opened file, such as a checkpoint,
    would get such a number and receive what a library prints.
    """
    _redirect_closed_descriptors()
    for stream in (sys.stdout, sys.stderr):
        _replace_unencodable(stream)
    out, err = SafeStream(sys.stdout), SafeStream(sys.stderr)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield out, err
    finally:
        out.finish()
        err.finish()
        sys.stdout, sys.stderr = before


def reader_left(problem: OSError | ValueError | None) -> bool:
    """Return whether the reader, such as `head`, exited before the end of the output."""
    return isinstance(problem, BrokenPipeError)


def _replace_unencodable(stream: TextIO | None) -> None:
    if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":  # which loses nothing
        with suppress(*_NOT_WRITABLE):  # it is flushed first
            stream.reconfigure(errors="replace")


def _redirect_closed_descriptors() -> None:
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, number)  # inheritable, for child processes too
            if nowhere != number:
                os.close(nowhere)
            else:
                os.set_inheritable(number, True)


def _discard_buffer(stream: TextIO) -> None:
    """Discard the buffer of a stream; its descriptor is unchanged."""
    number = stream.fileno()
    kept, nowhere = os.dup(number), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, number)
        stream.flush()
    finally:
        os.dup2(kept, number)
        os.close(kept)
        os.close(nowhere)
