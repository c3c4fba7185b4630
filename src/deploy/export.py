"""Export of a checkpoint to files for other runtimes, each compared with the model before it is kept."""

import json
import logging
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.preparation.formats import BadClip
from ..data.store.clip import Clip
from ..models.classifier import SkeletonClassifier
from ..models.registry import count_parameters
from ..runs.checkpoint import Checkpoint, read_checkpoint
from ..runs.checkpoint_model import model_of, warn_of_lagging_statistics
from ..settings.data import DataConfig
from ..skeleton import Layout, layout_facts
from ..utils.errors import UserError
from ..utils.files import file_checksum, make_folder, read_json, write_json, write_text
from ..utils.foreign_text import is_readable, printable
from ..utils.leftovers import temporary_folder
from ..utils.numbers import counted
from ..utils.progress import SILENT, Progress
from ..version import __version__
from . import weights_file
from .arrays import array_of_clip, with_bodies
from .backends import WEIGHTS, Backend, check_installed, get_backend, open_exported, usable_backends
from .calibration import Calibration, calibrate
from .contract import FORMAT, FORMAT_VERSION, INPUT, OUTPUTS, Floats
from .inputs import NoConfidentJoint, model_inputs
from .model_card import accuracy_in_training, model_card, sampling_note
from .network import network_of
from .onnx_graph import OPSET, PACKAGES, write_onnx

_log = logging.getLogger(__name__)

TOLERANCE = 1e-4  # relative to the largest logit, or to 1 if all are smaller
_RECORDINGS = 8  # random ones, if there are no clips to compare with
_MISSING = 0.1  # share of the joints, in half of them
_OF_AN_EXPORT = {"last", "torch", "opset", "date", "checkpoint", "compared"}  # facts that the model does not decide
_EXAMPLE = (2, 7)  # clips and frames of the example from which a file is made; it takes any number
_RUNS_TIMED, _RUNS_BEFORE = 50, 5


@dataclass(frozen=True)
class ExportRequest:
    """Settings of an export.

    Attributes:
        checkpoint: the file.
        formats: names of backends, and `safetensors` for the weights.
        name: of the files, without an ending; that of the model if empty.
        bodies: M, the number of bodies of the input; 0 for that of the model's data set.
        threads: the number of threads for measuring the latency; 0 for the runtime's default.
        no_ema: export the trained weights even if the run has averaged ones.
    """

    checkpoint: Path
    formats: tuple[str, ...] = ("onnx",)
    name: str = ""
    bodies: int = 0
    threads: int = 0
    no_ema: bool = False


@dataclass(frozen=True)
class Exported:
    """An exported model: its files, their size in bytes, the largest difference of its logits, and its latency.

    Weights alone are not run: they have no difference and no latency. `compared` and `calibrated` are the numbers of
    clips that were used for it.
    """

    format: str
    files: tuple[Path, ...]
    size: int
    difference: float | None = None
    latency_ms: float | None = None
    compared: int = 0
    calibrated: int = 0


@dataclass(frozen=True)
class _Compared:
    """Recordings as inputs of a file, (1, M, F, V, C) each, and the logits (1, K) that `evaluate` computes for each.

    `clips` of them are of the data set.
    """

    inputs: Sequence[Floats]
    logits: Sequence[Floats]
    what: str
    clips: int


