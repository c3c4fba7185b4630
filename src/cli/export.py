"""`export`: export a trained model as an ONNX or OpenVINO file."""

import argparse
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..deploy.backends import BOTH, INT8, WEIGHTS, list_backends
from ..utils.errors import UserError
from ..utils.files import refuse_unwritable
from ..utils.numbers import counted
from .folders import CHECKPOINT_HELP, checkpoint_of, results_folder, root_folders_of
from .options import MOST_THREADS, add_shared, check_bounds, examples, fill
from .terminal import progress, say, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..data.store.clip import Clip
    from ..data.store.protocols import Split
    from ..data.store.reader import Store
    from ..settings.run import RunConfig

NEEDS = ("torch",)

_log = logging.getLogger(__name__)

_FILE_ENDING = re.compile(r"\.[A-Za-z]{2,12}")
_IN_FULL = {BOTH: ("onnx", "openvino"), INT8: ("onnx",)}
_CLIPS_COMPARED, _MOST_COMPARED = 32, 100_000
_CLIPS_CALIBRATED, _MOST_CALIBRATED = 128, 10_000
_MOST_HELD_OUT = 5_000


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
        "--format",
        nargs="+",
        choices=(*list_backends(), BOTH, INT8, WEIGHTS),
        metavar="FORMAT",
        help=f"what to write: {', '.join(list_backends())}, {BOTH} of these, {INT8} (an ONNX file with 8-bit numbers, "
        f"and what it costs and gains), {WEIGHTS} (the weights alone) (default: onnx, or that of the file --out)",
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
        "--no_ema", action="store_true", help="export the trained weights instead of their average (ema)"
    )
    parser.add_argument(
        "--calibrate",
        type=int,
        metavar="N",
        default=_CLIPS_CALIBRATED,
        help=f"with --format {INT8}: measure the range of activations on N training clips "
        f"(default: {_CLIPS_CALIBRATED})",
    )
    add_shared(parser, "--env", "--data_root", "--output_root")
    parser.epilog = examples(
        """
        {program} export --checkpoint latest --out model.onnx
        {program} export --checkpoint runs/run-2026-11-23/checkpoints/best_model.pth
        {program} export --checkpoint latest --format onnx openvino --compare 500
        {program} export --checkpoint latest --format int8 --data_root data
        {program} export --checkpoint latest --format safetensors
        """
    )


def run(arguments: argparse.Namespace) -> int:
    """Export, print the files and their differences from the checkpoint; return the exit code."""
    from ..deploy.export import ExportRequest, export

    bounds = {"compare": (1, _MOST_COMPARED), "threads": (0, MOST_THREADS), "calibrate": (1, _MOST_CALIBRATED)}
    check_bounds(arguments, **bounds)
    checkpoint = checkpoint_of(arguments, arguments.checkpoint)
    out, name, formats = _target(arguments, checkpoint)
    refuse_unwritable(out, folder=True)
    data = _data_of(arguments, checkpoint)
    quantizes = INT8 in (arguments.format or ())
    if quantizes and data is None:
        raise UserError(
            f"--format {INT8} needs the data set of the run, to calibrate the file on training clips and to measure it "
            "on test clips. Name the folder of prepared data sets with --data_root."
        )
    request = fill(ExportRequest, arguments, checkpoint=checkpoint, formats=formats, name=name)
    clips = [] if data is None else data.test_clips(arguments.compare)
    held_out = [] if data is None else data.held_out_clips(_MOST_HELD_OUT)
    exported = export(request, out, progress(arguments.quiet), clips, held_out)
    rows = [
        [
            " ".join(path.name for path in each.files),
            f"{each.size / 2**20:.1f}",
            "" if each.difference is None else f"{each.difference:.1e}",
            "" if each.latency_ms is None else f"{each.latency_ms:.2f}",
        ]
        for each in exported
    ]
    table("exported", ["files", "MiB", "largest difference of a logit", "CPU ms"], rows)
    compared, calibrated = max(each.compared for each in exported), max(each.calibrated for each in exported)
    what = f"{counted(compared, 'test clip')} of the run's data set" if compared else "random recordings"
    if any(each.difference is not None for each in exported):
        say(f"Compared with the checkpoint on {what}.")
    if calibrated:
        say(f"Probabilities are calibrated on {counted(calibrated, 'training clip')} that the run held out.")
    if quantizes and data is not None:
        _quantize(arguments, next(each.files[0] for each in exported if each.format == "onnx"), data)
    say(f"The files are in {out if out != Path() else out.absolute()}")
    return 0


