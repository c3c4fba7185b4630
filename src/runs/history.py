"""Finding the runs below an output root, and reading the results of each.

A folder may be incomplete, damaged or foreign. What is readable is read, and the rest is reported.
"""

import difflib
import math
import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from ..settings.distillation import teachers_in
from ..tasks.measures import CLASSIFICATION, Measures
from ..utils.config import flatten
from ..utils.errors import UserError
from ..utils.files import read_json
from ..utils.foreign_text import printable
from .folder import RunFolder, modification_day
from .logbook import Row, read_rows

Value = TypeVar("Value")

_LOGBOOK = "metrics.jsonl"
_SEQUENCE, _SEQUENCE_LEVELS = "sequence.json", 3  # <sequence>/<data>/<model>/<run>
_TERM = re.compile(r"train_(\w{1,40})_loss", re.ASCII)
_DATED = re.compile(r"(\d{4}-\d{2}-\d{2})(?:_(\d{1,9}))?")
_MOST_EPOCHS = 1_000_000_000
_LONGEST_PROBLEM = 160
_NAMES_SUGGESTED = 5


@dataclass(frozen=True)
class Run:
    """The content of a run's folder. An unknown text is empty, an unknown integer None, another unknown number NaN.

    Attributes:
        path, name: its folder, and its name: the path below the output root, else the folder's name.
        begun: the day in its name, else the day on which its folder was last written.
        model, dataset, split, seed: what was trained, on what.
        epochs_done, epochs: the number of finished epochs, and of configured ones.
        teachers: the models of a distilled run's teachers, or their checkpoints if unknown; empty for other runs.
        state: `finished`; `diverged`, ended because of non-finite numbers; else `unfinished`.
        measures: the metrics of its task.
        figures: `best_epoch`, `best_<metric>` and `final_<metric>` of the test part, `train_seconds`,
            `clips_per_second`, `skipped_batches`, `parameters` and `test_clips`, where known. Those of an unfinished
            run cover its epochs so far; with averaged weights, the metrics are theirs.
        config: its configuration with dotted keys; empty if it is unreadable.
        rows: the numbers of its logbook, one row per epoch.
        problems: what could not be read, one sentence each.
    """

    path: Path
    name: str
    begun: date | None = None
    model: str = ""
    dataset: str = ""
    split: str = ""
    seed: int | None = None
    epochs_done: int | None = None
    epochs: int | None = None
    teachers: Sequence[str] = ()
    state: str = "unfinished"
    measures: Measures = CLASSIFICATION
    figures: Mapping[str, float] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[Mapping[str, float]] = ()
    problems: Sequence[str] = ()

    def figure(self, name: str) -> float:
        """Return one of the figures, NaN if it is unknown."""
        return self.figures.get(name, math.nan)

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return self.state == "finished"

    @property
    def distillation_label(self) -> str:
        """Return the teachers of a distilled run for a title; empty for other runs."""
        return f"distilled from {' and '.join(self.teachers)}" if self.teachers else ""

    @property
    def weights_prefix(self) -> str:
        """Return the prefix of the logbook's columns of the reported weights: `ema_` for averaged ones."""
        return _weights_prefix(self.rows, self.measures)

    @property
    def terms(self) -> tuple[str, ...]:
        """Return the names of the loss terms in its logbook, in the task's order."""
        fullest = max(self.rows, key=len, default={})
        return tuple(found[1] for found in map(_TERM.fullmatch, fullest) if found)

    @property
    def comparable_loss_column(self) -> str:
        """Return the column of the loss in which runs are compared: the first term, if the loss has terms."""
        return f"train_{self.terms[0]}_loss" if self.terms else "train_loss"

    @property
    def data(self) -> str:
        """Return the data set and the protocol in one text."""
        return f"{self.dataset} {self.split}".strip()


def find_runs(output_root: Path) -> list[Run]:
    """Return the runs in a folder, in its subfolders, and in sequences, newest first.

    The archive that a run makes when it is resumed from an earlier checkpoint is a run too. A missing folder has none.

    Raises:
        UserError: the folder cannot be read, or is not a folder.
    """
    try:
        outer = list(_folders(output_root))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"Cannot read the folder of runs {output_root}: {error.strerror or error}.") from error
    levels = _levels_below(output_root, 2)
    folders = [folder for each in outer for folder in _run_folders(each, levels - 1)]
    folders.sort(key=_sort_key, reverse=True)
    return [read_run(folder, output_root) for folder in folders]


