"""`sweep`: train named variants of one training side by side, and tell which differ; or search for better settings."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..utils.config import MODEL_FILES
from ..utils.errors import UserError
from .options import GivenOnce, add_shared, count, examples, fill, names, numbers, time_limit
from .split_options import add_fold_option, add_folds_options, fold_choice
from .sweep_search import add_search_options, run_and_show, searches
from .terminal import progress, say, table

if TYPE_CHECKING:
    from ..experiments.sweep.plan import SweepPlan, SweepSpec
    from ..experiments.sweep.results import Outcome

NEEDS = ("torch",)

_NO_MIRROR = "--variant no_mirror data.augment.mirror_probability=0"
_MIRROR = "--variant mirror data.augment.mirror_probability=0.5"
_TURNS = "--variant no_turns data.augment.rotation_degrees=[]"
_SEARCH = "--search learning_rate=0.05..0.8 data.augment.mix_add=0..0.6 epochs=8..70"
_SEARCHED_LISTS = "--search batch_size=16,32,64 ema.decay=0,0.99,0.999"
_EXAMPLES = f"""
    {{program}} sweep --config nw_ucla --splits view1to2,view2to1 --seeds 0,1,2 --epochs 30 {_NO_MIRROR} {_TURNS}
    {{program}} sweep --model nano_e --dataset mine.yaml --split_by subject --folds 5 {_MIRROR}
    {{program}} sweep --config nw_ucla --seeds 0,1 --set validation=split --variant slow learning_rate=0.05 epochs=140
    {{program}} sweep --config nw_ucla --splits view1to2 {_SEARCH} --budget_hours 2
    {{program}} sweep --model nano_e --dataset mine.yaml --set validation=split {_SEARCHED_LISTS} --budget_hours 8
"""
_FLAGS = ("epochs", "batch_size", "amp", "compile", "max_hours", "device", "data_root", "output_root")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("--model", metavar="M", help=f"one of {', '.join(MODEL_FILES)}, or the path of a model's YAML")
    parser.add_argument(
        "--dataset", metavar="D", help="ntu60, ntu120, nw_ucla, sbu, synthetic, or the path of a data YAML"
    )
    parser.add_argument(
        "--config", dest="recipe", action=GivenOnce, metavar="FILE", help="the recipe of all runs, as for `train`"
    )
    parser.add_argument(
        "--variant",
        dest="variant_settings",
        nargs="+",
        action="append",
        default=[],
        metavar=("NAME", "KEY=VALUE"),
        help="a variant of the training: its name, then what it changes; may be given several times",
    )
    parser.add_argument(
        "--splits",
        type=names,
        metavar="NAME,NAME",
        help="protocols, each trained and tested; folds may be added (default: the data set's)",
    )
    add_folds_options(parser)
    add_fold_option(parser)
    parser.add_argument("--seeds", type=numbers, metavar="0,1,2", help="train each variant with each (default: 0)")
    parser.add_argument(
        "--jobs", type=count, metavar="N", help="runs side by side (default: one per core; one on a GPU)"
    )
    add_search_options(parser)
    parser.add_argument("--name", help="name of the sweep, for its folder (default: the data set's and the model's)")
    add_shared(parser, "--epochs", "--batch_size", "--amp", "--compile")
    parser.add_argument(
        "--max_hours",
        type=time_limit,
        metavar="H",
        help="save and stop the sweep after H hours; the same command resumes it (default: 0, never)",
    )
    add_shared(parser, "--env", "--data_root", "--output_root", "--device", "--set")
    parser.epilog = examples(_EXAMPLES)


def run(arguments: argparse.Namespace) -> int:
    """Train the unfinished runs of the sweep and show the results; return the exit code."""
    from ..experiments.sweep.plan import plan_sweep
    from ..experiments.sweep.results import DIVERGED, FAILED
    from ..experiments.sweep.run import run_sweep
    from ..plots.figures import draws_or_warns
    from ..runs.pictures import draw_run
    from ..utils.errors import TrainingDiverged

    is_search = searches(arguments)
    jobs = arguments.jobs or _default_jobs(arguments)
    if is_search:
        return run_and_show(arguments, _spec(arguments, jobs), jobs)
    plan = plan_sweep(_spec(arguments, jobs))
    drawing = draws_or_warns("Drawing the picture")
    try:
        outcomes = run_sweep(plan, jobs, progress(arguments.quiet), draw_run if drawing else None)
    except KeyboardInterrupt:
        say(f"Progress: {plan.folder / 'sweep.md'}\nTo resume: the same command")
        raise
    _show(plan, outcomes, drawing)
    if failed := [each for each in outcomes if each.status == FAILED]:
        first = f"{failed[0].run.title}: {failed[0].reason}"
        raise UserError(f"{len(failed)} of {len(outcomes)} runs could not be trained. {first}")
    if all(each.status == DIVERGED for each in outcomes):
        raise TrainingDiverged("All runs of the sweep diverged.")
    return 0


def _default_jobs(arguments: argparse.Namespace) -> int:
    from ..runtime.precision import usable_device
    from ..utils.machine import usable_cores

    return usable_cores() if usable_device(arguments.device or "auto").type == "cpu" else 1


def _spec(arguments: argparse.Namespace, jobs: int) -> "SweepSpec":
    from ..experiments.sweep.plan import SweepSpec
    from ..utils.machine import usable_cores

    arguments.split = None  # a sweep has --splits, beside which folds may stand
    named = [name for name, *_ in arguments.variant_settings]
    if len(set(named)) != len(named):
        raise UserError(f"--variant has a name twice: {', '.join(named)}.")
    return fill(
        SweepSpec,
        arguments,
        environment=arguments.env or "",
        folds=fold_choice(arguments),
        variants={name: settings for name, *settings in arguments.variant_settings},
        settings=arguments.set,
        flags={key: getattr(arguments, key) for key in _FLAGS},
        threads=max(1, usable_cores() // jobs),
    )


def _show(plan: "SweepPlan", outcomes: "list[Outcome]", drawing: bool) -> None:
    """Print and draw the results of all variants."""
    from ..experiments.sweep.figure import draw_sweep
    from ..experiments.sweep.report import columns, compared_clips, notes, row
    from ..experiments.sweep.results import DIVERGED, FAILED, PENDING, STOPPED, compare

    results = compare(plan, outcomes)
    title = plan.runs[0].config.title
    table(title, columns(plan), [row(plan, each) for each in results])
    for sentence in notes(plan, results):
        say(sentence)
    for each in outcomes:
        if each.status in (DIVERGED, FAILED):
            say(f"{each.run.title}: {each.text()}")
    if left := sum(each.status in (STOPPED, PENDING) for each in outcomes):
        say(f"{left} of {len(outcomes)} runs are not finished. To resume: the same command")
    if drawing and any(each.difference is not None for each in results):
        picture: Path = plan.folder / "sweep.png"
        draw_sweep(results, title, compared_clips(plan), picture)
        say(f"The picture is in {picture}")
    say(f"The table is in {plan.folder / 'sweep.md'} and, with all figures, in sweep.json beside it")
