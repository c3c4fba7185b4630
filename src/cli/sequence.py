"""`sequence`: train the teacher, the students alone and the students distilled, and show what distillation gains."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..utils.config import MODEL_FILES
from .options import GivenOnce, add_shared, count, examples, fill, names, numbers, time_limit
from .terminal import progress, say, table
from .train import show_tensorboard

if TYPE_CHECKING:
    from ..experiments.sequence.plan import Plan, SequenceSpec
    from ..experiments.sequence.table import DataResult

NEEDS = ("torch",)

_LAMBDA = "--teacher_set batch_size=32 --student_set batch_size=128"
_EXAMPLES = f"""
    {{program}} sequence --dataset ntu60 --then ntu120 --env lambda --amp {_LAMBDA}
    {{program}} sequence --dataset ntu60 --env kaggle --amp --max_hours 8.5
    {{program}} sequence --config nw_ucla --seeds 0,1,2 --teacher_seeds 0,1,2 --cached 20
    {{program}} sequence --dataset synthetic --teacher large_e --students nano_e,small_e --epochs 15
    torchrun --nproc_per_node 4 -m last sequence --dataset ntu60 --amp --batch_size 128 --set reference_batch_size=16
"""
_FLAGS = ("epochs", "batch_size", "amp", "compile", "max_hours", "device", "data_root", "output_root")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument(
        "--dataset", metavar="D", help="ntu60, ntu120, nw_ucla, sbu, synthetic, or the path of a data YAML"
    )
    parser.add_argument(
        "--split", metavar="NAME", help="its protocol, or the path of a text file, FILE.txt (default: the data set's)"
    )
    parser.add_argument("--then", metavar="D", help="repeat everything on a second data set")
    parser.add_argument("--then_split", metavar="NAME", help="the protocol of the second data set")
    parser.add_argument(
        "--config", dest="recipe", action=GivenOnce, metavar="FILE", help="a recipe for all runs, as for `train`"
    )
    parser.add_argument(
        "--teacher",
        metavar="M",
        help=f"one of {', '.join(MODEL_FILES)}, a model YAML (default: base)",
    )
    parser.add_argument(
        "--students",
        type=names,
        metavar="M,M",
        help="student models (default: base_e,nano_e,small_e,large_e)",
    )
    seeds = {"--teacher_seeds": "teacher (default: 0); several form an ensemble"}
    seeds["--seeds"] = "students (default: 0); several give mean and deviation"
    for option, whose in seeds.items():
        parser.add_argument(option, type=numbers, metavar="0,1,2", help=f"seeds of the {whose}")
    add_shared(parser, "--epochs", "--batch_size", "--amp", "--compile")
    parser.add_argument(
        "--cached",
        type=count,
        metavar="R",
        help="cache the teacher outputs for R augmented views of each clip (default: compute them in every step)",
    )
    parser.add_argument(
        "--max_hours",
        type=time_limit,
        metavar="H",
        help="save and stop the sequence after H hours; the same command resumes it (default: 0, never)",
    )
    add_shared(parser, "--env", "--data_root", "--output_root", "--device", "--set")
    for whose in ("teacher", "student"):
        parser.add_argument(
            f"--{whose}_set",
            dest=f"{whose}_settings",
            metavar="KEY=VALUE",
            nargs="+",
            action="extend",
            help=f"like --set, for the {whose}s only; overrides --set and the other options",
        )
    parser.epilog = examples(_EXAMPLES)


def run(arguments: argparse.Namespace) -> int:
    """Train the unfinished runs of the sequence and show the results; return the exit code."""
    from ..experiments.sequence.plan import plan_sequence
    from ..experiments.sequence.run import run_sequence
    from ..plots.figures import draws_or_warns
    from ..runs.pictures import draw_run
    from ..runtime.distributed import rank

    plan = plan_sequence(_spec(arguments))
    drawing = rank() == 0 and draws_or_warns("Drawing the picture")
    try:
        stopped = run_sequence(plan, progress(arguments.quiet), draw_run if drawing else None)
        if stopped is not None:
            stopped.raise_signal()
    except KeyboardInterrupt:
        if rank() == 0:
            _say_how_to_resume(plan)
        raise
    if rank() != 0:
        return 0
    if stopped is not None:
        _say_how_to_resume(plan)
    else:
        _show(plan, drawing)
    return 0


def _spec(arguments: argparse.Namespace) -> "SequenceSpec":
    from ..experiments.sequence.plan import SequenceSpec

    flags = {key: getattr(arguments, key) for key in _FLAGS}
    return fill(SequenceSpec, arguments, environment=arguments.env or "", settings=arguments.set, flags=flags)


def _say_how_to_resume(plan: "Plan") -> None:
    say(f"Progress: {plan.folder / 'sequence.md'}\nTo resume: the same command")
    if plan.steps[0].config.environment == "kaggle":
        say("In another session, with the output of this one attached: the same command")


def _show(plan: "Plan", drawing: bool) -> None:
    """Print and draw the gain from distillation on each data set."""
    from ..experiments.sequence.table import METRIC, read_rows, results

    rows = read_rows(plan)
    found = results(rows)
    for result in found:
        _show_result(result)
        if weak := _students_above_teacher(result):
            say(f"The teacher is less accurate than {weak} alone, so distillation can gain little: train it longer.")
        say()
    worth = "".join(map(_worth_of_a_clip, found))
    title = METRIC.title.capitalize()
    say(f"{title} of the last epoch on the test part. Gain: distilled minus alone, seed by seed.{worth}")
    say(f"The table is in {plan.folder / 'sequence.md'} and, with all figures, in sequence.json beside it")
    if drawing:
        _draw(found, plan.folder / "sequence.png")
    runs = [run_status.run for row in rows for run_status in row.runs if run_status.run is not None]
    show_tensorboard(plan.folder, runs)
    say(f"The sequence is in {plan.folder}")


def _worth_of_a_clip(result: "DataResult") -> str:
    """Return a sentence with the weight of one test clip, if the test part is small; else an empty string."""
    from ..plots.figures import worth_of_a_clip

    worth = worth_of_a_clip(result.test_clips).lstrip("; ")
    return f" {result.data}: {worth}." if worth else ""


def _students_above_teacher(result: "DataResult") -> str:
    """Return the names of the students that are better alone than the mean teacher."""
    teacher = result.teacher.spread.mean
    return ", ".join(student.title for student in result.students if student.alone.mean > teacher)


def _show_result(result: "DataResult") -> None:
    teacher = result.teacher
    rows = [
        [
            f"{teacher.step.config.model.title} (teacher)",
            _count(teacher.parameters),
            teacher.spread.text(),
            *("", "", ""),
        ]
    ]
    rows += [
        [
            student.title,
            _count(student.parameters),
            student.alone.text(),
            student.distilled.text(),
            student.gain.text("+"),
            f"{student.errors_removed:.0f} %" if student.errors_removed > 0 else "-",
        ]
        for student in result.students
    ]
    table(result.data, ["model", "parameters", "alone %", "distilled %", "gain", "of its errors removed"], rows)


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _draw(found: "list[DataResult]", path: Path) -> None:
    from ..experiments.sequence.figure import draw_sequence

    draw_sequence(found, path)
    say(f"The picture is in {path}; each run's training curve and confusion matrix are in its folder")
