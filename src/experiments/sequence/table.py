"""The table of a training sequence, read from its run folders: status and results, as Markdown and JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...runs.folder import SEQUENCE_FILE, RunFolder
from ...runs.history import FoundRun, newest_run
from ...tasks.measures import CLASSIFICATION
from ...utils.config import MODEL_FILES
from ...utils.files import write_json, write_text
from ...utils.markdown import markdown_table
from ...utils.spread import MeanDeviation, finite_or_none
from .plan import ALONE, DISTILLED, TARGETS, TEACHER, Plan, SequenceStep

PLANNED, PENDING, RUNNING = "planned", "pending", "running"
DONE, STOPPED, DIVERGED = "done", "stopped", "diverged"
METRIC = CLASSIFICATION.primary_metric
_FIRST_PLANNED_STEP = 4
_TITLE, _FINAL = METRIC.title.capitalize(), f"final_{METRIC.name}"
_COLUMNS = (
    *("Step", "Model", "Data set", "Environment", "Status", "Target"),
    *(f"{_TITLE} %", f"{_TITLE} % alone", "Gain", "Run"),
)
_FIGURES = (f"best_{METRIC.name}", *(f"final_{name}" for name in CLASSIFICATION.names))
_KEPT = ("parameters", "best_epoch", *_FIGURES, "train_seconds", "finished")


@dataclass(frozen=True)
class RunStatus:
    """The status of one run; its folder if it has started, its summary if it is done."""

    seed: int
    status: str
    run: Path | None
    environment: str
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class TableRow:
    """A step with the status of its runs."""

    step: SequenceStep
    runs: Sequence[RunStatus]

    @property
    def status(self) -> str:
        """Return the status of the step: that of its runs, or `stopped` if some are done and none is running."""
        found = {run_status.status for run_status in self.runs}
        for status in (RUNNING, DIVERGED, STOPPED):
            if status in found:
                return status
        return found.pop() if len(found) == 1 else STOPPED

    @property
    def environment(self) -> str:
        """Return the environment of the runs, or of the plan before the first run."""
        known = [each.environment for each in self.runs if each.environment]
        return ", ".join(dict.fromkeys(known)) or self.step.config.environment

    @property
    def parameters(self) -> int | None:
        """Return the number of parameters; None before a run is done."""
        return next((int(each.summary["parameters"]) for each in self.runs if each.summary), None)

    @property
    def accuracies(self) -> dict[int, float]:
        """Return the accuracy of the last epoch in percent, by seed, of the runs that are done."""
        return {each.seed: float(each.summary[_FINAL]) for each in self.runs if each.summary}

    @property
    def spread(self) -> MeanDeviation:
        """Return mean and deviation of the accuracies over the seeds."""
        return MeanDeviation.of(list(self.accuracies.values()))


@dataclass(frozen=True)
class Student:
    """The gain from distillation for one student on one data set.

    Attributes:
        model, title: its name, and that with its streams and switches.
        parameters: their number; None before a run is done.
        alone, distilled: accuracy of the last epoch in percent.
        gain: the distilled run minus the run alone with the same seed, in percentage points.
        errors_removed: the gain as a percentage of the errors of the student alone.
    """

    model: str
    title: str
    parameters: int | None
    alone: MeanDeviation
    distilled: MeanDeviation
    gain: MeanDeviation
    errors_removed: float


@dataclass(frozen=True)
class DataResult:
    """The results on one data set and protocol, the smallest student first."""

    data: str
    teacher: TableRow
    students: Sequence[Student]

    @property
    def test_clips(self) -> int | None:
        """Return the number of test clips; None before a run is done, and for older runs."""
        counts = [each.summary.get("test_clips") for each in self.teacher.runs]
        return next((count for count in counts if isinstance(count, int)), None)


def read_rows(plan: Plan, running: tuple[SequenceStep, int] | None = None) -> list[TableRow]:
    """Read the table from the run folders; `running` is the step and seed in training.

    Raises:
        UserError: a run's configuration or summary cannot be read.
    """
    return [
        TableRow(step, [_run_status(step, seed, running == (step, seed)) for seed in step.seeds]) for step in plan.steps
    ]


def results(rows: Sequence[TableRow]) -> list[DataResult]:
    """Return the results, one entry per data set in the order of the sequence."""
    found = []
    for teacher in (row for row in rows if row.step.role == TEACHER):
        mine = [row for row in rows if row.step.data == teacher.step.data]
        students = [_student(row, _baseline_row(row, mine)) for row in mine if row.step.role == DISTILLED]
        order = [*MODEL_FILES, *(student.model for student in students)]
        students.sort(key=lambda student: order.index(student.model))
        found.append(DataResult(teacher.step.data, teacher, students))
    return found


def write_table(plan: Plan, running: tuple[SequenceStep, int] | None = None) -> list[TableRow]:
    """Write `sequence.md` and `sequence.json` into the sequence's folder and return their rows.

    Raises:
        UserError: a run's files cannot be read, or those two not written.
    """
    rows = read_rows(plan, running)
    write_text(plan.folder / "sequence.md", markdown(plan, rows))
    write_json(plan.folder / SEQUENCE_FILE, _facts(plan, rows))
    return rows


def markdown(plan: Plan, rows: Sequence[TableRow]) -> str:
    """Return the table as Markdown, with links to the runs relative to the sequence's folder."""
    table = markdown_table(_COLUMNS, [_cells(plan, row, rows) for row in rows])
    data = ", then ".join(dict.fromkeys(row.step.data for row in rows))
    seeds, teacher_seeds = (", ".join(map(str, each)) for each in (plan.spec.seeds, plan.spec.teacher_seeds))
    notes = (
        f"{_TITLE} is the accuracy on the test part after the last epoch, in percent. Teachers are taken from their "
        "last epoch: choosing their best epoch on the test part would select on it. A gain is the distilled student's "
        f"{METRIC.title} minus that of the student alone with the same seed (students' seeds: {seeds}; teachers': "
        f"{teacher_seeds}); ± is the standard deviation over seeds."
    )
    return f"# Training sequence on {data}\n\n{table}\n\n{notes}\n"


