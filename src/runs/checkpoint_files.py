"""Writing the checkpoints of a run: when each is saved, and how a failed write is handled."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path

from ..utils.errors import UserError
from ..utils.leftovers import remove
from ..utils.system_errors import reason
from .checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from .folder import RunFolder

_log = logging.getLogger(__name__)


class CheckpointFiles:
    """Write and remove a run's checkpoints; a failed write is a warning and does not end the run.

    Args:
        run: the run's folder.
        keep: how many of the newest epochs keep their own file.
        writes: whether this process writes; only the first process does.
    """

    def __init__(self, run: RunFolder, keep: int, writes: bool) -> None:
        self.run, self.keep, self.writes = run, keep, writes
        self._last_is_written = True
        self._unsaved_best: Checkpoint | None = None  # kept in memory until it can be written

    def resume_from(self, origin: str) -> None:
        """Record the checkpoint that the run resumes from, and remove the partial files of killed processes."""
        # A process that is killed after writing best_model.pth leaves the last.pth of the previous epoch.
        self._last_is_written = Path(origin).name == self.run.last.name
        self._remove_leftovers()

    def write_missing(self, checkpoint: Checkpoint) -> None:
        """Write the files that are missing because a process was killed between the writes at the end of an epoch.

        Args:
            checkpoint: the state from which the run is resumed.
        """
        if not self.writes or checkpoint.within:
            return
        is_best = checkpoint.has_best and checkpoint.best_epoch == checkpoint.epoch
        if is_best and not _contains(self.run.best, checkpoint):
            self._write_best(checkpoint)
        if self.keep and not _contains(self.run.of_epoch(checkpoint.epoch), checkpoint):
            self._try_to_save(self.run.of_epoch(checkpoint.epoch), checkpoint)
        self._remove_old_epochs()
        if not self._last_is_written:
            self._last_is_written = self._try_to_save(self.run.last, checkpoint)

    def branch_off(self, checkpoint: Checkpoint, later: Sequence[Path]) -> None:
        """Write the state at the end of an epoch as the run's last one, and remove the later checkpoints.

        Raises:
            UserError: it cannot be written; nothing has changed.
        """
        if not self.writes:
            return
        save_checkpoint(self.run.last, checkpoint)
        self._last_is_written = True
        if self.run.best in later:
            save_checkpoint(self.run.best, checkpoint)
        for path in later:
            if path not in (self.run.last, self.run.best):
                self._remove(path)

    def end_epoch(self, checkpoint: Checkpoint, better: bool) -> None:
        """Write the state at the end of an epoch, also as the best one if it is `better` than all before."""
        if not self.writes:
            return
        if better:
            self._write_best(checkpoint)
        else:
            self._retry_best()
        if self.keep:
            self._try_to_save(self.run.of_epoch(checkpoint.epoch), checkpoint)
            self._remove_old_epochs()
        self._last_is_written = self._try_to_save(self.run.last, checkpoint)
        if self._last_is_written:
            self._remove(self.run.partial)

    def save_within(self, checkpoint: Checkpoint) -> bool:
        """Write the state within an epoch; return whether that succeeded."""
        if not self.writes:
            return True
        self._retry_best()
        return self._try_to_save(self.run.partial, checkpoint)

    def finalize(self, last: Callable[[], Checkpoint]) -> None:
        """Write the last and the best state of a finished run if they are missing, and remove temporary files.

        Raises:
            UserError: one still cannot be written.
        """
        if not self.writes:
            return
        if not self._last_is_written:
            save_checkpoint(self.run.last, last())
        if self._unsaved_best is not None:
            save_checkpoint(self.run.best, self._unsaved_best)
        self._remove(self.run.partial)
        self._remove_leftovers()

    def _write_best(self, checkpoint: Checkpoint) -> None:
        """Write the best state; if that fails, keep a copy in memory and try again later."""
        self._unsaved_best = None if self._try_to_save(self.run.best, checkpoint) else deepcopy(checkpoint)

    def _retry_best(self) -> None:
        """Write the best state if an earlier attempt failed; another failure is not logged again."""
        if self._unsaved_best is not None:
            with suppress(UserError):
                save_checkpoint(self.run.best, self._unsaved_best)
                self._unsaved_best = None

    def _remove_old_epochs(self) -> None:
        for path in self.run.epochs()[: -self.keep] if self.keep else []:
            self._remove(path)

    def _try_to_save(self, path: Path, checkpoint: Checkpoint) -> bool:
        try:
            save_checkpoint(path, checkpoint)
        except UserError as error:
            _log.warning("%s Training continues; the file is unchanged.", error)
            return False
        return True

    def _remove_leftovers(self) -> None:
        """Remove the temporary files of killed processes; the lock excludes another writer."""
        if self.writes:
            for folder in (self.run.path, self.run.checkpoints):
                for path in folder.glob(".*.tmp"):
                    self._remove(path)

    def _remove(self, path: Path) -> None:
        try:
            remove(path)
        except OSError as error:
            _log.warning("Cannot remove %s: %s.", path, reason(error))


def _contains(path: Path, checkpoint: Checkpoint) -> bool:
    """Return whether a file holds a state with the same progress as `checkpoint`."""
    try:
        return read_checkpoint(path).progress == checkpoint.progress
    except UserError:
        return False


def most_advanced_checkpoint(paths: Sequence[Path]) -> tuple[Path, Checkpoint] | None:
    """Return the most advanced readable checkpoint; log a warning for each damaged one."""
    return max(readable_checkpoints(paths), key=lambda item: item[1].progress, default=None)


def readable_checkpoints(paths: Sequence[Path]) -> list[tuple[Path, Checkpoint]]:
    """Return the readable checkpoints; log a warning for each damaged one."""
    found: list[tuple[Path, Checkpoint]] = []
    for path in paths:
        try:
            found.append((path, read_checkpoint(path)))
        except UserError as error:
            _log.warning("%s It is skipped.", error)
    return found
