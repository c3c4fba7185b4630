"""From a checkpoint to files for other runtimes, each compared with the model before it may stay."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..models.last_e import LastE
from ..models.registry import count_parameters
from ..runs.checkpoint import Checkpoint, model_of, read_checkpoint, warn_of_lagging_statistics
from ..utils.errors import UserError
from ..utils.files import file_checksum, make_folder, write_json
from ..utils.foreign_text import is_readable, printable
from ..utils.leftovers import temporary_folder
from ..utils.progress import SILENT, Progress
from ..version import __version__
from .backends import INPUT, OUTPUT, check_installed, get_backend, list_backends, open_exported
from .onnx_graph import OPSET, PACKAGES, write_onnx
from .recogniser import Recogniser, evaluated_logits

TOLERANCE = 1e-4  # of the largest logit, but of 1 where all are smaller
_CLIPS_COMPARED = 8
_RUNS_TIMED, _RUNS_BEFORE = 50, 5


@dataclass(frozen=True)
class ExportRequest:
    """Say what to export.

    Attributes:
        checkpoint: the file.
        formats: names of backends.
        bodies: M, how many bodies the input has room for.
        batch: N, how many clips a run takes.
        threads: with which the latency is measured; 0 leaves it to the runtime.
        no_ema: export the trained weights even where the run averaged them over time.
    """

    checkpoint: Path
    formats: tuple[str, ...] = field(default_factory=list_backends)
    bodies: int = 1
    batch: int = 1
    threads: int = 0
    no_ema: bool = False


@dataclass(frozen=True)
class Exported:
    """An exported model: its files, their bytes, how far its logits are from the model's, and how long a run takes."""

    format: str
    files: tuple[Path, ...]
    size: int
    difference: float
    latency_ms: float


def export(order: ExportRequest, out: Path, progress: Progress = SILENT) -> list[Exported]:
    """Write a checkpoint's model in other formats into `out`, with a JSON file that says what they are.

    Nothing stays in `out` unless every file agrees with the model on random clips.

    Raises:
        UserError: a package is missing, the checkpoint cannot be read, its family has no export, an exported file
            does not agree, or `out` cannot be written.
    """
    if not is_readable(str(out)):
        raise UserError(
            f"The folder {printable(str(out))} has no name in UTF-8, which runtimes need. Name another one with --out."
        )
    backends = {name: get_backend(name) for name in order.formats}
    check_installed([*PACKAGES, *(package for each in backends.values() for package in (*each.WRITES, *each.RUNS))])
    checkpoint = read_checkpoint(order.checkpoint)
    model = _model(checkpoint, order)
    recogniser = Recogniser(model, checkpoint.config.data, checkpoint.config.input_frames).eval()
    facts = _facts(checkpoint, order, model)
    clips = random_clips(checkpoint, order)
    expected = torch.stack([evaluated_logits(model, checkpoint.config.data, each) for each in clips])
    make_folder(out)
    name = checkpoint.config.model.name
    with temporary_folder(out / name) as folder, progress.task("exporting", 3, "steps") as task:
        written = folder / name
        onnx_file = written.with_suffix(".onnx")
        write_onnx(onnx_file, recogniser, clips[0], facts)
        task.advance(note="written")
        for backend in backends.values():
            backend.convert(onnx_file, written.with_suffix(backend.SUFFIXES[0]), facts)
        task.advance(note="converted")
        found = [_compared(each, written, clips, expected, order) for each in order.formats]
        task.advance(note="compared")
        for path in (path for each in found for path in each.files):
            path.replace(out / path.name)
    placed = [Exported(**{**vars(each), "files": tuple(out / path.name for path in each.files)}) for each in found]
    write_json(out / f"{name}.json", {**facts, "exported": [_described(each) for each in placed]})
    return placed


