"""The folder of a run: its name, its files, and copies of it."""

import logging
import math
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from ..settings.run import RunConfig
from ..tasks.measures import Measures, measures_from
from ..utils.config import read_yaml
from ..utils.errors import UserError
from ..utils.files import copy_error, copy_file, make_folder, read_json, write_error, write_json
from ..utils.foreign_text import short
from ..utils.leftovers import temporary_folder
from ..utils.locks import sole_writer
from ..utils.renamed_keys import with_present_keys
from ..utils.root_folders import is_file
from ..utils.unordered import with_lists_in_order

_log = logging.getLogger(__name__)
_NAME = re.compile(r"run-\d{4}-\d{2}-\d{2}(_\d+)?")
_DATED = re.compile(r"(\d{4}-\d{2}-\d{2})(?:_(\d{1,9}))?")
# The files that a copy of a run includes; evaluations and exports are not copied.
_OF_RUN = ("*.yaml", "task.json", "*.txt", "*.jsonl", "*.csv", "*.png", "tensorboard/*", "checkpoints/*.pth")
_LOGBOOK = ("*.jsonl", "*.csv")
# Keys that summaries of all versions have.
_FIGURES = ("seed", "parameters", "best_epoch")
_NAMES = ("model", "dataset", "split")
# How a run can end: the values of `ended` in its summary.
ALL_EPOCHS, EARLY_STOPPING = "all epochs", "early stopping"
SEQUENCE_FILE = "sequence.json"  # marks the folder of a training sequence, whose runs are in subfolders
SWEEP_FILE = "sweep.json"  # likewise that of a sweep
SEARCH_FILE = "search.json"  # and that of a search


