"""`evaluate`: evaluate a trained model and write a report."""

import argparse
import hashlib
import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..evaluation.choices import STATISTICS, SUBSETS, WEIGHTS
from ..settings.splits import is_split_file
from ..utils.files import refuse_unwritable
from ..utils.program import program
from .evaluate_output import show
from .folders import CHECKPOINT_HELP, checkpoint_of, results_folder
from .options import add_shared, check_bounds, degrees, examples, fill, seconds, share
from .terminal import progress, say

if TYPE_CHECKING:
    from ..evaluation.request import EvalRequest

NEEDS = ("torch",)

_VALUES = (
    *("subset", "dataset", "split", "statistics", "drop_joints", "drop_limbs", "drop_frames", "shortest_event"),
    *("weights", "crops", "env", "data_root", "device"),
)
_FLAGS = ("no_ema", "mirror", "details", "robustness")
_MOST_CROPS = 64
_DROPPED = {"joints": "each body's joints", "limbs": "each body's limbs", "frames": "each body's frames"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument(
        "--checkpoint",
        required=True,
        action="append",
        metavar="PATH",
        help=f"{CHECKPOINT_HELP}; given several times, the probabilities of all are summed",
    )
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
        "--no_ema", action="store_true", help="evaluate the trained weights instead of their average (ema)"
    )
    parser.add_argument(
        "--statistics",
        choices=STATISTICS,
        help="BatchNorm statistics: running (from training), measured (over training clips), unaugmented (the same, "
        "but not turned, scaled or mixed) or auto (default: as the run was tested)",
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
    _add_further(parser)
    add_shared(parser, "--env", "--data_root", "--output_root", "--device")
    parser.epilog = examples(
        """
        {program} evaluate --checkpoint runs/run-2026-11-23/checkpoints/best_model.pth
        {program} evaluate --checkpoint runs/run-2026-11-23/checkpoints/last.pth --subset train --out report
        {program} evaluate --checkpoint runs/run-2026-11-23/checkpoints/last.pth --statistics running
        {program} evaluate --checkpoint runs/run-2026-11-23/checkpoints/last.pth --drop_joints 0.3
        {program} evaluate --checkpoint latest --crops 5 --turns -15 15 --mirror
        {program} evaluate --checkpoint runs/joint --checkpoint runs/bone --weights train
        {program} evaluate --checkpoint latest --compare runs/run-2026-11-22
        {program} evaluate --checkpoint latest --details
        {program} evaluate --checkpoint latest --robustness --report report.html
        """
    )


def _add_further(parser: argparse.ArgumentParser) -> None:
    """Add the options of what is measured beside the plain figures."""
    parser.add_argument(
        "--weights",
        choices=WEIGHTS,
        help="of several checkpoints: equal (default), or train: found on the training clips that all of them held out",
    )
    parser.add_argument(
        "--compare",
        metavar="PATH",
        help="also test another checkpoint or run on the same clips: the difference with its interval, McNemar's test",
    )
    parser.add_argument(
        "--crops",
        type=int,
        metavar="N",
        help="also average N samplings of each clip, 2 or more, in a column of its own",
    )
    parser.add_argument(
        "--turns",
        type=degrees,
        nargs="+",
        metavar="DEGREES",
        help="also average each clip with itself turned about the vertical, such as --turns -15 15",
    )
    parser.add_argument("--mirror", action="store_true", help="also average each clip with its mirror image")
    parser.add_argument(
        "--details",
        action="store_true",
        help="also measure intervals, the confusions that cost most, calibration, each stream's worth, best and last "
        "epoch and cost, and write details.json",
    )
    parser.add_argument(
        "--robustness",
        action="store_true",
        help="also test disturbed clips: missing joints, hidden limbs, dropped frames, jitter, a turned camera, lower "
        "frame rates, each at several levels (about 25 times as long), and write robustness.json and a picture",
    )
    parser.add_argument(
        "--report",
        nargs="?",
        type=Path,
        const=Path(),
        metavar="FILE",
        help="also write all of it, with details, as one HTML page (default: report.html in the folder of the report)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print the results and the folder of the report; return the exit code."""
    from ..evaluation.evaluate import evaluate
    from ..evaluation.request import EvalRequest, Further, TestTime

    if arguments.crops is not None:
        check_bounds(arguments, crops=(2, _MOST_CROPS))
    first, *others = [checkpoint_of(arguments, named) for named in arguments.checkpoint]
    request = fill(
        EvalRequest,
        arguments,
        checkpoint=first,
        members=others,
        compare=None if arguments.compare is None else checkpoint_of(arguments, arguments.compare),
        environment=arguments.env or "",
        test_time=fill(TestTime, arguments),
    )
    out = arguments.out or results_folder(arguments, request.checkpoint, "evaluation", _folder_parts(request))
    report = out / "report.html" if arguments.report == Path() else arguments.report
    if report is not None and report is arguments.report:
        refuse_unwritable(report)
    command = _reproducing(arguments, request, report)
    request = replace(request, further=fill(Further, arguments, report=report, command=command))
    result = evaluate(request, out, progress(arguments.quiet))
    show(result)
    say(f"The report is in {out}")
    if report is not None:
        say(f"Page: {report.absolute()}")
    return 0


def _reproducing(arguments: argparse.Namespace, request: "EvalRequest", report: Path | None) -> str:
    """Return the command of this evaluation, with the files that `latest` and names of runs stand for."""
    words = [word for path in request.checkpoints for word in ("--checkpoint", str(path))]
    words += ["--compare", str(request.compare)] if request.compare is not None else []
    for name in _VALUES:
        if (value := getattr(arguments, name)) is not None:
            words += [f"--{name}", str(value)]
    words += [word for name in arguments.metrics or () for word in ("--metric", name)]
    words += ["--turns", *(f"{angle:g}" for angle in arguments.turns)] if arguments.turns else []
    words += [f"--{name}" for name in _FLAGS if getattr(arguments, name)]
    words += ["--report", str(report)] if report is not None else []
    return f"{program()} evaluate {shlex.join(words)}"


def _folder_parts(request: "EvalRequest") -> list[str]:
    """Return the parts of the report folder's name: the checkpoint, and options that differ from the run's."""
    split = Path(request.split).stem if is_split_file(request.split) else request.split
    parts = [request.checkpoint.stem, Path(request.dataset).stem, split, request.subset]
    parts += ["no_ema"] if request.no_ema else []
    parts += [request.statistics] if request.statistics != "auto" else []
    parts += [f"shortest_{request.shortest_event:g}"] if request.shortest_event else []
    parts += [f"{share:g}_{name}_dropped" for name, share in request.dropped.items()]
    parts += [f"metric_{name}" for name in sorted(set(request.metrics))]
    parts += [f"{request.test_time.crops}_crops"] if request.test_time.crops > 1 else []
    turns = [f"{angle:g}" for angle in dict.fromkeys(request.test_time.turns) if angle]
    parts += ["_".join(["turned", *turns])] if turns else []
    parts += ["mirrored"] if request.test_time.mirror else []
    parts += [f"compared_{_short_digest([request.compare])}"] if request.compare is not None else []
    if not request.members:
        return parts
    weights = [] if request.weights == "equal" else [f"weights_{request.weights}"]
    return [*parts, f"ensemble_of_{len(request.checkpoints)}_{_short_digest(request.checkpoints)}", *weights]


def _short_digest(paths: Sequence[Path]) -> str:
    """Return a few letters that tell some files from others, whatever their order and the current folder."""
    return hashlib.sha256(b"\n".join(sorted(os.fsencode(path.resolve()) for path in paths))).hexdigest()[:8]