def export(
    request: ExportRequest,
    out: Path,
    progress: Progress = SILENT,
    clips: Sequence[Clip] = (),
    held_out: Sequence[Clip] = (),
) -> list[Exported]:
    """Write a checkpoint's model in other formats into `out`, with a JSON file and a model card that describe them.

    No file is kept in `out` unless every file has the logits that `evaluate` computes, for each of `clips`.

    Args:
        request: what to export, and how.
        out: the folder of the files.
        progress: the progress display.
        clips: of the data set of the run, to compare the files with the model; without any, with random recordings.
        held_out: training clips that the run kept back, from which the probabilities are calibrated. Clips of either
            that the model cannot use, for want of a joint of enough confidence, are left out with a warning.

    Raises:
        UserError: a package is missing, the checkpoint cannot be read, an exported file does not agree, or `out`
            cannot be written.
    """
    backends = _check_possible(request, out)
    checkpoint = read_checkpoint(request.checkpoint)
    warn_of_lagging_statistics(checkpoint, str(request.checkpoint), request.no_ema)
    model = model_of(checkpoint, str(request.checkpoint), request.no_ema)
    config, bodies = checkpoint.config, request.bodies or checkpoint.config.data.bodies
    how = _preparation(config.data, clips)
    compared = _compared_with(model, clips, bodies)
    calibration = _calibration(model, held_out, bodies)
    facts = {**_facts(checkpoint, request, model, bodies), "compared": compared.what}
    facts["calibration"] = calibration.facts()
    facts["inside"] |= {"frames without a body": "kept between others" if how["keep_gaps"] else "left out"}
    facts["inside"] |= {} if how["centers"] else {"origin": "that of the recording"}
    if note := sampling_note(facts["inside"]["sampling"]):
        _log.warning(note)
    make_folder(out)
    name = request.name or config.model.name
    with temporary_folder(out / name) as folder, progress.task("exporting", 3, "steps") as task:
        written = folder / name
        if backends:
            network = network_of(model, config.data, config.input_frames, **how, temperature=calibration.temperature)
            write_onnx(_ending_in(".onnx", written), network, _example(config.data.skeleton, bodies), facts)
        task.advance(note="written")
        for backend in backends.values():
            backend.convert(_ending_in(".onnx", written), _ending_in(backend.SUFFIXES[0], written), facts)
        task.advance(note="converted")
        found = [_checked(each, written, compared, request) for each in backends]
        if WEIGHTS in request.formats:
            found.append(_weights(_ending_in(weights_file.SUFFIX, written), model, facts))
        task.advance(note="compared")
        placed = [replace(_placed(each, out), compared=compared.clips, calibrated=calibration.clips) for each in found]
    described = [*_still_there(out / f"{name}.json", facts, request.formats), *map(_described, placed)]
    _warn_of_others(out, name, [file for each in described for file in each["files"]])
    files = [out / file for each in described for file in each["files"]]
    write_json(out / f"{name}.json", {**facts, "exported": described})
    accuracy = accuracy_in_training(checkpoint.metrics, facts, files)
    write_text(out / f"{name}.md", model_card(name, facts, accuracy, files))
    return placed


def _check_possible(request: ExportRequest, out: Path) -> dict[str, Backend]:
    """Return the backends of a request.

    Raises:
        UserError: a package for them is missing, or the name of the folder `out` is not text.
    """
    if not is_readable(str(out)):
        raise UserError(
            f"The name of the folder {printable(str(out))} should be UTF-8 text. Choose another one with --out."
        )
    backends = {name: get_backend(name) for name in request.formats if name != WEIGHTS}
    needed = [package for each in backends.values() for package in (*PACKAGES, *each.WRITES, *each.RUNS)]
    check_installed([*needed, *(weights_file.PACKAGES if WEIGHTS in request.formats else ())])
    return backends


def _ending_in(suffix: str, written: Path) -> Path:
    """Return a path with a suffix after its whole name, which may have dots, such as `v1.2`."""
    return written.with_name(written.name + suffix)


def _placed(exported: Exported, out: Path) -> Exported:
    """Move the files of an exported model into `out`."""
    return replace(exported, files=tuple(path.replace(out / path.name) for path in exported.files))


def _example(layout: Layout, bodies: int) -> torch.Tensor:
    clips, frames = _EXAMPLE
    return torch.randn(clips, bodies, frames, layout.num_joints, layout.coordinates)


def _weights(path: Path, model: SkeletonClassifier, facts: Mapping[str, Any]) -> Exported:
    weights_file.write_weights(path, model, facts)
    return Exported(WEIGHTS, (path,), path.stat().st_size)


def _preparation(data: DataConfig, clips: Sequence[Clip]) -> dict[str, bool]:
    """Return what `preprocess` did to the clips of a data set, see `ClipFront`, inferred from its clips."""
    center = data.skeleton.center
    return {
        "keep_gaps": bool(data.fps or data.source_fps) or any(clip.fps > 0 for clip in clips),
        "centers": all(_is_centered(clip, center) for clip in clips),
    }


def _is_centered(clip: Clip, center: int) -> bool:
    """Return whether joint `center` of the first body is the origin where it is first measured, if it ever is."""
    measured = clip.joint_mask[0, :, center]
    return not measured.any() or not clip.joints[0, measured.argmax(), center].any()


