"""Export of a checkpoint to files for other runtimes, each compared with the model before it is kept."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..models.classifier import SkeletonClassifier
from ..models.last_v2 import LastV2
from ..models.registry import count_parameters
from ..runs.checkpoint import Checkpoint, read_checkpoint
from ..runs.checkpoint_model import model_of, warn_of_lagging_statistics
from ..utils.errors import UserError
from ..utils.files import file_checksum, make_folder, write_json
from ..utils.foreign_text import is_readable, printable
from ..utils.leftovers import temporary_folder
from ..utils.progress import SILENT, Progress
from ..version import __version__
from .backends import INPUT, OUTPUT, check_installed, get_backend, list_backends, open_exported
from .onnx_graph import OPSET, PACKAGES, write_onnx
from .recogniser import evaluated_logits, recogniser_of

TOLERANCE = 1e-4  # relative to the largest logit, or to 1 if all are smaller
_CLIPS_COMPARED = 8
_MISSING = 0.1  # share of the joints, in half of them
_RUNS_TIMED, _RUNS_BEFORE = 50, 5


@dataclass(frozen=True)
class ExportRequest:
    """Settings of an export.

    Attributes:
        checkpoint: the file.
        formats: names of backends.
        bodies: M, the number of bodies of the input.
        batch: N, the number of clips of the input.
        threads: the number of threads for measuring the latency; 0 for the runtime's default.
        no_ema: export the trained weights even if the run has averaged ones.
    """

    checkpoint: Path
    formats: tuple[str, ...] = field(default_factory=list_backends)
    bodies: int = 1
    batch: int = 1
    threads: int = 0
    no_ema: bool = False


@dataclass(frozen=True)
class Exported:
    """An exported model: its files, their size in bytes, the largest difference of its logits, and its latency."""

    format: str
    files: tuple[Path, ...]
    size: int
    difference: float
    latency_ms: float


def export(request: ExportRequest, out: Path, progress: Progress = SILENT) -> list[Exported]:
    """Write a checkpoint's model in other formats into `out`, with a JSON file that describes them.

    No file is kept in `out` unless every file agrees with the model on random clips.

    Raises:
        UserError: a package is missing, the checkpoint cannot be read, its family has no export, an exported file
            does not agree, or `out` cannot be written.
    """
    if not is_readable(str(out)):
        raise UserError(
            f"The name of the folder {printable(str(out))} should be UTF-8 text. Choose another one with --out."
        )
    backends = {name: get_backend(name) for name in request.formats}
    check_installed([*PACKAGES, *(package for each in backends.values() for package in (*each.WRITES, *each.RUNS))])
    checkpoint = read_checkpoint(request.checkpoint)
    model = _model(checkpoint, request)
    recogniser = recogniser_of(model, checkpoint.config.data, checkpoint.config.input_frames).eval()
    facts = _facts(checkpoint, request, model)
    clips = random_clips(checkpoint, request)
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
        found = [_compared(each, written, clips, expected, request) for each in request.formats]
        task.advance(note="compared")
        for path in (path for each in found for path in each.files):
            path.replace(out / path.name)
    placed = [Exported(**{**vars(each), "files": tuple(out / path.name for path in each.files)}) for each in found]
    write_json(out / f"{name}.json", {**facts, "exported": [_described(each) for each in placed]})
    return placed


def random_clips(checkpoint: Checkpoint, request: ExportRequest) -> Tensor:
    """Return clips (clips / N, N, C, T, V, M), some without second bodies, some frames or single joints."""
    layout, frames = checkpoint.config.data.skeleton, checkpoint.config.input_frames
    generator = torch.Generator().manual_seed(0)
    runs = max(_CLIPS_COMPARED // request.batch, 2)
    shape = (runs, request.batch, layout.coordinates, frames, layout.num_joints, request.bodies)
    clips = torch.randn(shape, generator=generator) / 2
    clips[1::2, :, :, frames // 3 : frames // 2] = 0.0
    clips[::2, ..., 1:] = 0.0
    missing = torch.rand((runs, request.batch, 1, *shape[3:]), generator=generator) < _MISSING
    missing[::2] = False
    return clips.masked_fill(missing, torch.nan)


def _model(checkpoint: Checkpoint, request: ExportRequest) -> SkeletonClassifier:
    """Return the checkpoint's model, which may not be a LAST-v2."""
    warn_of_lagging_statistics(checkpoint, str(request.checkpoint), request.no_ema)
    model = model_of(checkpoint, str(request.checkpoint), request.no_ema)
    if isinstance(model, LastV2):
        raise UserError(
            f"{request.checkpoint} holds {checkpoint.config.model.name}, of the family "
            f"{checkpoint.config.model.family}. Only LAST-E models and those of "
            "added families can be exported: export a student of it."
        )
    return model