def _target(arguments: argparse.Namespace, checkpoint: Path) -> tuple[Path, str, tuple[str, ...]]:
    """Return the folder of the files, their name without an ending (empty for the model's), and their formats."""
    out: Path | None = arguments.out
    suffixes = {".onnx": "onnx", ".xml": "openvino", f".{WEIGHTS}": WEIGHTS}
    wanted = [name for each in arguments.format or () for name in _IN_FULL.get(each, (each,))]
    formats = tuple(dict.fromkeys(wanted)) or ("onnx",)
    if out is not None and out.suffix in suffixes and not out.is_dir():
        (named, *others) = dict.fromkeys([suffixes[out.suffix], *wanted])
        if others:
            raise UserError(f"--out {out} is a file for --format {named}, not {' '.join(others)}: name a folder.")
        return out.parent, out.stem, (named,)
    if out is not None and _FILE_ENDING.fullmatch(out.suffix) and not out.is_dir():
        raise UserError(f"--out {out} should be a folder, or a file whose name ends in {', '.join(suffixes)}.")
    folder = out or results_folder(arguments, checkpoint, "export", _folder_parts(arguments, checkpoint))
    return folder, "", formats


@dataclass(frozen=True)
class _Data:
    """The data set of a run, with its parts for training and testing as numbers of clips."""

    store: "Store"
    parts: "Split"
    config: "RunConfig"

    def test_clips(self, most: int) -> "list[Clip]":
        """Return at most that many test clips, spread over the classes."""
        return self._spread(self.parts.test, most)

    def training_clips(self, most: int) -> "list[Clip]":
        """Return at most that many training clips, spread over the classes."""
        return self._spread(self.parts.train, most)

    def held_out_clips(self, most: int) -> "list[Clip]":
        """Return at most that many training clips that the run held out, spread over the classes."""
        from ..data.store.protocols import hold_out

        if self.config.validation != "split":
            return []
        _, held_out = hold_out(self.store.clips, self.parts.train, self.config.validation_fraction, self.config.seed)
        return self._spread(held_out, most)

    def _spread(self, part: "NDArray[Any]", most: int) -> "list[Clip]":
        from ..data.store.few_clips import spread_over_classes

        chosen = spread_over_classes(self.store.clips["label"][part].astype("int64"), most)
        return [self.store[int(part[place])] for place in chosen]


def _data_of(arguments: argparse.Namespace, checkpoint: Path) -> _Data | None:
    """Return the data set of a checkpoint's run; None if it is not here."""
    from ..data.store.find_store import find_store
    from ..data.store.protocols import split
    from ..runs.checkpoint import read_checkpoint

    config, here = read_checkpoint(checkpoint).config, root_folders_of(arguments)
    roots = [here.data_root, *here.input_roots]
    if not arguments.data_root:
        roots = [Path(config.data_root), *roots]
    try:
        store = find_store(config.data, roots[0], verify=False, input_roots=roots[1:])
        return _Data(store, split(store.clips, config.data), config)
    except UserError as error:
        _log.info("The run's data set is not used for the comparison: %s", error)
        return None


def _quantize(arguments: argparse.Namespace, onnx_file: Path, data: _Data) -> None:
    """Write the 8-bit file beside an ONNX file, and print what it costs and gains."""
    from ..deploy.arrays import array_of_clip
    from ..deploy.int8 import quantize
    from ..deploy.recognizer import Recognizer

    facts = Recognizer(onnx_file, 1).facts
    calibration, test = data.training_clips(arguments.calibrate), data.test_clips(_MOST_COMPARED)
    given = [
        [array_of_clip(clip, facts.bodies, facts.min_confidence) for clip in clips] for clips in (calibration, test)
    ]
    path = onnx_file.with_name(f"{onnx_file.stem}_int8.onnx")
    found = quantize(onnx_file, path, given[0], given[1], [clip.label for clip in test], arguments.threads)
    rows = [
        [path.name, f"{each.size / 2**20:.2f}", f"{each.top1:.2f}", f"{each.latency_ms:.2f}"]
        for path, each in ((onnx_file, found.floats), (found.path, found.int8))
    ]
    table("8-bit numbers", ["file", "MiB", "top-1 %", "CPU ms"], rows)
    say(
        f"{counted(found.other_labels, 'test clip')} of {found.clips:,} {'gets' if found.other_labels == 1 else 'get'} "
        "another label."
    )
    if not found.pays:
        say(f"It is not faster on this machine: {onnx_file.name} is the better file here.")


def _folder_parts(arguments: argparse.Namespace, checkpoint: Path) -> list[str]:
    """Return the parts of the folder's name: the checkpoint, and options other than the defaults."""
    parts = [checkpoint.stem]
    parts += [f"bodies-{arguments.bodies}"] if arguments.bodies else []
    return parts + (["no_ema"] if arguments.no_ema else [])
