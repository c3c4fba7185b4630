"""The confusion matrix of a run's last test, as a CSV in the run's folder.

Legend: K classes.
"""

import csv
import io
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..utils.errors import UserError
from ..utils.files import read_whole, write_csv
from ..utils.system_errors import reason

_log = logging.getLogger(__name__)

_LIMIT_BYTES = 64 << 20
_CORNER = "true \\ predicted"
_WITHOUT = "no answer"
_EPOCH = re.compile(r", after epoch (\d{1,9})(?!\d)", re.ASCII)


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix.

    Attributes:
        classes: the names of the classes.
        counts: (K, K) clips; rows are true classes, columns predicted ones.
        unusable: (K,) clips of each class without a prediction, because a score was not finite.
        epoch: the epoch of the test; None if the file does not name it.
    """

    classes: Sequence[str]
    counts: NDArray[np.int64]
    unusable: NDArray[np.int64]
    epoch: int | None = None

    def table(self) -> tuple[list[str], Iterator[list[object]]]:
        """Return the header and the rows of a CSV; clips without a prediction, if any, have their own column."""
        corner = _CORNER if self.epoch is None else f"{_CORNER}, after epoch {self.epoch}"
        header, counts = [corner, *self.classes], self.counts
        if self.unusable.any():
            header, counts = [*header, _WITHOUT], np.column_stack([counts, self.unusable])
        return header, ([name, *row] for name, row in zip(self.classes, counts.tolist(), strict=True))


class ConfusionFile:
    """Write the confusion matrix of a run's last test; a failed write does not end the run."""

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self._path, self._classes = path, classes
        self._confusion: Confusion | None = None
        self._warned = False

    def update(self, counts: NDArray[np.int64], epoch: int) -> None:
        """Set the matrix after an epoch: (K, K + 1), with clips without a prediction in the last column."""
        self._confusion = Confusion(self._classes, counts[:, :-1], counts[:, -1], epoch)

    def write(self) -> None:
        """Write the matrix that was set last; log one warning if the file cannot be written."""
        if self._confusion is None:
            return
        try:
            write_csv(self._path, *self._confusion.table())
        except UserError as error:
            if not self._warned:
                _log.warning("%s Training continues without it; the next test tries again.", error)
            self._warned = True


def read_confusion(path: Path) -> Confusion | None:
    """Read the CSV of a confusion matrix; return None if the file does not exist.

    Raises:
        UserError: it cannot be read, or is not a confusion matrix.
    """
    try:
        text = read_whole(path, _LIMIT_BYTES, "a confusion matrix").decode("utf-8")
        header, *rows = list(csv.reader(io.StringIO(text, newline="")))
        names = [row[0] for row in rows]
        counts = np.array([[int(cell) for cell in row[1:]] for row in rows], np.int64).reshape(len(rows), -1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"Cannot read {path}: {reason(error)}.") from error
    except UserError:
        raise
    except (ValueError, IndexError, OverflowError, csv.Error) as error:
        raise UserError(f"{path} is no table of a confusion matrix: {error}.") from error
    if header[1 : len(names) + 1] != names or counts.shape[1] - len(names) not in (0, 1) or (counts < 0).any():
        raise UserError(f"{path} is no table of a confusion matrix: rows and columns are not of the same classes.")
    epoch = _EPOCH.search(header[0])
    without = counts[:, len(names) :].sum(axis=1)
    return Confusion(names, counts[:, : len(names)], without, int(epoch[1]) if epoch else None)