def _facts(checkpoint: Checkpoint, request: ExportRequest, model: SkeletonClassifier) -> dict[str, Any]:
    """Return the facts that a user of the files needs, as plain values."""
    config = checkpoint.config
    layout = config.data.skeleton
    shape = [request.batch, layout.coordinates, config.input_frames, layout.num_joints, request.bodies]
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
        "weights": checkpoint.kind_of_weights(request.no_ema),
        "checkpoint": request.checkpoint.name,
        "checkpoint_sha256": file_checksum(request.checkpoint),
        "input": {
            "name": INPUT,
            "shape": shape,
            "axes": ["clip", "coordinate", "frame", "joint", "body"],
            "frames": "sampled from the clip as `sampling` says",
            "origin": f"joint {layout.joints[layout.center]!r} of the first body in the first frame where it is "
            "measured; if it never is, the mean of that body's joints in its first frame",
            "missing": "a joint with a NaN is missing, and so should be one below `min_confidence`; gaps of at most "
            "`max_gap` frames are interpolated",
            "max_gap": config.data.max_gap,
            "min_confidence": config.data.min_confidence,
            "absent": "a body is absent from a frame where all its coordinates are 0 or all are NaN; the logits of a "
            "clip without a body are NaN",
        },
        "output": {"name": OUTPUT, "shape": [request.batch, len(checkpoint.classes)]},
        "sampling": asdict(config.data.sampling),
        "normalize": {**asdict(config.data.normalize), "where": "inside the exported model"},
        "layout": layout.name,
        "joints": list(layout.joints),
        "center": layout.joints[layout.center],
        "classes": list(checkpoint.classes),
    }


def _compared(name: str, written: Path, clips: Tensor, expected: Tensor, request: ExportRequest) -> Exported:
    """Run an exported file on all clips, compare its logits with the model's, and time it.

    Raises:
        UserError: the logits differ by more than `TOLERANCE` of the largest one.
    """
    files = tuple(written.with_suffix(suffix) for suffix in get_backend(name).SUFFIXES)
    run = open_exported(files[0], request.threads, "f32", name)
    inputs = [each.contiguous().numpy() for each in clips]
    difference = max(
        float(abs(run(each) - logits.numpy()).max()) for each, logits in zip(inputs, expected, strict=True)
    )
    allowed = TOLERANCE * max(1.0, float(expected.abs().max()))
    if not difference <= allowed:  # also true for NaN
        raise UserError(
            f"The {name} file has other logits than {request.checkpoint}: they differ by {difference:.3g}, "
            f"but only {allowed:.3g} is allowed. Nothing was written. "
            "Measure the checkpoint with `evaluate`; if it is sound, this is a defect of LAST."
        )
    seconds = []
    for _ in range(_RUNS_BEFORE + _RUNS_TIMED):
        began = time.perf_counter()
        run(inputs[0])
        seconds.append(time.perf_counter() - began)
    latency_ms = 1e3 * statistics.median(seconds[_RUNS_BEFORE:])
    return Exported(name, files, sum(path.stat().st_size for path in files), difference, latency_ms)


def _described(exported: Exported) -> Mapping[str, Any]:
    return {
        "format": exported.format,
        "files": {path.name: file_checksum(path) for path in exported.files},
        "largest_difference": exported.difference,
    }
