"""The results of a run, read from its folder.

A folder may be incomplete, damaged or foreign. What is readable is read, and the rest is reported.
"""

import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from ..settings.distillation import teachers_in
from ..settings.model import model_title
from ..tasks.measures import CLASSIFICATION, Measures
from ..utils.dotted_keys import flatten
from ..utils.errors import UserError
from ..utils.files import read_json
from ..utils.foreign_text import printable
from ..utils.numbers import counted
from .folder import RunFolder
from .logbook import Row, read_rows

Value = TypeVar("Value")

_TERM = re.compile(r"train_(\w{1,40})_loss", re.ASCII)
_MOST_EPOCHS = 1_000_000_000
_LONGEST_PROBLEM = 160


@dataclass(frozen=True)
class Run:
    """The content of a run's folder. An unknown text is empty, an unknown integer None, another unknown number NaN.

    Attributes:
        path, name: its folder, and its name: the path below the output root, else the folder's name.
        begun: the day in its name, else the day on which its folder was last written.
        model, dataset, split, seed: what was trained, on what.
        model_title: the model with its streams and switches, where these are not the usual ones.
        epochs_done, epochs: the number of finished epochs, and of configured ones.
        teachers: the models of a distilled run's teachers, or their checkpoints if unknown; empty for other runs.
        peers: how many further networks it learned with, and from; 0 for other runs.
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
    model_title: str = ""
    teachers: Sequence[str] = ()
    peers: int = 0
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
    def learned_from(self) -> list[str]:
        """Return what it learned from beside the labels: its teachers or its peers."""
        return [*self.teachers, *([counted(self.peers, "peer")] if self.peers else [])]

    @property
    def title(self) -> str:
        """Return the model, the data, and what it learned from beside the labels."""
        return ", ".join(filter(None, [f"{self.model_title} on {self.data}", self.distillation_label]))

    @property
    def distillation_label(self) -> str:
        """Return for a title which teachers a run learned from, or with how many peers; empty for other runs."""
        if self.teachers:
            return f"distilled from {' and '.join(self.teachers)}"
        return f"trained with {counted(self.peers, 'peer')}" if self.peers else ""

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


def read_run(path: Path, output_root: Path | None = None) -> Run:
    """Read a run's folder; what cannot be read is listed in `problems`."""
    folder = RunFolder(path)
    problems: list[str] = []
    nothing: Mapping[str, Any] = {}
    config = _read_or_note(lambda _: folder.read_config(), folder.config, nothing, problems)
    rows = _numbers(_read_or_note(read_rows, folder.logbook, [], problems), problems)
    summary = _read_or_note(_read_summary, folder.summary, nothing, problems)
    if summary and not rows:
        problems.append(f"{folder.logbook} has no rows, so its epochs are not known.")
    measures = _read_or_note(lambda _: folder.read_measures(), folder.task, CLASSIFICATION, problems)
    model, data = (_section(config, name) for name in ("model", "data"))
    seed = summary.get("seed", config.get("seed"))
    return Run(
        path=path,
        name=_name(path, output_root),
        begun=folder.begun,
        model=_text(summary.get("model", model.get("name"))),
        model_title=printable(model_title(model)) or _text(summary.get("model")),
        dataset=_text(summary.get("dataset", data.get("name"))),
        split=_text(summary.get("split", data.get("split"))),
        seed=_integer(seed),
        epochs_done=int(rows[-1]["epoch"]) + 1 if rows else None if problems else 0,
        epochs=_integer(config.get("epochs")),
        teachers=_teachers(path, config),
        peers=_integer(_section(config, "distillation").get("peers")) or 0,
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
        problems.append(f"metrics.jsonl: rows with impossible epochs are left out: {len(rows) - len(good)}.")
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


def _teachers(path: Path, config: Mapping[str, Any]) -> list[str]:
    """Return the distinct names of a run's teachers."""
    return list(dict.fromkeys(printable(_teacher(path, each)) for each in teachers_in(config)))


def _teacher(path: Path, checkpoint: str) -> str:
    """Return the model of the run of a teacher's checkpoint; if that run is missing, its name."""
    parts = Path(checkpoint).parts
    for path_of_teacher in places_of_teacher(path, checkpoint):
        run = RunFolder(path_of_teacher.parent.parent)
        try:
            model = model_title(_section(run.read_config(), "model")) if _exists(run.config) else ""
        except UserError:
            continue
        if model:
            return model
    return parts[-3] if len(parts) > 2 else checkpoint


def places_of_teacher(path: Path, checkpoint: str) -> list[Path]:
    """Return the paths at which a teacher of the run `path` may be: its checkpoint's own, and those beside the run.

    Student and teacher may have been moved together.
    """
    parts = Path(checkpoint).parts
    return [Path(checkpoint), path.parent.joinpath(*parts[-3:]), path.parent.parent.joinpath(*parts[-4:])]
