"""`distill`: train a student with the help of trained teachers."""

import argparse
from typing import Any

from ..runs.history import LATEST
from ..utils.errors import UserError
from . import train
from .folders import checkpoint_of
from .options import count, examples, numbers

NEEDS = ("torch",)

_EXAMPLES = """
    {program} distill --teacher runs/run-2026-11-20 --config ntu60 --amp --batch_size 128
    {program} distill --teacher a.pth --teacher b.pth --weights 2,1 --model small_e --dataset nw_ucla
    {program} distill --teacher a.pth --model nano_e --dataset ntu60 --cached 20
    {program} distill --teacher a.pth --model nano_e --dataset ntu60 --method dkd --alpha 0.5 --tau 2
    {program} distill --teacher a.pth --config nw_ucla --seeds 0,1,2 --set distillation.alpha_end=1
    {program} distill --resume runs/run-2026-11-23
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser: those of `train`, and the teachers and the method."""
    parser.add_argument(
        "--teacher",
        action="append",
        metavar="PATH",
        help="a teacher: a run folder (its last epoch), a checkpoint, or `latest`; several are averaged",
    )
    parser.add_argument(
        "--weights",
        type=lambda text: numbers(text, float),
        metavar="2,1",
        help="weight of each teacher (default: equal)",
    )
    parser.add_argument("--method", metavar="NAME", help="kl, dkd, features or attention (default: kl)")
    parser.add_argument(
        "--alpha",
        type=float,
        metavar="X",
        help="weight of the label loss, 0 to 1; the rest is the teachers' (default: 0.7 nano_e, 0.6 small_e, else 0.5)",
    )
    parser.add_argument(
        "--tau", type=float, metavar="X", help="temperature that softens the teacher outputs (default: 4)"
    )
    parser.add_argument(
        "--cached",
        type=count,
        metavar="R",
        help="compute the teacher outputs once, for R augmented views of each clip, and train as fast as `train`",
    )
    parser.add_argument(
        "--cache", metavar="DIR", help="folder of the cached outputs (default: <output_root>/teacher_outputs/<key>)"
    )
    train.add_arguments(parser)
    parser.epilog = examples(_EXAMPLES)


def run(arguments: argparse.Namespace) -> int:
    """Train the student and show the result; return the exit code."""
    config = train.config_from(arguments, _flags(arguments))
    if not config.distillation.teachers:
        raise UserError("Name a teacher with --teacher, for example <run>/checkpoints/last.pth.")
    return train.train_and_show(config, arguments, "distill")


def _flags(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the configuration keys that the distillation options set."""
    if arguments.resume and LATEST in (arguments.teacher or ()):
        raise UserError(f"--teacher {LATEST} may be the student's own run when it is resumed. Name the teacher's run.")
    teachers = arguments.teacher and [
        str(checkpoint_of(arguments, LATEST)) if each == LATEST else each for each in arguments.teacher
    ]
    flags: dict[str, Any] = {
        "teachers": teachers,
        "weights": arguments.weights,
        "method": arguments.method,
        "alpha": arguments.alpha,
        "tau": arguments.tau,
        "fixed_augmentations": arguments.cached,
        "cached": None if arguments.cached is None else True,
        "cache": arguments.cache,
    }
    if arguments.teacher and not arguments.resume:
        flags["fingerprints"] = []  # a run's configuration as a recipe holds those of its own teachers
    return {f"distillation.{key}": value for key, value in flags.items()}
