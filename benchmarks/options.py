"""Options of each part of the suite, in a module of their own so that the help does not import torch."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from last.utils.config import unknown_name
from last.utils.errors import UserError

from .parts import PARTS, TEST_CLIPS, TRAIN_CLIPS

_MOST = 1_000_000


@dataclass(frozen=True)
class PartOptions:
    """The options of a part.

    Attributes:
        add: adds those that are its own to a parser.
        examples: the commands that its help shows; `{program}` stands for how the program is called.
        quick: defaults that differ with --quick.
        in_all: defaults that differ among all parts.
    """

    add: Callable[[ArgumentParser], None]
    examples: str
    quick: Mapping[str, Any]
    in_all: Mapping[str, Any]


def whole(minimum: int) -> Callable[[str], int]:
    """Return a parser for an option's whole number of at least `minimum`."""

    def read(text: str) -> int:
        try:
            number = int(text) if text.isascii() else minimum - 1
        except ValueError:
            number = minimum - 1
        if not minimum <= number <= _MOST:
            raise ArgumentTypeError(f"{text!r} should be a whole number, {minimum} or more")
        return number

    return read


def add_count(
    parser: ArgumentParser, flag: str, default: int, purpose: str, *, metavar: str = "N", minimum: int = 1
) -> None:
    """Add an option that is a whole number of at least `minimum`; its help ends with the default."""
    text = f"{purpose} (default: {default})"
    parser.add_argument(flag, type=whole(minimum), default=default, metavar=metavar, help=text)


def add_common(parser: ArgumentParser) -> None:
    """Add the options that every part has."""
    parser.add_argument(
        "--threads", type=whole(0), default=0, metavar="N", help="CPU threads (default: torch's choice)"
    )
    add_count(parser, "--seed", 0, "of all random numbers", minimum=0)
    parser.add_argument("--quick", action="store_true", help="measure less, as a check that everything works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all measurements to this file")


