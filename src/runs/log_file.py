"""The log of a run: what the package logs, copied into a file."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..utils.files import failure
from ..utils.foreign_text import harmless
from .append_file import append

_log = logging.getLogger(__name__)


@contextmanager
def logging_to_file(path: Path) -> Iterator[None]:
    """Copy what the package logs, from information up, to the end of a file while the block runs.

    A line that cannot be written is dropped, with one warning until a line is written again; nothing is raised.
    """
    logger = logging.getLogger(__name__.partition(".")[0])
    handler = _LineFile(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.setLevel(logging.INFO)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()


class _LineFile(logging.Handler):
    """Append each record to a file, opened for each one: a network share may disappear for a while."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._failing = False

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record, or drop it where the file cannot be written."""
        try:
            line = (harmless(self.format(record)) + "\n").encode()  # a log is read on a terminal
        except Exception:
            self.handleError(record)  # a defect of the logging call, told as every other handler tells it
            return
        try:
            append(self._path, line)
        except OSError as error:
            self._warn_once(error)
        else:
            self._failing = False

    def _warn_once(self, error: OSError) -> None:
        if self._failing:
            return
        self._failing = True  # first of all, since the warning comes back to this handler
        _log.warning(f"{failure(self._path, error)} Lines are missing in it until it can be written again.")