class RunFolder:
    """The paths of the files of one run."""

    CONFIG = "config.yaml"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / self.CONFIG
        self.task = path / "task.json"  # the metrics of a task that is not classification
        self.origin = path / "origin.json"  # in the copy of a run that continues elsewhere
        self.summary = path / "summary.json"
        self.log = path / "log.txt"
        self.logbook = path / "metrics.jsonl"
        self.curve = path / "training_curve.png"
        self.confusion = path / "confusion.csv"  # of the last test
        self.confusion_picture = path / "confusion.png"
        self.divergence = path / "divergence.json"
        self.checkpoints = path / "checkpoints"
        self.best = self.checkpoints / "best_model.pth"
        self.last = self.checkpoints / "last.pth"  # the end of the last finished epoch
        self.partial = self.checkpoints / "partial.pth"  # within the next one

    def of_epoch(self, epoch: int) -> Path:
        """Return the checkpoint of one epoch, which exists if `checkpoint.keep` includes it."""
        return self.checkpoints / f"epoch_{epoch:04}.pth"

    def epochs(self) -> list[Path]:
        """Return the checkpoints of single epochs, oldest first."""
        return sorted(self.checkpoints.glob("epoch_*.pth"), key=lambda path: (len(path.name), path.name))

    @property
    def begun(self) -> date | None:
        """Return the day in its name, else that of the last write to its folder; None if there is no such day."""
        try:
            if match := _DATED.search(self.path.name):
                return date.fromisoformat(match[1])
            return date.fromtimestamp(self.path.stat().st_mtime)
        except (OSError, ValueError, OverflowError):
            return None

    @property
    def sort_key(self) -> tuple[str, int]:
        """Return the day and the number within the day, which order runs from old to new.

        The number is 0 if the name has no day.
        """
        match = _DATED.search(self.path.name)
        return str(self.begun or ""), int(match[2] or 1) if match else 0

    @property
    def last_written(self) -> float:
        """Return the time of the last write to the run, in seconds since 1970."""
        return max(_modification_time(path) for path in (self.config, *self.all_checkpoints()))

    def read_summary(self, figures: Sequence[str] = (), names: Sequence[str] = _NAMES) -> Mapping[str, Any]:
        """Return the content of `summary.json`.

        Args:
            figures: required keys with numbers; by default those of every summary.
            names: required keys with texts.

        Raises:
            UserError: it cannot be read, or lacks a required key.
        """
        again = " Delete it and resume the run, which writes its summary again."
        try:
            summary = read_json(self.summary)
        except UserError as error:
            raise UserError(f"{error}{again}") from error
        figures = figures or (*_FIGURES, *self.read_measures().figures())
        for name in (*figures, *names):
            value = summary.get(name)
            is_figure = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not (is_figure if name in figures else isinstance(value, str)):
                raise UserError(f"{self.summary} is damaged: {name} is {short(value)}.{again}")
        return summary

    def read_config(self) -> dict[str, Any]:
        """Return the configuration of the run as plain values, with the present names of keys and order of lists.

        Raises:
            UserError: it is missing or no configuration.
        """
        values: dict[str, Any] = with_lists_in_order(RunConfig, with_present_keys(read_yaml(self.config)))
        return values

    def read_measures(self) -> Measures:
        """Return the metrics of the run's task from `task.json`; those of classification if there is none.

        Raises:
            UserError: the file cannot be read.
        """
        return measures_from(read_json(self.task) if is_file(self.task) else {}, str(self.task))

    def all_checkpoints(self) -> list[Path]:
        """Return all checkpoints."""
        return sorted(self.checkpoints.glob("*.pth"))

    def archives(self) -> list[Path]:
        """Return the folders of the epochs that the run had before it was resumed from an earlier one."""
        return sorted(self.path.glob("superseded*"))

    @classmethod
    def create(cls, output_root: Path) -> "RunFolder":
        """Make today's next folder `run-YYYY-MM-DD`, then `run-YYYY-MM-DD_2` and so on.

        Names order runs by age. If the clock was set back, a new run therefore gets the day of the newest existing run,
        and the next number of that day.

        Raises:
            UserError: it cannot be created.
        """
        make_folder(output_root)
        today = date.today().isoformat()
        day, taken = max([(today, 0), *(run.sort_key for run in runs_in(output_root))])
        if day > today:
            _log.warning(
                "A run in %s has the date %s, and today is %s. The new run gets the later date too, so that the names "
                "order runs by age. If the clock was wrong then, move the older run elsewhere.",
                *(output_root, day, today),
            )
        name, number = f"run-{day}", taken + 1
        while True:
            path = output_root / (name if number == 1 else f"{name}_{number}")
            try:
                path.mkdir()
            except FileExistsError:
                number += 1
                continue
            except OSError as error:
                raise write_error(path, error) from error
            return cls(path)

    def locked(self, copies: bool = False) -> AbstractContextManager[None]:
        """Return a context manager that holds the lock of the run; with `copies` the run is only read.

        Entering it raises a UserError if another process trains the run.
        """
        remedy = "copy it when that process has ended" if copies else "resume it when that process has ended"
        return sole_writer(
            self.path,
            f"The run {self.path} is being trained by another process: {remedy}, or end that process first. To start "
            "another run, leave --resume out.",
            makes=not copies,
        )

    def copy_to(self, output_root: Path) -> "RunFolder":
        """Copy the run into a new run folder, record its origin there, and return the copy.

        Raises:
            UserError: it cannot be copied, or is being trained by another process; no partial copy is left.
        """
        with self.locked(copies=True):
            return self._copied_to(RunFolder.create(output_root))

    def _copied_to(self, copy: "RunFolder") -> "RunFolder":
        try:
            files = self._files()
            with _atomic_folder(copy.path) as hidden:
                self._copy(files, hidden)
                origin = {"run": str(self.path.absolute()), "copied": date.today().isoformat()}
                write_json(hidden / self.origin.name, origin)
        except BaseException:
            shutil.rmtree(copy.path, ignore_errors=True)
            raise
        return copy

    def _files(self) -> list[Path]:
        """Return the files that a copy includes.

        Raises:
            UserError: a folder of the run cannot be read; a search would silently find nothing in it.
        """
        try:
            for folder in (self.path, self.checkpoints):
                if folder.exists():
                    next(folder.iterdir(), None)
            return [path for pattern in _OF_RUN for path in self.path.glob(pattern) if path.is_file()]
        except OSError as error:
            raise copy_error(Path(error.filename or self.path), error) from error

    def archive(self, checkpoints: Sequence[Path]) -> "RunFolder":
        """Copy checkpoints, the best one, the logbook and the configuration into a subfolder, which is a run too.

        Raises:
            UserError: they cannot be copied; no partial copy is left.
        """
        taken = len(self.archives())
        kept = self.path / (f"superseded_{taken + 1}" if taken else "superseded")
        logbook = [path for pattern in _LOGBOOK for path in self.path.glob(pattern)]
        files = {
            self.config,
            *self.path.glob(self.task.name),
            *logbook,
            *checkpoints,
            *([self.best] if self.best.exists() else []),
        }
        with _atomic_folder(kept) as hidden:
            self._copy(files, hidden)
        return RunFolder(kept)

    def _copy(self, files: Iterable[Path], folder: Path) -> None:
        for path in files:
            target = folder / path.absolute().relative_to(self.path.absolute())
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_file(path, target)  # without permissions, which may be read-only

    @classmethod
    def containing(cls, path: Path) -> "RunFolder":
        """Return the run of a path: its folder, its checkpoint folder, or a checkpoint `<run>/checkpoints/NAME.pth`.

        Raises:
            UserError: the path does not exist, or is not in a run.
        """
        if not path.exists():
            raise UserError(
                f"Cannot resume {path}: there is no such file. Give a run's folder, or a file such as "
                "<run>/checkpoints/last.pth."
            )
        inner = path.absolute() if path.is_dir() else path.absolute().parent
        is_inside = inner.name == "checkpoints"
        run = cls(inner.parent if is_inside else path)
        if not run.config.exists() or not (is_inside or path.is_dir()):
            raise UserError(
                f"{path} is not in a run's folder (<run>/checkpoints/NAME.pth beside <run>/config.yaml), "
                "so the run cannot be resumed. Give --resume a run, or a checkpoint in it."
            )
        return run

    @property
    def origin_path(self) -> str:
        """Return the path of the run that this one is a copy of; empty if it is none."""
        try:
            return str(read_json(self.origin).get("run", "")) if is_file(self.origin) else ""
        except UserError:  # a damaged record must not lose the result
            return ""

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return is_file(self.summary)


def runs_in(folder: Path) -> list[RunFolder]:
    """Return the runs in a folder, newest first: its subfolders `run-YYYY-MM-DD`, with or without a number."""
    runs = [RunFolder(path) for path in folder.glob("run-*") if _NAME.fullmatch(path.name)]
    return sorted(runs, key=lambda run: run.sort_key, reverse=True)


@contextmanager
def _atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder whose content is moved to `folder` when the block succeeds, the configuration last.

    Raises:
        UserError: it cannot be written; nothing partial is left.
    """
    try:
        with temporary_folder(folder) as hidden:
            yield hidden
            folder.mkdir(exist_ok=True)
            for path in sorted(hidden.iterdir(), key=lambda each: each.name == RunFolder.CONFIG):  # it makes it a run
                path.replace(folder / path.name)
    except OSError as error:
        raise write_error(folder, error) from error


def _modification_time(path: Path) -> float:
    """Return the modification time of a file; 0 if it is missing, such as a broken link."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
