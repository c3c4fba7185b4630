"""The table of a training sequence: what its run folders tell, as Markdown and JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..runs.folder import SEQUENCE_FILE, RunFolder
from ..runs.search import read_config_or_warn
from ..utils.config import MODEL_FILES
from ..utils.files import write_json, write_text
from ..utils.spread import mean_and_deviation
from .sequence_plan import ALONE, DISTILLED, TARGETS, TEACHER, Plan, Step

PLANNED, PENDING, RUNNING = "planned", "pending", "running"
DONE, STOPPED, DIVERGED = "done", "stopped", "diverged"
_FIRST_PLANNED_STEP = 4
_COLUMNS = (
    *("Step", "Model", "Data set", "Environment", "Status", "Target"),
    *("Top-1 %", "Top-1 % alone", "Gain", "Run"),
)
_KEPT = ("parameters", "best_epoch", "best_top1", "final_top1", "final_top5", "train_seconds", "finished")


@dataclass(frozen=True)
class Outcome:
    """What has become of one run: its status, its folder where it has begun, its summary where it is done."""

    seed: int
    status: str
    run: Path | None
    environment: str
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """A step with what has become of its runs."""

    step: Step
    outcomes: Sequence[Outcome]

    @property
    def status(self) -> str:
        """Return the status of the step: that of its runs, or `stopped` where some are done and none is running."""
        found = {outcome.status for outcome in self.outcomes}
        for status in (RUNNING, DIVERGED, STOPPED):
            if status in found:
                return status
        return found.pop() if len(found) == 1 else STOPPED

    @property
    def environment(self) -> str:
        """Return the environment that the runs were begun in, or will be."""
        known = [each.environment for each in self.outcomes if each.environment]
        return ", ".join(dict.fromkeys(known)) or self.step.config.environment

    @property
    def parameters(self) -> int | None:
        """Return the model's parameters; None before a run is done."""
        return next((int(each.summary["parameters"]) for each in self.outcomes if each.summary), None)

    @property
    def top1(self) -> dict[int, float]:
        """Return the percent right in the last epoch, by the seed, of the runs that are done."""
        return {each.seed: float(each.summary["final_top1"]) for each in self.outcomes if each.summary}


@dataclass(frozen=True)
class Spread:
    """A mean and its standard deviation over seeds; not a number where it is not known."""

    mean: float
    deviation: float

    def __str__(self) -> str:
        return self.text()

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the spread of some values."""
        return cls(*mean_and_deviation(values))

    @property
    def known(self) -> bool:
        """Tell whether there is a mean."""
        return math.isfinite(self.mean)

    def text(self, sign: str = "") -> str:
        """Return it in words, with a plus for gains where `sign` is one; a dash where it is not known."""
        if not self.known:
            return "-"
        return f"{self.mean:{sign}.2f}" + (f" ± {self.deviation:.2f}" if math.isfinite(self.deviation) else "")


@dataclass(frozen=True)
class Student:
    """What distillation gains for one student on one data set.

    Attributes:
        model: its name.
        parameters: how many it has; None before a run is done.
        alone, distilled: percent right in the last epoch.
        gain: of the distilled run over the one alone of the same seed, in points.
        errors_removed: the gain as a percentage of what the student alone gets wrong.
    """

    model: str
    parameters: int | None
    alone: Spread
    distilled: Spread
    gain: Spread
    errors_removed: float


@dataclass(frozen=True)
class DataResult:
    """What came of the sequence on one data set, its name and protocol; the smallest student comes first."""

    data: str
    teacher: Row
    students: Sequence[Student]

    @property
    def test_clips(self) -> int | None:
        """Return how many clips the runs are tested on; None before one is done, and of older runs."""
        counts = [each.summary.get("test_clips") for each in self.teacher.outcomes]
        return next((count for count in counts if isinstance(count, int)), None)


def read_rows(plan: Plan, running: tuple[Step, int] | None = None) -> list[Row]:
    """Return the table as the run folders tell it; `running` is the step and seed that is being trained.

    Raises:
        UserError: a run's configuration or summary cannot be read.
    """
    return [Row(step, [_outcome(step, seed, running == (step, seed)) for seed in step.seeds]) for step in plan.steps]


def results(rows: Sequence[Row]) -> list[DataResult]:
    """Return what came of it, one entry a data set in the order of the sequence."""
    found = []
    for teacher in (row for row in rows if row.step.role == TEACHER):
        mine = [row for row in rows if row.step.data == teacher.step.data]
        students = [_student(row, _partner(row, mine)) for row in mine if row.step.role == DISTILLED]
        order = [*MODEL_FILES, *(student.model for student in students)]
        students.sort(key=lambda student: order.index(student.model))
        found.append(DataResult(teacher.step.data, teacher, students))
    return found


def write_table(plan: Plan, running: tuple[Step, int] | None = None) -> list[Row]:
    """Write `sequence.md` and `sequence.json` into the sequence's folder and return their rows.

    Raises:
        UserError: a run's files cannot be read, or those two not written.
    """
    rows = read_rows(plan, running)
    write_text(plan.folder / "sequence.md", markdown(plan, rows))
    write_json(plan.folder / SEQUENCE_FILE, _facts(plan, rows))
    return rows


def markdown(plan: Plan, rows: Sequence[Row]) -> str:
    """Return the table as Markdown, with links to the runs relative to the sequence's folder."""
    lines = [_line(_COLUMNS), _line(["---"] * len(_COLUMNS)), *(_line(_cells(plan, row, rows)) for row in rows)]
    data = ", then ".join(dict.fromkeys(row.step.data for row in rows))
    seeds, teacher_seeds = (", ".join(map(str, each)) for each in (plan.request.seeds, plan.request.teacher_seeds))
    notes = (
        "Top-1 is percent of the test part right after the last epoch. Teachers teach as they are after their last "
        "epoch: to choose their best one on the test part would be to select on it. A gain is the distilled student's "
        f"top-1 minus that of the student alone with the same seed (students' seeds: {seeds}; teachers': "
        f"{teacher_seeds}); ± is the standard deviation over seeds."
    )
    return f"# Training sequence on {data}\n\n" + "\n".join(lines) + f"\n\n{notes}\n"