def add_device(parser: ArgumentParser) -> None:
    """Add the option --device."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where to compute (default: CUDA if there is one)",
    )


def add_step(parser: ArgumentParser, whose: str = "which model") -> None:
    """Add the options of a training step: --model, --batch and --frames."""
    parser.add_argument("--model", default="nano_e", metavar="M", help=f"{whose} (default: nano_e)")
    add_count(parser, "--batch", 16, "clips in a batch")
    add_count(parser, "--frames", 64, "frames in a clip", metavar="T", minimum=4)


def options_of(name: str) -> PartOptions:
    """Return the options of a part.

    Raises:
        UserError: there is no such part.
    """
    if name not in PARTS:
        raise UserError(unknown_name("benchmark", name, [*PARTS, "all"]))
    return _OPTIONS[name]


def add_part(name: str, parser: ArgumentParser, *, quick: bool, in_all: bool = False) -> None:
    """Add all options of a part, with the defaults that --quick or its place among all parts gives them."""
    part = options_of(name)
    part.add(parser)
    add_common(parser)
    parser.set_defaults(**(part.in_all if in_all else {}))
    parser.set_defaults(**(part.quick if quick else {}))


def _training(parser: ArgumentParser) -> None:
    parser.add_argument("--models", default="all", metavar="A,B", help="names separated by commas (default: all)")
    add_count(parser, "--batch", 16, "clips in a batch")
    parser.add_argument("--bodies", type=int, choices=(1, 2), help="in a clip, all present (default: 1; --memory: 2)")
    add_count(parser, "--frames", 64, "frames in a clip", metavar="T")
    parser.add_argument("--layout", default="ntu25", metavar="L", help="joint layout (default: ntu25)")
    add_count(parser, "--repeats", 7, "turns after the warm-up")
    parser.add_argument("--amp", action="store_true", help="also the reference in bfloat16; with --memory, ours")
    parser.add_argument("--memory", action="store_true", help="measure the memory of a training step, not times")
    parser.add_argument(
        "--recompute", action="store_true", help="with --memory: teachers recompute the features of blocks"
    )
    add_device(parser)


def _inference(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--models", default="nano_e,base_e", metavar="A,B", help="names separated by commas (default: nano_e,base_e)"
    )
    add_count(parser, "--frames", 64, "frames in a clip", metavar="T")
    add_count(parser, "--turns", 10, "turns of every path")
    add_count(parser, "--runs", 30, "timed runs in a turn")
    parser.add_argument("--precision", choices=("f32", "bf16", "f16"), default="f32", help="also try this in OpenVINO")


def _guards(parser: ArgumentParser) -> None:
    parser.add_argument("--model", default="nano_e", metavar="M", help="which model (default: nano_e)")
    add_count(parser, "--batch", 16, "clips in a batch")
    add_count(parser, "--turns", 60, "turns of each step")
    add_count(parser, "--saves", 15, "checkpoints to write")
    add_device(parser)


def _allocator(parser: ArgumentParser) -> None:
    add_step(parser)
    add_count(parser, "--turns", 5, "turns of each way, each a process")
    add_count(parser, "--steps", 12, "training steps in a turn")


def _losses(parser: ArgumentParser) -> None:
    add_step(parser)
    add_count(parser, "--steps", 50, "training steps")
    add_device(parser)


def _data(parser: ArgumentParser) -> None:
    add_step(parser, "whose training step")
    add_count(parser, "--clips", 400, "clips in the store")
    add_count(parser, "--turns", 9, "epochs of each way")
    add_count(parser, "--steps", 4, "training steps in a turn")
    parser.add_argument(
        "--data_placement",
        choices=("auto", "device", "ram", "disk"),
        help="where the clips lie (default: the configuration's, which is auto)",
    )
    add_device(parser)


def _preprocess(parser: ArgumentParser) -> None:
    add_count(parser, "--files", 2000, "recordings")
    parser.add_argument("--workers", type=whole(0), default=0, metavar="N", help="processes (default: one per core)")
    add_count(parser, "--repeats", 3, "times that all recordings are read")
    add_count(parser, "--sample", 40, "recordings read by the reference")
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="folder for them during the benchmark (default: temporary)"
    )


def _evaluation(parser: ArgumentParser) -> None:
    add_step(parser)
    add_count(parser, "--clips", 128, "clips to train on")
    add_count(parser, "--test", 128, "clips to test on")
    add_count(parser, "--turns", 5, "turns of both")
    parser.add_argument("--amp", action="store_true", default=None, help="mixed precision")
    add_device(parser)


def _distillation(parser: ArgumentParser) -> None:
    add_step(parser, "which student")
    parser.add_argument("--teacher", default="large_e", metavar="M", help="which teacher (default: large_e)")
    add_count(parser, "--clips", 256, "clips in the store")
    add_count(parser, "--fixed_augmentations", 20, "cached augmented views of each clip", metavar="R")
    add_count(parser, "--turns", 20, "turns of each step")
    add_count(parser, "--fills", 3, "times the cache is built")
    parser.add_argument("--amp", action="store_true", default=None, help="mixed precision, of both models")
    add_device(parser)


def _epochs(parser: ArgumentParser) -> None:
    parser.add_argument("--model", default="nano_e", metavar="M", help="which model (default: nano_e)")
    add_count(parser, "--epochs", 70, "epochs")
    add_count(parser, "--clips", TRAIN_CLIPS, "clips to train on")
    add_count(parser, "--test", TEST_CLIPS, "clips to test on")
    parser.add_argument(
        "--config", metavar="FILE", help="a recipe, as of `train` (default: h200 on CUDA, elsewhere the default one)"
    )
    parser.add_argument("--batch", type=whole(1), metavar="N", help="clips per step (default: the recipe's)")
    parser.add_argument("--frames", type=whole(4), metavar="T", help="frames in a clip (default: the recipe's)")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="set any configuration key"
    )
    parser.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="keep clips and runs in this folder for later benchmarks (default: temporary)",
    )
    add_count(parser, "--plain_steps", 5, "steps of the plain reference")
    add_device(parser)


def _roofline(parser: ArgumentParser) -> None:
    add_step(parser, "whose training step")
    add_count(parser, "--turns", 9, "turns of each step")
    add_count(parser, "--large_mib", 256, "large copies, MiB")
    parser.add_argument(
        "--side", type=whole(1), metavar="N", help="of the large square matrices (default: 1024, on CUDA 8192)"
    )
    add_device(parser)


def _gpu(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--part", choices=("correctness", "speed", "accuracy"), help="what the GPU has to show; there is no default"
    )
    add_count(parser, "--minutes", 9, "minutes within which checks begin that are expected to end")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="the results, after every check (default: gpu-PART.json)"
    )
    parser.add_argument("--again", action="store_true", help="begin anew, instead of going on with the results")
    parser.add_argument(
        "--data_root", type=Path, metavar="DIR", help="folder of prepared data, for the accuracy on NW-UCLA"
    )
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="keep clips and runs in this folder (default: temporary)"
    )
    add_device(parser)


_OPTIONS = {
    "training": PartOptions(
        _training,
        """
        {program} benchmark training
        {program} benchmark training --models nano_e,base --bodies 2 --threads 1
        {program} benchmark training --device cuda --batch 64 --json training.json
        {program} benchmark training --memory
        """,
        quick={"models": "nano_e", "batch": 4, "frames": 16, "repeats": 2},
        in_all={"models": "nano_e,base_e", "repeats": 5},
    ),
    "inference": PartOptions(
        _inference,
        """
        {program} benchmark inference --threads 2
        {program} benchmark inference --threads 1 --models small_e,large_e
        {program} benchmark inference --precision bf16 --json inference.json
        """,
        quick={"models": "nano_e", "frames": 8, "turns": 2, "runs": 2},
        in_all={"turns": 6},
    ),
    "guards": PartOptions(
        _guards,
        """
        {program} benchmark guards --threads 1
        {program} benchmark guards --model base --turns 10
        {program} benchmark guards --device cuda --batch 128 --json guards.json
        """,
        quick={"turns": 3, "batch": 2, "saves": 2},
        in_all={"turns": 20},
    ),
    "allocator": PartOptions(
        _allocator,
        """
        {program} benchmark allocator --threads 1
        {program} benchmark allocator --model base_e --turns 3 --json allocator.json
        """,
        quick={"batch": 2, "frames": 8, "turns": 1, "steps": 2},
        in_all={},
    ),
    "losses": PartOptions(
        _losses,
        """
        {program} benchmark losses
        {program} benchmark losses --model base_e --batch 8
        {program} benchmark losses --device cuda --json losses.json
        """,
        quick={"steps": 3, "batch": 2, "frames": 8},
        in_all={"batch": 8},
    ),
    "data": PartOptions(
        _data,
        """
        {program} benchmark data
        {program} benchmark data --batch 256 --device cuda --data_placement device
        {program} benchmark data --data_placement disk --json data.json
        """,
        quick={"clips": 8, "batch": 4, "frames": 8, "turns": 2, "steps": 1},
        in_all={"turns": 4},
    ),
    "preprocess": PartOptions(
        _preprocess,
        """
        {program} benchmark preprocess
        {program} benchmark preprocess --files 500 --workers 1
        {program} benchmark preprocess --json preprocess.json
        """,
        quick={"files": 3, "repeats": 1, "sample": 1},
        in_all={"files": 400, "repeats": 2},
    ),
    "evaluation": PartOptions(
        _evaluation,
        """
        {program} benchmark evaluation
        {program} benchmark evaluation --model base_e --batch 64 --amp
        {program} benchmark evaluation --device cuda --batch 512 --clips 16384 --test 8192
        """,
        quick={"clips": 4, "test": 4, "batch": 2, "frames": 8, "turns": 2},
        in_all={"turns": 3},
    ),
    "distillation": PartOptions(
        _distillation,
        """
        {program} benchmark distillation --threads 1
        {program} benchmark distillation --model small_e --teacher small --json distillation.json
        {program} benchmark distillation --device cuda --batch 512 --clips 16384 --amp
        """,
        quick={
            "teacher": "nano_e",
            "batch": 2,
            "frames": 8,
            "clips": 4,
            "fixed_augmentations": 2,
            "turns": 2,
            "fills": 1,
        },
        in_all={"turns": 5, "clips": 64, "fills": 1},
    ),
    "epochs": PartOptions(
        _epochs,
        """
        {program} benchmark epochs --work DIR
        {program} benchmark epochs --work DIR --model base_e --json base_e.json
        {program} benchmark epochs --device cpu --clips 160 --test 40 --epochs 2
        {program} benchmark epochs --config default --set batch_size=64 amp=true
        """,
        quick={"clips": 60, "test": 2, "epochs": 2, "batch": 12, "frames": 8, "plain_steps": 1},
        in_all={"clips": 512, "test": 128, "epochs": 2},
    ),
    "gpu": PartOptions(
        _gpu,
        """
        {program} benchmark gpu --part correctness
        {program} benchmark gpu --part speed --work DIR
        {program} benchmark gpu --part accuracy --minutes 30 --data_root ./data
        {program} benchmark gpu --part speed --device cpu --quick
        """,
        quick={},
        in_all={},
    ),
    "roofline": PartOptions(
        _roofline,
        """
        {program} benchmark roofline --threads 2
        {program} benchmark roofline --model base_e --batch 64 --json roofline.json
        {program} benchmark roofline --device cuda --batch 512
        """,
        quick={"batch": 2, "frames": 8, "turns": 1, "large_mib": 8, "side": 128},
        in_all={"turns": 5},
    ),
}