def random_clips(checkpoint: Checkpoint, order: ExportRequest) -> Tensor:
    """Return clips (clips / N, N, C, T, V, M), some with frames, and second bodies, that are absent."""
    layout, frames = checkpoint.config.data.skeleton, checkpoint.config.input_frames
    generator = torch.Generator().manual_seed(0)
    runs = max(_CLIPS_COMPARED // order.batch, 2)
    shape = (runs, order.batch, layout.coordinates, frames, layout.num_joints, order.bodies)
    clips = torch.randn(shape, generator=generator) / 2
    clips[1::2, :, :, frames // 3 : frames // 2] = 0.0
    clips[::2, ..., 1:] = 0.0
    return clips


def _model(checkpoint: Checkpoint, order: ExportRequest) -> LastE:
    """Return the checkpoint's model, which has to be of a family that can be folded."""
    warn_of_lagging_statistics(checkpoint, str(order.checkpoint), order.no_ema)
    model = model_of(checkpoint, str(order.checkpoint), order.no_ema)
    if not isinstance(model, LastE):
        raise UserError(
            f"{order.checkpoint} holds {checkpoint.config.model.name}, of the family {checkpoint.config.model.family}. "
            "Only LAST-E models are exported: export a student of it."
        )
    return model


def _facts(checkpoint: Checkpoint, order: ExportRequest, model: LastE) -> dict[str, Any]:
    """Return what a user of the files has to know, as plain values."""
    config = checkpoint.config
    layout = config.data.skeleton
    shape = [order.batch, layout.coordinates, config.input_frames, layout.num_joints, order.bodies]
    return {
        "last": __version__,
        "torch": str(torch.__version__),
        "opset": OPSET,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "model": config.model.name,
        "family": config.model.family,
        "parameters": count_parameters(model),
        "dataset": config.data.name,
        "split": config.data.split,
        "epoch": checkpoint.epoch,
        "seed": config.seed,
        "weights": checkpoint.kind_of_weights(order.no_ema),
        "checkpoint": order.checkpoint.name,
        "checkpoint_sha256": file_checksum(order.checkpoint),
        "input": {
            "name": INPUT,
            "shape": shape,
            "axes": ["clip", "coordinate", "frame", "joint", "body"],
            "frames": "sampled from the clip as `sampling` says",
            "origin": f"joint {layout.joints[layout.center]!r} of the first body in the first frame that it is there",
            "absent": "a body is absent from a frame in which all of its coordinates are 0; some body must be there",
        },
        "output": {"name": OUTPUT, "shape": [order.batch, len(checkpoint.classes)]},
        "sampling": asdict(config.data.sampling),
        "normalize": {**asdict(config.data.normalize), "where": "inside the exported model"},
        "layout": layout.name,
        "joints": list(layout.joints),
        "classes": list(checkpoint.classes),
    }


def _compared(name: str, written: Path, clips: Tensor, expected: Tensor, order: ExportRequest) -> Exported:
    """Run an exported file on all clips, compare its logits with the model's, and time it.

    Raises:
        UserError: the logits differ by more than `TOLERANCE` of the largest one.
    """
    files = tuple(written.with_suffix(suffix) for suffix in get_backend(name).SUFFIXES)
    run = open_exported(files[0], order.threads)
    given = [each.contiguous().numpy() for each in clips]
    difference = max(float(abs(run(each) - logits.numpy()).max()) for each, logits in zip(given, expected, strict=True))
    allowed = TOLERANCE * max(1.0, float(expected.abs().max()))
    if not difference <= allowed:  # also where one is not a number
        raise UserError(
            f"The {name} file gives other logits than {order.checkpoint}: they differ by {difference:.3g}, "
            f"{allowed:.3g} is allowed. Nothing was written. Measure the checkpoint with `evaluate`; if it is sound, "
            "this is a defect of LAST."
        )
    seconds = []
    for _ in range(_RUNS_BEFORE + _RUNS_TIMED):
        began = time.perf_counter()
        run(given[0])
        seconds.append(time.perf_counter() - began)
    latency_ms = 1e3 * statistics.median(seconds[_RUNS_BEFORE:])
    return Exported(name, files, sum(path.stat().st_size for path in files), difference, latency_ms)


def _described(exported: Exported) -> Mapping[str, Any]:
    return {
        "format": exported.format,
        "files": {path.name: file_checksum(path) for path in exported.files},
        "largest_difference": exported.difference,
    }