def _calibration(model: SkeletonClassifier, clips: Sequence[Clip], bodies: int) -> Calibration:
    """Return the calibration on clips that the model was not trained on; nothing measured without any."""
    usable, logits = _usable(model, clips, bodies, "calibrate the probabilities")
    if not usable:
        return Calibration()
    source = f"{counted(len(usable), 'training clip')} of {model.facts.dataset} that the run held out"
    return calibrate(np.concatenate(logits), np.array([clip.label for clip in usable]), model.facts.classes, source)


@torch.no_grad()
def _compared_with(model: SkeletonClassifier, clips: Sequence[Clip], bodies: int) -> _Compared:
    """Return recordings and the logits that `evaluate` computes: for clips, or for random recordings without any."""
    facts = model.facts
    usable, logits = _usable(model, clips, bodies, "compare the files")
    if usable:
        inputs = [array_of_clip(clip, bodies, facts.min_confidence or 0.0) for clip in usable]
        return _Compared(inputs, logits, f"{counted(len(usable), 'clip')} of {facts.dataset}", len(usable))
    recordings = random_recordings(facts.layout.num_joints, facts.layout.coordinates, bodies)
    logits = [model(*model_inputs(model, each)).numpy() for each in recordings]
    what = f"{counted(len(recordings), 'random recording')}"
    return _Compared([with_bodies(each, bodies) for each in recordings], logits, what, 0)


@torch.no_grad()
def _usable(
    model: SkeletonClassifier, clips: Sequence[Clip], bodies: int, purpose: str
) -> tuple[list[Clip], list[Floats]]:
    """Return the clips that have a joint of enough confidence, with the logits (1, K) of each; warn of the others."""
    lowest = model.facts.min_confidence or 0.0
    usable, logits = [], []
    for clip in clips:
        try:
            inputs = model_inputs(model, _of_bodies(clip, bodies, lowest))
        except (NoConfidentJoint, BadClip):
            continue
        usable.append(clip)
        logits.append(model(*inputs).numpy())
    if unusable := len(clips) - len(usable):
        _log.warning(
            "%d of %s to %s %s no joint of at least the confidence %g of the model's training: left out.",
            *(unusable, counted(len(clips), "clip"), purpose, "has" if unusable == 1 else "have", lowest),
        )
    return usable, logits


def _of_bodies(clip: Clip, bodies: int, min_confidence: float) -> Clip | Floats:
    """Return a clip; with its first bodies alone it is a recording, which may have frames without a body."""
    return clip if len(clip.joints) <= bodies else array_of_clip(clip, bodies, min_confidence)[0]


def random_recordings(joints: int, coordinates: int, bodies: int) -> list[Floats]:
    """Return recordings (M, F, V, C) of different lengths, half of them with missing joints and bodies."""
    random = np.random.default_rng(0)
    recordings = []
    for number, frames in enumerate(random.integers(1, 150, _RECORDINGS)):
        recording = random.normal(2.0, 0.5, size=(bodies, frames, joints, coordinates)).astype(np.float32)
        if number % 2:
            recording[random.random(recording.shape[:3]) < _MISSING] = np.nan
            recording[-1, frames // 3 : frames // 2] = 0.0
        if number % 4 == 0:
            recording[1:] = np.nan
        recordings.append(recording)
    return recordings


def _facts(checkpoint: Checkpoint, request: ExportRequest, model: SkeletonClassifier, bodies: int) -> dict[str, Any]:
    """Return the facts that a user of the files needs, as plain values."""
    config = checkpoint.config
    data, layout = config.data, config.data.skeleton
    classes = len(checkpoint.classes)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "last": __version__,
        "torch": str(torch.__version__),
        "opset": OPSET,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "model": config.model.title,
        "family": config.model.family,
        "parameters": count_parameters(model),
        "dataset": data.name,
        "split": data.split,
        "epoch": checkpoint.epoch,
        "seed": config.seed,
        "weights": checkpoint.kind_of_weights(request.no_ema),
        "checkpoint": request.checkpoint.name,
        "checkpoint_sha256": file_checksum(request.checkpoint),
        "input": {
            "name": INPUT,
            "shape": ["clips", bodies, "frames", layout.num_joints, layout.coordinates],
            "axes": ["clip", "body", "frame", "joint", "coordinate"],
            "missing": "a joint with a NaN is missing, and so should be one below `min_confidence`",
            "absent": "a body is absent from a frame where all its coordinates are 0 or NaN; the outputs of a clip "
            "without a body are NaN",
            "units": "pixels, y down" if layout.flat else "as in training, y up; metres for the data sets of LAST",
            "min_confidence": data.min_confidence,
        },
        "outputs": {name: ["clips", model.num_features if name == "features" else classes] for name in OUTPUTS},
        "inside": {
            "frames": config.input_frames,
            "sampling": asdict(data.sampling),
            "max_gap": data.max_gap,
            "normalize": asdict(data.normalize),
            "origin": f"joint {layout.joints[layout.center]!r} of the first body in the first frame where it is "
            "measured; if it never is, the mean of that body's joints in its first frame",
        },
        "frame_rate": data.fps or data.source_fps,
        "background": (data.intervals.background or "") if data.intervals.file else "",
        "layout": layout_facts(layout),
        "classes": list(checkpoint.classes),
    }