def choose_runs(output_root: Path, wanted: Sequence[str]) -> list[Run]:
    """Return the named runs: each text is a name below the output root, or the path of a folder.

    Raises:
        UserError: one does not exist, is not a run, or is named twice.
    """
    folders = [next((path for path in (output_root / text, Path(text)) if is_run(path)), None) for text in wanted]
    unknown = [text for text, folder in zip(wanted, folders, strict=True) if folder is None]
    if unknown:
        raise UserError(_unknown_runs(output_root, unknown))
    runs = [read_run(folder, output_root) for folder in folders if folder is not None]
    places = [run.path.resolve() for run in runs]
    twice = [text for index, text in enumerate(wanted) if places[index] in places[:index]]
    if twice:
        raise UserError(f"The run {twice[0]} is named twice. Name every run once.")
    return runs


def is_run(path: Path) -> bool:
    """Return whether a folder is a run: by its name `run-...`, or by its files."""
    try:
        if not path.is_dir():
            return False
    except OSError:
        return False
    return path.name.startswith("run-") or _exists(RunFolder(path).config) or _exists(path / _LOGBOOK)


def read_run(path: Path, output_root: Path | None = None) -> Run:
    """Read a run's folder; what cannot be read is listed in `problems`."""
    folder = RunFolder(path)
    problems: list[str] = []
    nothing: Mapping[str, Any] = {}
    config = _read_or_note(lambda _: folder.read_config(), folder.config, nothing, problems)
    rows = _numbers(_read_or_note(read_rows, path / _LOGBOOK, [], problems), problems)
    summary = _read_or_note(_read_summary, folder.summary, nothing, problems)
    if summary and not rows:
        problems.append(f"{path / _LOGBOOK} has no rows, so its epochs are not known.")
    measures = _read_or_note(lambda _: folder.read_measures(), folder.task, CLASSIFICATION, problems)
    model, data = (_section(config, name) for name in ("model", "data"))
    seed = summary.get("seed", config.get("seed"))
    return Run(
        path=path,
        name=_name(path, output_root),
        begun=_run_day(path),
        model=_text(summary.get("model", model.get("name"))),
        dataset=_text(summary.get("dataset", data.get("name"))),
        split=_text(summary.get("split", data.get("split"))),
        seed=_integer(seed),
        epochs_done=int(rows[-1]["epoch"]) + 1 if rows else None if problems else 0,
        epochs=_integer(config.get("epochs")),
        teachers=_teachers(path, config),
        state="finished" if summary else "diverged" if _exists(folder.divergence) else "unfinished",
        measures=measures,
        figures=_figures(rows, measures)
        | {name: value for name, value in _finite(summary).items() if name in _summary_figures(measures)},
        config=flatten(config),
        rows=rows,
        problems=[printable(problem)[:_LONGEST_PROBLEM] for problem in problems],
    )


def _summary_figures(measures: Measures) -> tuple[str, ...]:
    """Return the names of all numbers that a summary can have."""
    others = ("train_seconds", "clips_per_second", "skipped_batches", "parameters", "test_clips")
    return ("best_epoch", *measures.figures(), *others)


def _weights_prefix(rows: Sequence[Mapping[str, float]], measures: Measures) -> str:
    """Return the prefix of the columns of the reported weights."""
    return "ema_" if any(f"ema_test_{measures.primary}" in row for row in rows) else ""


def _read_or_note(read: Callable[[Path], Value], path: Path, otherwise: Value, problems: list[str]) -> Value:
    """Return what `read` reads; if it raises a UserError, append that to `problems` and return `otherwise`."""
    try:
        return read(path)
    except UserError as error:
        problems.append(str(error))
        return otherwise


def _read_summary(path: Path) -> Mapping[str, Any]:
    """Return the content of `summary.json`; empty if the run has none yet."""
    return read_json(path) if _exists(path) else {}


def _exists(path: Path) -> bool:
    """Return whether a file exists; False in a folder without access."""
    try:
        return path.exists()
    except OSError:
        return False


