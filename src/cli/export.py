"""`export`: export a trained model to ONNX and OpenVINO."""

import argparse
from pathlib import Path

from ..deploy.backends import BOTH, list_backends
from .folders import CHECKPOINT_HELP, checkpoint_of, results_folder
from .options import MOST_THREADS, add_shared, check_bounds, examples, fill
from .terminal import progress, say, table

_BOTH = ("onnx", "openvino")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("--checkpoint", required=True, metavar="PATH", help=CHECKPOINT_HELP)
    parser.add_argument(
        "--format", choices=(*list_backends(), BOTH), default=BOTH, help="what to write (default: both)"
    )
    parser.add_argument("--bodies", type=int, choices=(1, 2), default=1, help="bodies in the input (default: 1)")
    parser.add_argument("--batch", type=int, metavar="N", default=1, help="clips in the input (default: 1)")
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        default=0,
        help="CPU threads for the latency measurement (default: the runtime's choice)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the files (default: <run>/export/<checkpoint>; for a read-only run, in the output folder)",
    )
    parser.add_argument(
        "--no_ema", action="store_true", help="export the trained weights instead of their moving average (ema.decay)"
    )
    add_shared(parser, "--env", "--output_root")
    parser.epilog = examples(
        """
        {program} export --checkpoint runs/run-2026-11-23/checkpoints/best_model.pth
        {program} export --checkpoint runs/run-2026-11-23/checkpoints/last.pth --format onnx --bodies 2
        """
    )


def run(arguments: argparse.Namespace) -> int:
    """Export, print the files and their differences from the checkpoint; return the exit code."""
    from ..deploy.export import ExportRequest, export

    check_bounds(arguments, batch=(1, 4096), threads=(0, MOST_THREADS))
    checkpoint = checkpoint_of(arguments, arguments.checkpoint)
    formats = _BOTH if arguments.format == BOTH else (arguments.format,)
    request = fill(ExportRequest, arguments, checkpoint=checkpoint, formats=formats)
    out = arguments.out or results_folder(arguments, checkpoint, "export", _folder_parts(arguments, checkpoint))
    rows = [
        [
            " ".join(path.name for path in each.files),
            f"{each.size / 2**20:.1f}",
            f"{each.difference:.1e}",
            f"{each.latency_ms:.2f}",
        ]
        for each in export(request, out, progress(arguments.quiet))
    ]
    table("exported", ["files", "MiB", "largest difference of a logit", "CPU ms"], rows)
    say(f"The files are in {out}")
    return 0


def _folder_parts(arguments: argparse.Namespace, checkpoint: Path) -> list[str]:
    """Return the parts of the folder's name: the checkpoint, and options other than the defaults."""
    parts = [checkpoint.stem]
    parts += ["2-bodies"] if arguments.bodies == 2 else []
    parts += [f"batch-{arguments.batch}"] if arguments.batch > 1 else []
    return parts + (["no_ema"] if arguments.no_ema else [])