def _checked(name: str, written: Path, compared: _Compared, request: ExportRequest) -> Exported:
    """Run an exported file on all recordings, compare its logits with the model's, and time it.

    Raises:
        UserError: the logits differ by more than `TOLERANCE` of the largest one.
    """
    files = tuple(_ending_in(suffix, written) for suffix in get_backend(name).SUFFIXES)
    run = open_exported(files[0], request.threads, "f32", name).run
    pairs = zip(compared.inputs, compared.logits, strict=True)
    difference = max(float(np.abs(run(joints).logits - logits).max()) for joints, logits in pairs)
    allowed = TOLERANCE * max(1.0, *(float(np.abs(logits).max()) for logits in compared.logits))
    if not difference <= allowed:  # also true for NaN
        raise UserError(
            f"The {name} file has other logits than {request.checkpoint}: they differ by {difference:.3g}, "
            f"but only {allowed:.3g} is allowed. Nothing was written. "
            "Measure the checkpoint with `evaluate`; if it is sound, this is a defect of LAST."
        )
    seconds = []
    for number in range(_RUNS_BEFORE + _RUNS_TIMED):
        joints = compared.inputs[number % len(compared.inputs)]
        began = time.perf_counter()
        run(joints)
        seconds.append(time.perf_counter() - began)
    latency_ms = 1e3 * statistics.median(seconds[_RUNS_BEFORE:])
    return Exported(name, files, sum(path.stat().st_size for path in files), difference, latency_ms)


def _still_there(description: Path, facts: Mapping[str, Any], formats: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the description of files that an earlier export of the same model wrote in other formats."""
    try:
        before = read_json(description) if description.is_file() else {}
    except UserError:
        return []
    present = json.loads(json.dumps(facts))
    if any(before.get(key) != present[key] for key in present if key not in _OF_AN_EXPORT):
        return []
    found = before.get("exported")
    known = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    return [each for each in known if each.get("format") not in formats and _is_unchanged(each, description.parent)]


def _warn_of_others(out: Path, name: str, described: Sequence[str]) -> None:
    """Warn of files that have the name of an export and the ending of a format, and are not `described` by it."""
    suffixes = [suffix for each in usable_backends(warns=False).values() for suffix in each.SUFFIXES]
    names = [f"{name}{suffix}" for suffix in dict.fromkeys([*suffixes, weights_file.SUFFIX])]
    if others := [each for each in names if each not in described and (out / each).is_file()]:
        _log.warning(
            "In %s there %s %s, of an earlier export of another network, or changed since. Remove %s, or export "
            "again in the same format.",
            *(out, "is" if len(others) == 1 else "are", " and ".join(others), "it" if len(others) == 1 else "them"),
        )


def _is_unchanged(described: Mapping[str, Any], folder: Path) -> bool:
    files = described.get("files")
    return isinstance(files, dict) and all(
        (folder / name).is_file() and file_checksum(folder / name) == checksum for name, checksum in files.items()
    )


def _described(exported: Exported) -> Mapping[str, Any]:
    return {
        "format": exported.format,
        "files": {path.name: file_checksum(path) for path in exported.files},
        "largest_difference": exported.difference,
    }
