"""The folder of a run: its name, its files, and a copy of it elsewhere."""

import logging
import math
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from ..tasks.measures import Measures, measures_from
from ..utils.config import read_yaml
from ..utils.errors import UserError
from ..utils.files import copy_file, make_folder, read_json, uncopied, unwritable, write_json
from ..utils.foreign_text import short
from ..utils.leftovers import temporary_folder
from ..utils.locks import sole_writer
from ..utils.renamed_keys import with_present_keys

_log = logging.getLogger(__name__)
_NAME = re.compile(r"run-(\d{4}-\d{2}-\d{2})(?:_(\d+))?")
# What a run consists of; evaluations and exports stay where they were made.
_OF_RUN = ("*.yaml", "task.json", "*.txt", "*.jsonl", "*.csv", "*.png", "tensorboard/*", "checkpoints/*.pth")
_LOGBOOK = ("*.jsonl", "*.csv")
# What every summary has, however old: it is printed, and compared between seeds.
_FIGURES = ("seed", "parameters", "best_epoch")
_NAMES = ("model", "dataset", "split")
SEQUENCE_FILE = "sequence.json"  # by which the folder of a training sequence is known, whose runs lie deeper


class RunFolder:
    """The files of one run, by their names."""

    CONFIG = "config.yaml"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / self.CONFIG
        self.task = path / "task.json"  # the metrics of a task that is not classification
        self.origin = path / "origin.json"  # of a run that continues another one in a new place
        self.summary = path / "summary.json"
        self.log = path / "log.txt"
        self.curve = path / "training_curve.png"
        self.confusion = path / "confusion.csv"  # of the last test
        self.confusion_picture = path / "confusion.png"
        self.divergence = path / "divergence.json"
        self.checkpoints = path / "checkpoints"
        self.best = self.checkpoints / "best_model.pth"
        self.last = self.checkpoints / "last.pth"  # the end of the last finished epoch
        self.partial = self.checkpoints / "partial.pth"  # within the next one

    def of_epoch(self, epoch: int) -> Path:
        """Return the file of the state at the end of an epoch, where such files are kept."""
        return self.checkpoints / f"epoch_{epoch:04}.pth"

    def epochs(self) -> list[Path]:
        """Return the files of kept epochs, oldest first."""
        return sorted(self.checkpoints.glob("epoch_*.pth"), key=lambda path: (len(path.name), path.name))

    @property
    def dated(self) -> bool:
        """Tell whether the folder is called as runs are."""
        return _NAME.fullmatch(self.path.name) is not None

    @property
    def age(self) -> tuple[str, int]:
        """Return what orders runs from old to new: the day and the number within it; of a folder with another name 0.

        The day of such a folder is that on which its configuration was written.
        """
        if match := _NAME.fullmatch(self.path.name):
            return match[1], int(match[2] or 1)
        day = day_written(self.config)
        return ("" if day is None else day.isoformat()), 0

    @property
    def written(self) -> float:
        """Return when something of the run was last written, in seconds since 1970."""
        return max(_time_written(path) for path in (self.config, *self.all_checkpoints()))

    def read_summary(self, figures: Sequence[str] = (), names: Sequence[str] = _NAMES) -> Mapping[str, Any]:
        """Return what `summary.json` holds; it needs `figures`, or where none are given, those of every summary.

        Raises:
            UserError: it cannot be read, or lacks one of the figures and names that are needed.
        """
        again = " Delete it, and resume the run: its summary is written again."
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
        """Return the configuration of the run as plain values, with the present names of keys.

        Raises:
            UserError: it is missing or no configuration.
        """
        return with_present_keys(read_yaml(self.config))

    def read_measures(self) -> Measures:
        """Return what the task of the run measures, as `task.json` says; classification's where there is none.

        Raises:
            UserError: the file cannot be read.
        """
        return measures_from(read_json(self.task) if self.task.exists() else {}, str(self.task))

    def all_checkpoints(self) -> list[Path]:
        """Return every checkpoint there is."""
        return sorted(self.checkpoints.glob("*.pth"))

    @classmethod
    def create(cls, output_root: Path) -> "RunFolder":
        """Make today's next folder `run-YYYY-MM-DD`, then `run-YYYY-MM-DD_2` and so on.

        Names tell which run is newer. So where the clock was put back, a run gets the day of the newest one there, and
        no number below one that is taken.

        Raises:
            UserError: it cannot be made.
        """
        make_folder(output_root)
        today = date.today().isoformat()
        day, taken = max([(today, 0), *_ages_in(output_root)])
        if day > today:
            _log.warning(
                "A run in %s is of %s, and today is %s. The new run gets that day too, so that it is the newest by its "
                "name. If the clock was wrong then, move the older run elsewhere.",
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
                raise unwritable(path, error) from error
            return cls(path)

    def claimed(self, copies: bool = False) -> AbstractContextManager[None]:
        """Return a context in which no other process trains the run; `copies` says that it is only read.

        Entering it raises a UserError where another process trains the run.
        """
        remedy = "copy it when that has ended" if copies else "resume it when that has ended"
        return sole_writer(
            self.path,
            f"The run {self.path} is being trained by another process: {remedy}, or end that process first. To begin "
            "another run beside it, leave --resume out.",
            makes=not copies,
        )

    def copy_to(self, output_root: Path) -> "RunFolder":
        """Copy the run into a new run's folder, note there where it comes from, and return it.

        Raises:
            UserError: it cannot be copied, or is being trained by another process; nothing of it stays.
        """
        with self.claimed(copies=True):
            return self._copied_to(RunFolder.create(output_root))

    def _copied_to(self, copy: "RunFolder") -> "RunFolder":
        try:
            files = self._files()
            with _whole_or_absent(copy.path) as hidden:
                self._copy(files, hidden)
                origin = {"run": str(self.path.absolute()), "copied": date.today().isoformat()}
                write_json(hidden / self.origin.name, origin)
        except BaseException:
            shutil.rmtree(copy.path, ignore_errors=True)
            raise
        return copy

    def _files(self) -> list[Path]:
        """Return the files of which the run consists.

        Raises:
            UserError: a folder of it cannot be read, in which a search would find nothing.
        """
        try:
            for folder in (self.path, self.checkpoints):
                if folder.exists():
                    next(folder.iterdir(), None)
            return [path for pattern in _OF_RUN for path in self.path.glob(pattern) if path.is_file()]
        except OSError as error:
            raise uncopied(Path(error.filename or self.path), error) from error

    def set_aside(self, checkpoints: Sequence[Path]) -> "RunFolder":
        """Copy some checkpoints, the best one, the logbook and the configuration into a run's folder within this one.

        Raises:
            UserError: they cannot be copied; nothing of it stays.
        """
        taken = len(list(self.path.glob("superseded*")))
        place = self.path / (f"superseded_{taken + 1}" if taken else "superseded")
        logbook = [path for pattern in _LOGBOOK for path in self.path.glob(pattern)]
        files = {
            self.config,
            *self.path.glob(self.task.name),
            *logbook,
            *checkpoints,
            *([self.best] if self.best.exists() else []),
        }
        with _whole_or_absent(place) as hidden:
            self._copy(files, hidden)
        return RunFolder(place)

    def _copy(self, files: Iterable[Path], folder: Path) -> None:
        for path in files:
            target = folder / path.absolute().relative_to(self.path.absolute())
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_file(path, target)  # without the rights, which may be those of a read-only place

    @classmethod
    def of(cls, path: Path) -> "RunFolder":
        """Return the run whose folder, folder of checkpoints or checkpoint `<run>/checkpoints/NAME.pth` a path is.

        Raises:
            UserError: there is nothing, or it is no run and does not lie in one.
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
                f"{path} does not lie in a run's folder (<run>/checkpoints/NAME.pth beside <run>/config.yaml), "
                "so the run cannot be resumed. Point --resume at a run, or at a checkpoint inside it."
            )
        return run

    @property
    def origin_path(self) -> str:
        """Return the run that this one continues in a new place, empty where there is none."""
        try:
            return str(read_json(self.origin).get("run", "")) if self.origin.exists() else ""
        except UserError:  # a damaged note is no reason to lose a result
            return ""

    @property
    def finished(self) -> bool:
        """Tell whether the run came to its end."""
        return self.summary.exists()


def _ages_in(output_root: Path) -> list[tuple[str, int]]:
    """Return the ages of the runs in a folder, those apart whose names hold a day that does not exist."""
    ages = [run.age for run in map(RunFolder, output_root.glob("run-*")) if run.dated]
    return [age for age in ages if _is_day(age[0])]


def _is_day(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


@contextmanager
def _whole_or_absent(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder; what the block puts there is in `folder` when it succeeds, the configuration last.

    Raises:
        UserError: it cannot be written; nothing of it stays.
    """
    try:
        with temporary_folder(folder) as hidden:
            yield hidden
            folder.mkdir(exist_ok=True)
            for path in sorted(hidden.iterdir(), key=lambda each: each.name == RunFolder.CONFIG):  # with it, a run
                path.replace(folder / path.name)
    except OSError as error:
        raise unwritable(folder, error) from error


def day_written(path: Path) -> date | None:
    """Return the day on which a file was last written; None if it is missing or its time is outside the calendar."""
    try:
        return date.fromtimestamp(path.stat().st_mtime)
    except (OSError, ValueError, OverflowError):
        return None


def _time_written(path: Path) -> float:
    """Return when a file was last written; 0 for one that is not there, such as a link that leads nowhere."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