def find_step_run(step: SequenceStep, seed: int) -> FoundRun | None:
    """Return the newest run of a step with a seed, if there is one; each step has its own output folder."""
    return newest_run(Path(step.config.output_root), lambda _, config: config.get("seed") == seed)


def _run_status(step: SequenceStep, seed: int, running: bool) -> RunStatus:
    found = find_step_run(step, seed)
    if found is None:
        waiting = PLANNED if step.number >= _FIRST_PLANNED_STEP else PENDING
        return RunStatus(seed, RUNNING if running else waiting, None, "", {})
    run, config = found
    status = RUNNING if running else _status(run)
    summary = run.read_summary(("parameters", _FINAL), ()) if status == DONE else {}
    return RunStatus(seed, status, run.path, str(config.get("environment", "")), summary)


def _status(run: RunFolder) -> str:
    if run.finished:
        return DONE
    return DIVERGED if run.divergence.exists() else STOPPED


def _baseline_row(row: TableRow, rows: Sequence[TableRow]) -> TableRow:
    """Return the row of the same student alone on the same data set."""
    name, data = row.step.config.model.name, row.step.data
    return next(
        each for each in rows if (each.step.role, each.step.config.model.name, each.step.data) == (ALONE, name, data)
    )


def _student(row: TableRow, baseline: TableRow) -> Student:
    alone, distilled = baseline.accuracies, row.accuracies
    both = [seed for seed in alone if seed in distilled]
    gain = MeanDeviation.of([distilled[seed] - alone[seed] for seed in both])
    wrong = 100.0 - MeanDeviation.of([alone[seed] for seed in both]).mean
    return Student(
        row.step.config.model.name,
        row.step.config.model.title,
        baseline.parameters,
        baseline.spread,
        row.spread,
        gain,
        100.0 * gain.mean / wrong if wrong else math.nan,
    )


def _cells(plan: Plan, row: TableRow, rows: Sequence[TableRow]) -> list[str]:
    step = row.step
    role = {TEACHER: ", teacher", ALONE: "", DISTILLED: ", distilled"}[step.role]
    student = _student(row, _baseline_row(row, rows)) if step.role == DISTILLED else None
    links = [f"[{each.run.name}]({each.run.relative_to(plan.folder).as_posix()})" for each in row.runs if each.run]
    return [
        str(step.number),
        f"{step.model}{role}",
        step.data,
        row.environment,
        row.status,
        TARGETS[step.number],
        row.spread.text(),
        student.alone.text() if student else "",
        student.gain.text("+") if student else "",
        ", ".join(links),
    ]


def _relative_run(plan: Plan, run_status: RunStatus) -> str | None:
    """Return the path of a run relative to the sequence's folder, which may be moved."""
    return None if run_status.run is None else run_status.run.relative_to(plan.folder).as_posix()


def _facts(plan: Plan, rows: Sequence[TableRow]) -> dict[str, Any]:
    """Return the content of `sequence.json`; an unknown number is None."""
    return {
        "settings": asdict(plan.spec),
        "steps": [_row_facts(plan, row, rows) for row in rows],
        "gains": [
            {
                "data": result.data,
                "student": student.model,
                "parameters": student.parameters,
                "alone": student.alone.facts(),
                "distilled": student.distilled.facts(),
                "gain": student.gain.facts(),
                "errors_removed_percent": finite_or_none(student.errors_removed),
            }
            for result in results(rows)
            for student in result.students
        ],
    }


def _row_facts(plan: Plan, row: TableRow, rows: Sequence[TableRow]) -> dict[str, Any]:
    step, config = row.step, row.step.config
    gain = _student(row, _baseline_row(row, rows)).gain if step.role == DISTILLED else None
    return {
        "step": step.number,
        "role": step.role,
        "model": config.model.name,
        "dataset": config.data.name,
        "split": config.data.split,
        "environment": row.environment,
        "status": row.status,
        "target": TARGETS[step.number],
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        _FINAL: row.spread.facts(),
        "gain": None if gain is None else gain.facts(),
        "runs": [
            {"seed": each.seed, "status": each.status, "run": _relative_run(plan, each)}
            | {key: each.summary.get(key) for key in _KEPT}
            for each in row.runs
        ],
    }
