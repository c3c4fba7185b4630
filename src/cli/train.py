"""`train`: train a model on a prepared data set."""

import argparse
import logging
from typing import TYPE_CHECKING, Any

from ..utils.config import MODEL_FILES
from .options import add_shared, examples
from .terminal import progress, table

if TYPE_CHECKING:
    from ..training.config import RunConfig

_logger = logging.getLogger(__name__)
_EXAMPLES = """
    python scripts/train.py --model base_e --dataset ntu60 --env kaggle --amp
    python scripts/train.py --model nano_e --dataset ntu60 --epochs 2 --batch_size 4
    python scripts/train.py --model nano_e --dataset synthetic --epochs 15 --set learning_rate=0.05
    python scripts/train.py --config nw_ucla
    python scripts/train.py --config runs/run-2026-11-23/config.yaml
    python scripts/train.py --model base_e --dataset ntu60 --resume auto
    python scripts/train.py --model base_e --dataset my_actions.yaml --init_from pretrained.pth
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("--model", metavar="M", help=f"one of {', '.join(MODEL_FILES)}")
    parser.add_argument(
        "--dataset", metavar="D", help="ntu60, ntu120, nw_ucla, sbu, synthetic, or the path of a data YAML"
    )
    parser.add_argument("--split", metavar="NAME", help="protocol: xsub, xview, xset, a fold (default: the data set's)")
    parser.add_argument(
        "--config",
        metavar="FILE",
        default="",
        help="a recipe: a YAML file, a name in configs/training, or a run's config.yaml",
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="epochs (default: 70)")
    parser.add_argument("--batch_size", type=int, metavar="N", help="clips a step (default: 16)")
    parser.add_argument("--amp", action="store_true", default=None, help="mixed precision")
    parser.add_argument("--seed", type=int, metavar="N", help="random seed (default: 0)")
    parser.add_argument(
        "--resume",
        metavar="PATH|auto",
        default="",
        help="go on from a checkpoint, or with the newest such run",
    )
    parser.add_argument(
        "--init_from", metavar="PATH", help="start with the backbone of a checkpoint and a new head (fine-tuning)"
    )
    add_shared(parser, "--env", "--data_root", "--output_root", "--device", "--set")
    parser.epilog = examples(_EXAMPLES)


def config_from(arguments: argparse.Namespace) -> "RunConfig":
    """Return the configuration that the options of `train` make up."""
    from ..training.config import resolve

    flags: dict[str, Any] = {
        key: getattr(arguments, key)
        for key in ("epochs", "batch_size", "amp", "seed", "device", "init_from", "data_root", "output_root")
    }
    flags["data.split"] = arguments.split
    return resolve(
        model=arguments.model or "",
        dataset=arguments.dataset or "",
        environment=arguments.env or "",
        recipe=arguments.config,
        overrides=arguments.set,
        flags=flags,
    )


def run(arguments: argparse.Namespace) -> int:
    """Train and show the result; return the exit code."""
    from ..training.session import train  # torch takes a second to import, which --help need not wait for

    config = config_from(arguments)
    try:
        folder, summary = train(config, arguments.resume, progress(arguments.quiet))
    except KeyboardInterrupt:
        _logger.warning("Stopped. To go on behind the last finished epoch, run the same command with --resume auto.")
        raise
    parts = ("best", "final")
    shown = [[part, f"{summary[f'{part}_top1']:.2f}", f"{summary[f'{part}_top5']:.2f}"] for part in parts]
    table(
        f"{summary['model']} on {summary['dataset']} {summary['split']}",
        ["epoch", "top-1 %", "top-5 %"],
        shown,
    )
    print(f"The run is in {folder.path}")
    return 0
