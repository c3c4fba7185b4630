"""The checkpoints of a run on disk: which are written when, and what happens when one cannot be."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path

from ..utils.errors import UserError
from ..utils.leftovers import remove
from .checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from .folder import RunFolder

_log = logging.getLogger(__name__)


class CheckpointFiles:
    """Keep a run's checkpoints up to date; a disk that is full for a while costs a warning and not the run.

    Args:
        run: the run's folder.
        keep: how many of the newest epochs keep a file of their own.
        writes: whether this process writes at all; of several only the first does.
    """

    def __init__(self, run: RunFolder, keep: int, writes: bool) -> None:
        self.run, self.keep, self.writes = run, keep, writes
        self._last_is_written = True
        self._owed: Checkpoint | None = None  # the best state, as long as there is no room for it

    def go_on_from(self, origin: str) -> None:
        """Note the checkpoint from which the run goes on, and remove what killed processes left half-written."""
        # A process that is killed behind best_model.pth leaves a last.pth of the epoch before.
        self._last_is_written = Path(origin).name == self.run.last.name
        self._remove_leftovers()

    def make_up_for(self, checkpoint: Checkpoint) -> None:
        """Write what a process that was killed between two writes at the end of an epoch had not come to.

        Args:
            checkpoint: the state from which the run is resumed.
        """
        if not self.writes or checkpoint.within:
            return
        is_best = checkpoint.best_acc >= 0 and checkpoint.best_epoch == checkpoint.epoch
        if is_best and not _holds(self.run.best, checkpoint):
            self._write_best(checkpoint)
        if self.keep and not _holds(self.run.of_epoch(checkpoint.epoch), checkpoint):
            self._try(self.run.of_epoch(checkpoint.epoch), checkpoint)
        self._remove_old_epochs()
        if not self._last_is_written:
            self._last_is_written = self._try(self.run.last, checkpoint)

    def branch_off(self, checkpoint: Checkpoint, beyond: Sequence[Path]) -> None:
        """Write the state at the end of an epoch as the run's own, and remove what had come further.

        Raises:
            UserError: it cannot be written; everything is still as it was.
        """
        if not self.writes:
            return
        save_checkpoint(self.run.last, checkpoint)
        self._last_is_written = True
        if self.run.best in beyond:
            save_checkpoint(self.run.best, checkpoint)
        for path in beyond:
            if path not in (self.run.last, self.run.best):
                self._remove(path)

    def end_epoch(self, checkpoint: Checkpoint, better: bool) -> None:
        """Write the state at the end of an epoch; `better` says that it is the best so far."""
        if not self.writes:
            return
        if better:
            self._write_best(checkpoint)
        else:
            self._write_owed()
        if self.keep:
            self._try(self.run.of_epoch(checkpoint.epoch), checkpoint)
            self._remove_old_epochs()
        self._last_is_written = self._try(self.run.last, checkpoint)
        if self._last_is_written:
            self._remove(self.run.partial)

    def save_within(self, checkpoint: Checkpoint) -> bool:
        """Write the state within an epoch and tell whether it is on disk."""
        if not self.writes:
            return True
        self._write_owed()
        return self._try(self.run.partial, checkpoint)

    def settle(self, last: Callable[[], Checkpoint]) -> None:
        """See to it that a finished run's last state and its best one are on disk, and nothing that came before them.

        Raises:
            UserError: it still cannot be written.
        """
        if not self.writes:
            return
        if not self._last_is_written:
            save_checkpoint(self.run.last, last())
        if self._owed is not None:
            save_checkpoint(self.run.best, self._owed)
        self._remove(self.run.partial)
        self._remove_leftovers()

    def _write_best(self, checkpoint: Checkpoint) -> None:
        """Write the best state, or keep a copy of it in memory until that is possible: no later epoch may be better."""
        self._owed = None if self._try(self.run.best, checkpoint) else deepcopy(checkpoint)

    def _write_owed(self) -> None:
        """Try to write the best state where that has failed, of which was warned then."""
        if self._owed is not None:
            with suppress(UserError):
                save_checkpoint(self.run.best, self._owed)
                self._owed = None

    def _remove_old_epochs(self) -> None:
        for path in self.run.epochs()[: -self.keep] if self.keep else []:
            self._remove(path)

    def _try(self, path: Path, checkpoint: Checkpoint) -> bool:
        try:
            save_checkpoint(path, checkpoint)
        except UserError as error:
            _log.warning("%s Training goes on; the file stays as it was.", error)
            return False
        return True

    def _remove_leftovers(self) -> None:
        """Remove what killed processes had written in part; a run has one writer at a time."""
        if self.writes:
            for folder in (self.run.path, self.run.checkpoints):
                for path in folder.glob(".*.tmp"):
                    self._remove(path)

    def _remove(self, path: Path) -> None:
        try:
            remove(path)
        except OSError as error:
            _log.warning("Cannot remove %s: %s.", path, error.strerror)


def _holds(path: Path, checkpoint: Checkpoint) -> bool:
    """Tell whether a file holds a state as far as `checkpoint`."""
    try:
        return read_checkpoint(path).progress == checkpoint.progress
    except UserError:
        return False


def newest_whole(paths: Sequence[Path]) -> tuple[Path, Checkpoint] | None:
    """Return the checkpoint that had come furthest among the files that are whole; damaged ones are told of."""
    return max(whole_checkpoints(paths), key=lambda item: item[1].progress, default=None)


def whole_checkpoints(paths: Sequence[Path]) -> list[tuple[Path, Checkpoint]]:
    """Return the checkpoints among the files that are whole; damaged ones are told of."""
    found: list[tuple[Path, Checkpoint]] = []
    for path in paths:
        try:
            found.append((path, read_checkpoint(path)))
        except UserError as error:
            _log.warning("%s It is passed over.", error)
    return found
