"""`export`: export a trained model as an ONNX or OpenVINO file."""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ..deploy.backends import BOTH, get_backend, list_backends
from ..utils.errors import UserError
from ..utils.numbers import counted
from .folders import CHECKPOINT_HELP, checkpoint_of, results_folder, root_folders_of
from .options import MOST_THREADS, add_shared, check_bounds, examples, fill
from .terminal import progress, say, table

if TYPE_CHECKING:
    from ..data.store.clip import Clip

NEEDS = ("torch",)

_log = logging.getLogger(__name__)

_BOTH = ("onnx", "openvino")
_CLIPS_COMPARED = 32
_MOST_COMPARED = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("--checkpoint", required=True, metavar="PATH", help=CHECKPOINT_HELP)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="the file to write, such as model.onnx, or a folder (default: <run>/export/<checkpoint>; for a read-only "
        "run, in the output folder)",
    )
    parser.add_argument(
        "--format", choices=(*list_backends(), BOTH), help="what to write (default: onnx, or that of the file --out)"
    )
    parser.add_argument(
        "--bodies", type=int, choices=(1, 2), default=0, help="bodies in the input (default: those of the data set)"
    )
    parser.add_argument(
        "--compare",
        type=int,
        metavar="N",
        default=_CLIPS_COMPARED,
        help="compare the files with the checkpoint on N test clips of its data set, if it is here "
        f"(default: {_CLIPS_COMPARED})",
    )
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        default=0,
        help="CPU threads for the latency measurement (default: the runtime's choice)",
    )
    parser.add_argument(
        "--no_ema", action="store_true", help="export the trained weights instead of their moving average (ema.decay)"
    )
    add_shared(parser, "--env", "--data_root", "--output_root")
    parser.epilog = examples(
        """
        {program} export --checkpoint latest --out model.onnx
        {program} export --checkpoint runs/run-2026-11-23/checkpoints/best_model.pth
        {program} export --checkpoint latest --format openvino --compare 500
        """
    )


def run(arguments: argparse.Namespace) -> int:
    """Export, print the files and their differences from the checkpoint; return the exit code."""
    from ..deploy.export import ExportRequest, export

    check_bounds(arguments, compare=(1, _MOST_COMPARED), threads=(0, MOST_THREADS))
    checkpoint = checkpoint_of(arguments, arguments.checkpoint)
    out, name, formats = _target(arguments, checkpoint)
    request = fill(ExportRequest, arguments, checkpoint=checkpoint, formats=formats, name=name)
    clips = _clips_to_compare(arguments, checkpoint)
    exported = export(request, out, progress(arguments.quiet), clips)
    rows = [
        [
            " ".join(path.name for path in each.files),
            f"{each.size / 2**20:.1f}",
            f"{each.difference:.1e}",
            f"{each.latency_ms:.2f}",
        ]
        for each in exported
    ]
    table("exported", ["files", "MiB", "largest difference of a logit", "CPU ms"], rows)
    compared = f"{counted(len(clips), 'test clip')} of the run's data set" if clips else "random recordings"
    say(f"Compared with the checkpoint on {compared}.")
    say(f"The files are in {out}")
    return 0


def _target(arguments: argparse.Namespace, checkpoint: Path) -> tuple[Path, str, tuple[str, ...]]:
    """Return the folder of the files, their name without an ending (empty for the model's), and their formats."""
    out: Path | None = arguments.out
    suffixes = {get_backend(name).SUFFIXES[0]: name for name in reversed(_BOTH)}
    formats = _BOTH if arguments.format == BOTH else (arguments.format or _BOTH[0],)
    if out is not None and out.suffix in suffixes and not out.is_dir():
        wanted = suffixes[out.suffix]
        if arguments.format not in (None, wanted):
            raise UserError(f"--out {out} is a file for --format {wanted}, not {arguments.format}: name a folder.")
        return out.parent, out.stem, (wanted,)
    folder = out or results_folder(arguments, checkpoint, "export", _folder_parts(arguments, checkpoint))
    return folder, "", formats


def _clips_to_compare(arguments: argparse.Namespace, checkpoint: Path) -> "list[Clip]":
    """Return test clips of a checkpoint's data set, spread over the classes; none if the data set is not here."""
    from ..data.store.few_clips import spread_over_classes
    from ..data.store.find_store import find_store
    from ..data.store.protocols import split
    from ..runs.checkpoint import read_checkpoint

    config, here = read_checkpoint(checkpoint).config, root_folders_of(arguments)
    roots = [here.data_root, *here.input_roots]
    if not arguments.data_root:
        roots = [Path(config.data_root), *roots]
    try:
        store = find_store(config.data, roots[0], verify=False, input_roots=roots[1:])
        test = split(store.clips, config.data).test
    except UserError as error:
        _log.info("The run's data set is not used for the comparison: %s", error)
        return []
    chosen = spread_over_classes(store.clips["label"][test].astype("int64"), arguments.compare)
    return [store[int(test[place])] for place in chosen]


def _folder_parts(arguments: argparse.Namespace, checkpoint: Path) -> list[str]:
    """Return the parts of the folder's name: the checkpoint, and options other than the defaults."""
    parts = [checkpoint.stem]
    parts += [f"bodies-{arguments.bodies}"] if arguments.bodies else []
    return parts + (["no_ema"] if arguments.no_ema else [])
