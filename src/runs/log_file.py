"""The log file of a run: a copy of the package's log messages."""

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
    """Append the package's log messages, from level INFO, to a file while the block runs.

    A line that cannot be written is dropped, with one warning until a write succeeds again; nothing is raised.
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
    """Append each record to a file that is opened for each one, since a network share may disappear for a while."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._failing = False

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record, or drop it if the file cannot be written."""
        try:
            line = (harmless(self.format(record)) + "\n").encode()  # the log may be shown on a terminal
        except Exception:
            self.handleError(record)  # a defect of the logging call, reported as other handlers do
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
        self._failing = True  # first, since the warning reaches this handler too
        _log.warning(f"{failure(self._path, error)} Lines are missing in it until it can be written again.")
