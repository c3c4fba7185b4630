"""`evaluate`: evaluate a trained model and write a report."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..evaluation.choices import STATISTICS, SUBSETS
from ..settings.splits import is_split_file
from ..tasks.measures import CLASSIFICATION
from .folders import CHECKPOINT_HELP, checkpoint_of, results_folder
from .options import add_shared, examples, fill, seconds, share
from .terminal import progress, say, table

if TYPE_CHECKING:
    from ..evaluation.evaluate import EvalRequest, EvalResult

NEEDS = ("torch",)

_WORST_SHOWN = 10
_DROPPED = {"joints": "each body's joints", "limbs": "each body's limbs", "frames": "each body's frames"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("--checkpoint", required=True, metavar="PATH", help=CHECKPOINT_HELP)
    parser.add_argument("--subset", choices=SUBSETS, help="part of the protocol (default: test)")
    parser.add_argument("--dataset", metavar="D", help="another data set with the same classes")
    parser.add_argument("--split", metavar="NAME", help="a protocol other than the run's, or a text file, FILE.txt")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the report (default: <run>/evaluation/<checkpoint>-<subset>, plus other options; for a "
        "read-only run, in the output folder)",
    )
    parser.add_argument(
        "--no_ema", action="store_true", help="evaluate the trained weights instead of their moving average (ema.decay)"
    )
    parser.add_argument(
        "--statistics",
        choices=STATISTICS,
        help="BatchNorm statistics: running (from training), measured (over training clips) or auto (default: as the "
        "run was tested)",
    )
    parser.add_argument(
        "--metric",
        dest="metrics",
        action="append",
        metavar="NAME",
        help="a further metric, beside those of the run: a module of last.evaluation.clip_metrics; repeatable",
    )
    for name, what in _DROPPED.items():
        parser.add_argument(
            f"--drop_{name}", type=share, metavar="SHARE", help=f"test with this share of {what} missing"
        )
    parser.add_argument(
        "--shortest_event",
        type=seconds,
        metavar="SECONDS",
        help="in long recordings: shorter runs of predicted frames become part of the longer one beside them",
    )
    add_shared(parser, "--env", "--data_root", "--output_root", "--device")
    parser.epilog = examples(
        """
        {program} evaluate --checkpoint runs/run-2026-11-23/checkpoints/best_model.pth
        {program} evaluate --checkpoint runs/run-2026-11-23/checkpoints/last.pth --subset train --out report
        {program} evaluate --checkpoint runs/run-2026-11-23/checkpoints/last.pth --statistics running
        {program} evaluate --checkpoint runs/run-2026-11-23/checkpoints/last.pth --drop_joints 0.3
        """
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print the results and the folder of the report; return the exit code."""
    from ..evaluation.evaluate import EvalRequest, evaluate

    checkpoint = checkpoint_of(arguments, arguments.checkpoint)
    request = fill(EvalRequest, arguments, checkpoint=checkpoint, environment=arguments.env or "")
    out = arguments.out or results_folder(arguments, request.checkpoint, "evaluation", _folder_parts(request))
    result = evaluate(request, out, progress(arguments.quiet))
    show(result)
    say(f"The report is in {out}")
    return 0


def show(result: "EvalResult") -> None:
    """Print the results of an evaluation and its worst classes."""
    from ..evaluation.recording_report import rows as rows_of

    metrics, facts = result.metrics, result.facts
    title = f"{facts['model']} on {facts['dataset']} {facts['split']}, {facts['subset']} part"
    rows = [
        ["clips", str(sum(each.clips for each in metrics.per_class))],
        *([each.title, f"{getattr(metrics, each.name):.2f} %"] for each in CLASSIFICATION.metrics),
        ["mean class accuracy", f"{metrics.mean_class_accuracy:.2f} %"],
        *([metric.title, f"{metric.text(value).strip()} {metric.unit}".strip()] for metric, value in result.added),
        ["loss", f"{metrics.loss:.4f}"],
    ]
    if missing := int(metrics.unusable.sum()):
        rows.insert(1, ["unusable clips, counted as not recognised", str(missing)])
    table(title, ["figure", "value"], rows)
    if result.recordings is not None:
        table("whole recordings, from the windows over them", ["figure", "value"], rows_of(result.recordings))
    names = result.class_names
    tested = [each for each in metrics.per_class if each.accuracy is not None]
    worst = sorted(tested, key=lambda each: each.accuracy or 0.0)[:_WORST_SHOWN]
    shown = [
        [
            names[each.index],
            each.clips,
            f"{each.accuracy:.1f}",
            "" if each.confused_with is None else f"{names[each.confused_with]} ({each.confused_count})",
        ]
        for each in worst
    ]
    which = f"{len(worst)} of {len(tested)}" if len(worst) < len(tested) else f"all {len(tested)}"
    table(f"{which} classes, worst first", ["class", "clips", "accuracy %", "most often taken for"], shown)


def _folder_parts(request: "EvalRequest") -> list[str]:
    """Return the parts of the report folder's name: the checkpoint, and options that differ from the run's."""
    split = Path(request.split).stem if is_split_file(request.split) else request.split
    parts = [request.checkpoint.stem, Path(request.dataset).stem, split, request.subset]
    parts += ["no_ema"] if request.no_ema else []
    parts += [request.statistics] if request.statistics != "auto" else []
    parts += [f"shortest_{request.shortest_event:g}"] if request.shortest_event else []
    return parts + [f"{share:g}_{name}_dropped" for name, share in request.dropped.items()]