def find_step_run(step: Step, seed: int) -> RunFolder | None:
    """Return the newest run of a step with a seed, if there is one; its folder has runs of this step alone."""
    runs = map(RunFolder, Path(step.config.output_root).glob("run-*"))
    newest_first = sorted((run for run in runs if run.has_dated_name), key=lambda run: run.sort_key, reverse=True)
    return next((run for run in newest_first if read_config_or_warn(run).get("seed") == seed), None)


def _outcome(step: Step, seed: int, running: bool) -> Outcome:
    run = find_step_run(step, seed)
    if run is None:
        waiting = PLANNED if step.number >= _FIRST_PLANNED_STEP else PENDING
        return Outcome(seed, RUNNING if running else waiting, None, "", {})
    status = RUNNING if running else _status(run)
    summary = run.read_summary(("parameters", "final_top1"), ()) if status == DONE else {}
    return Outcome(seed, status, run.path, str(run.read_config().get("environment", "")), summary)


def _status(run: RunFolder) -> str:
    if run.finished:
        return DONE
    return DIVERGED if run.divergence.exists() else STOPPED


def _partner(row: Row, rows: Sequence[Row]) -> Row:
    """Return the row of the same student alone on the same data set."""
    name, data = row.step.config.model.name, row.step.data
    return next(
        each for each in rows if (each.step.role, each.step.config.model.name, each.step.data) == (ALONE, name, data)
    )


def _student(row: Row, partner: Row) -> Student:
    alone, distilled = partner.top1, row.top1
    both = [seed for seed in alone if seed in distilled]
    gain = Spread.of([distilled[seed] - alone[seed] for seed in both])
    wrong = 100.0 - mean_and_deviation([alone[seed] for seed in both])[0]
    return Student(
        row.step.config.model.name,
        partner.parameters,
        Spread.of(list(alone.values())),
        Spread.of(list(distilled.values())),
        gain,
        100.0 * gain.mean / wrong if wrong else math.nan,
    )


def _cells(plan: Plan, row: Row, rows: Sequence[Row]) -> list[str]:
    step = row.step
    role = {TEACHER: ", teacher", ALONE: "", DISTILLED: ", distilled"}[step.role]
    student = _student(row, _partner(row, rows)) if step.role == DISTILLED else None
    links = [f"[{each.run.name}]({each.run.relative_to(plan.folder).as_posix()})" for each in row.outcomes if each.run]
    return [
        str(step.number),
        f"{step.model}{role}",
        step.data,
        row.environment,
        row.status,
        TARGETS[step.number],
        Spread.of(list(row.top1.values())).text(),
        student.alone.text() if student else "",
        student.gain.text("+") if student else "",
        ", ".join(links),
    ]


def _place(plan: Plan, outcome: Outcome) -> str | None:
    """Return a run's folder as seen from the sequence's, which may be moved with all that is in it."""
    return None if outcome.run is None else outcome.run.relative_to(plan.folder).as_posix()


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _facts(plan: Plan, rows: Sequence[Row]) -> dict[str, Any]:
    """Return all there is to know, as plain values; an unknown number is null."""
    return {
        "settings": asdict(plan.request),
        "steps": [_row_facts(plan, row, rows) for row in rows],
        "gains": [
            {
                "data": result.data,
                "student": student.model,
                "parameters": student.parameters,
                "alone": _numbers(student.alone),
                "distilled": _numbers(student.distilled),
                "gain": _numbers(student.gain),
                "errors_removed_percent": _number(student.errors_removed),
            }
            for result in results(rows)
            for student in result.students
        ],
    }


def _row_facts(plan: Plan, row: Row, rows: Sequence[Row]) -> dict[str, Any]:
    step, config = row.step, row.step.config
    gain = _student(row, _partner(row, rows)).gain if step.role == DISTILLED else None
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
        "final_top1": _numbers(Spread.of(list(row.top1.values()))),
        "gain": None if gain is None else _numbers(gain),
        "runs": [
            {"seed": each.seed, "status": each.status, "run": _place(plan, each)}
            | {key: each.summary.get(key) for key in _KEPT}
            for each in row.outcomes
        ],
    }


def _numbers(spread: Spread) -> dict[str, float | None]:
    return {"mean": _number(spread.mean), "standard_deviation": _number(spread.deviation)}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