def _numbers(rows: Sequence[Row], problems: list[str]) -> list[dict[str, float]]:
    """Return the finite numbers of each row, without rows whose epoch is impossible."""
    good = [row for row in rows if 0 <= int(row["epoch"]) < _MOST_EPOCHS]
    if len(good) < len(rows):
        problems.append(f"{_LOGBOOK}: rows with impossible epochs are left out: {len(rows) - len(good)}.")
    return sorted(map(_finite, good), key=lambda row: row["epoch"])


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the entries that are finite numbers."""
    numbers: dict[str, float] = {}
    for name, value in values.items():
        try:
            if isinstance(value, int | float) and math.isfinite(value):
                numbers[name] = float(value)
        except OverflowError:  # an integer larger than every float
            continue
    return numbers


def _figures(rows: Sequence[Mapping[str, float]], measures: Measures) -> dict[str, float]:
    """Return the results in the rows of a logbook; the best epoch is chosen as in training."""
    if not rows:
        return {}
    columns = set[str]().union(*rows)
    primary, weights = measures.primary_metric, _weights_prefix(rows, measures)
    chooser = f"{weights}{'val' if f'{weights}val_{primary.name}' in columns else 'test'}_{primary.name}"
    choose = max if primary.higher_is_better else min
    best = choose(rows, key=lambda row: row.get(chooser, primary.worst))  # the first of equals
    final = next((row for row in reversed(rows) if f"{weights}test_{primary.name}" in row), rows[-1])
    speeds = [row["clips_per_second"] for row in rows if "clips_per_second" in row]
    figures = {
        "best_epoch": best["epoch"],
        **{f"best_{name}": best.get(f"{weights}test_{name}", math.nan) for name in measures.names},
        **{f"final_{name}": final.get(f"{weights}test_{name}", math.nan) for name in measures.names},
        "train_seconds": sum(row["seconds"] for row in rows if "seconds" in row),
        "clips_per_second": statistics.median(speeds) if speeds else math.nan,
        "skipped_batches": sum(row["skipped_batches"] for row in rows if "skipped_batches" in row),
    }
    return _finite(figures)


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = config.get(name)
    return section if isinstance(section, Mapping) else {}


def _text(value: object) -> str:
    return printable(str(value)) if isinstance(value, str | int | float) else ""


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _name(path: Path, output_root: Path | None) -> str:
    """Return the path below the output root; elsewhere the folder's name."""
    below = output_root is not None and path.absolute().is_relative_to(output_root.absolute())
    name = path.absolute().relative_to(output_root.absolute()).as_posix() if below and output_root else ""
    return printable(name or path.resolve().name)


def _folders(path: Path) -> Iterator[Path]:
    """Yield the visible subfolders of a folder, by name."""
    return (each for each in sorted(path.iterdir()) if not each.name.startswith(".") and _is_folder(each))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _run_folders(path: Path, levels: int) -> list[Path]:
    """Return a run's folder and its archives; for another folder the runs at most `levels` below it."""
    if is_run(path):
        return [path, *(each for each in path.glob("superseded*") if is_run(each))]
    levels = _levels_below(path, levels)
    try:
        inside = list(_folders(path)) if levels else []
    except OSError:  # a folder beside the runs need not be readable
        return []
    return [run for each in inside for run in _run_folders(each, levels - 1)]


def _levels_below(path: Path, levels: int) -> int:
    """Return how deep to search below a folder: in a sequence, runs are in subfolders by data set and model."""
    return max(levels, _SEQUENCE_LEVELS) if _exists(path / _SEQUENCE) else levels


def _teachers(path: Path, config: Mapping[str, Any]) -> list[str]:
    """Return the distinct names of a run's teachers."""
    return list(dict.fromkeys(printable(_teacher(path, each)) for each in teachers_in(config)))


def _teacher(path: Path, checkpoint: str) -> str:
    """Return the model of the run of a teacher's checkpoint; if that run is missing, its name.

    Student and teacher may have been moved together, so the search includes the folders beside the student.
    """
    parts = Path(checkpoint).parts
    beside = [path.parent.joinpath(*parts[-3:]), path.parent.parent.joinpath(*parts[-4:])]
    for path_of_teacher in (Path(checkpoint), *beside):
        run = RunFolder(path_of_teacher.parent.parent)
        try:
            model = _section(run.read_config(), "model").get("name") if _exists(run.config) else None
        except UserError:
            continue
        if isinstance(model, str):
            return model
    return parts[-3] if len(parts) > 2 else checkpoint


def _run_day(path: Path) -> date | None:
    """Return the day in a folder's name, else the day on which it was last written."""
    match = _DATED.search(path.name)
    if match is None:
        return modification_day(path)
    try:
        return date.fromisoformat(match[1])
    except ValueError:  # an impossible date
        return None


def _sort_key(path: Path) -> tuple[str, int, float]:
    """Return a key that orders folders from old to new: the day, the number within the day, the time of writing."""
    match = _DATED.search(path.name)
    try:
        written = path.stat().st_mtime
    except OSError:
        written = 0.0
    return str(_run_day(path) or ""), int((match and match[2]) or 1), written


def _unknown_runs(output_root: Path, unknown: Sequence[str]) -> str:
    """Return the message for runs that do not exist, with similar names."""
    known = [run.name for run in find_runs(output_root)]
    lines = []
    for text in unknown:
        what = "is a folder, but not a run's" if _is_folder(Path(text)) else f"is no run under {output_root}"
        near = difflib.get_close_matches(text, known, n=_NAMES_SUGGESTED, cutoff=0.5)
        advice = f" Did you mean {', '.join(near)}?" if near else ""
        lines.append(f"{text!r} {what}.{advice}")
    newest = ", ".join(known[:_NAMES_SUGGESTED])
    count = f" {_NAMES_SUGGESTED} of {len(known)} runs" if len(known) > _NAMES_SUGGESTED else ""
    lines.append(f"Newest{count} there: {newest}." if newest else f"There is no run under {output_root}.")
    return "\n".join(lines)
