"""Loading teachers, refusing unsuitable ones, and computing their outputs.

Legend: N clips, C coordinates, T frames, V joints, M bodies.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data.loading.loader import Batch
from ..evaluation.unusable_clips import unusable
from ..models.classifier import ForwardDetails, SkeletonClassifier
from ..models.layers import widened
from ..models.registry import count_parameters
from ..runs.checkpoint import Checkpoint, checkpoint_bytes, of_equal_weights, parse_checkpoint, weights_checksum
from ..runs.checkpoint_model import model_of
from ..runs.history import resolve_checkpoint, runs_below
from ..runtime.compilation import compile_where_possible
from ..runtime.distributed import World
from ..runtime.precision import precision_of_a_run
from ..settings.run import RunConfig
from ..tasks.measures import CLASSIFICATION
from ..utils.errors import UserError
from ..utils.names import contrast
from ..utils.spread import finite_or_none
from .methods import FEATURES, LOGITS, MAPS, compared
from .teacher_outputs import TeacherOutputs

_log = logging.getLogger(__name__)

_METRIC = CLASSIFICATION.primary_metric


@dataclass(frozen=True)
class Teacher:
    """A trained model used as a teacher.

    Attributes:
        path: its checkpoint.
        fingerprint: the fingerprint of its weights.
        config: the configuration of the run that trained it.
        model: frozen and in evaluation mode.
        accuracy: the primary metric of classification at the checkpoint's epoch, on the test part of that run's
            protocol; NaN if it was not tested.
        data: the fingerprints of its training data; empty for older checkpoints.
    """

    path: str
    fingerprint: str
    config: RunConfig
    model: SkeletonClassifier
    accuracy: float
    data: Mapping[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """Return the teacher's entry in a run's summary."""
        config = self.config
        return {
            "path": self.path,
            "fingerprint": self.fingerprint,
            "model": config.model.name,
            "parameters": count_parameters(self.model),
            "streams": list(self.model.streams),
            "dataset": config.data.name,
            "split": config.data.split,
            "seed": config.seed,
            "label_smoothing": config.used_label_smoothing,
            _METRIC.name: finite_or_none(self.accuracy),
        }

    def __str__(self) -> str:
        facts = self.facts
        name = self.config.model.title
        known = "" if math.isnan(self.accuracy) else f", {self.accuracy:.2f} {_METRIC.title}"
        return (
            f"{name} ({facts['parameters']:,} parameters{known} on {facts['dataset']} {facts['split']}, "
            f"seed {facts['seed']})"
        )


def load_teachers(config: RunConfig, world: World) -> tuple[RunConfig, list[Teacher]]:
    """Load the teachers in a configuration; return it with their fingerprints, and the teachers.

    Raises:
        UserError: a checkpoint is missing or damaged, does not suit this run, or has changed since the run started.
    """
    wanted = config.distillation
    if not wanted.teachers:
        return config, []
    teachers = [_read(path, config, world) for path in wanted.teachers]
    fingerprints = [each.fingerprint for each in teachers]
    if wanted.fingerprints and wanted.fingerprints != fingerprints:
        changed = [each.path for each in teachers if each.fingerprint not in wanted.fingerprints]
        raise UserError(
            "The teachers are not those that the run was started with: "
            f"{', '.join(changed) or 'their number or order'} changed. Use the same ones, or start a new run with "
            "--teacher."
        )
    if not wanted.fingerprints:  # else an older version may have started the run
        _refuse_repeated(teachers)
    updated = replace(wanted, teachers=[each.path for each in teachers], fingerprints=fingerprints)
    return replace(config, distillation=updated), teachers


def _refuse_repeated(teachers: Sequence[Teacher]) -> None:
    """Refuse equal teachers: one network would count twice.

    Raises:
        UserError: the weights of two are equal.
    """
    if equal := of_equal_weights((each.path, each.fingerprint) for each in teachers):
        raise UserError(
            f"The teachers {equal[0]} and {equal[1]} have the same weights: name each network once. One that should "
            "count more has its number in distillation.weights."
        )


def _file(path: str, roots: Sequence[Path]) -> bytes:
    """Return the path of a teacher's checkpoint as bytes: the file itself, or the last epoch of a run.

    In another session the teachers may be elsewhere, so a missing file is searched in a run of the same name below
    `roots`.
    """
    if not path:
        raise UserError("--teacher is empty. Give a run, or a checkpoint such as <run>/checkpoints/last.pth.")
    file = resolve_checkpoint(Path(path).absolute())
    if not file.exists() and roots:
        name = file.parent.parent.name
        elsewhere = [run.path / file.parent.name / file.name for run in runs_below(roots) if run.path.name == name]
        file = next((each for each in elsewhere if each.exists()), file)
    return str(file).encode()


def _read(named: str, config: RunConfig, world: World) -> Teacher:
    """Load one teacher; the first process finds, reads and validates the file for all processes."""
    # A moved teacher is identified by its fingerprint.
    roots = (config.output_root, *config.input_roots) if config.distillation.fingerprints else ()
    path = Path(world.broadcast(lambda: _file(named, [Path(root) for root in roots])).decode())

    def fitting() -> bytes:
        content = checkpoint_bytes(path)
        _refuse_unfit(parse_checkpoint(content, str(path)), path, config)
        return content

    checkpoint = parse_checkpoint(world.broadcast(fitting), str(path))
    for warning in _warnings_about(checkpoint, config):
        _log.warning("The teacher %s %s", path, warning)
    model = model_of(checkpoint, str(path)).requires_grad_(False)
    prefix = "ema_" if checkpoint.ema else ""
    return Teacher(
        path=str(path),
        fingerprint=weights_checksum(checkpoint)[:16],
        config=checkpoint.config,
        model=model,
        accuracy=float(checkpoint.metrics.get(f"{prefix}test_{_METRIC.name}", math.nan)),
        data=dict(checkpoint.data),
    )


def _refuse_unfit(checkpoint: Checkpoint, path: Path, ours: RunConfig) -> None:
    """Refuse a teacher with other classes or other inputs than the student.

    Raises:
        UserError: classes, layout, frames or normalisation differ; the message names all differences.
    """
    theirs = checkpoint.config
    read, given = theirs.model.added_streams, ours.model.added_streams
    other_classes = contrast(checkpoint.classes, ours.data.classes)
    facts: dict[str, tuple[object, object]] = {
        "classes": (f"{len(checkpoint.classes)}{other_classes}", f"{len(ours.data.classes)}"),
        "layout": (theirs.data.skeleton, ours.data.skeleton),
        "input_frames": (theirs.input_frames, ours.input_frames),
        "data.normalize": (asdict(theirs.data.normalize), asdict(ours.data.normalize)),
        "model.added_streams": (read, {name: given[name] for name in read if name in given}),
    }
    lines = [
        f"  {name}: {_short(its)}, the student's {_short(own)}" for name, (its, own) in facts.items() if its != own
    ]
    if lines:
        raise UserError(
            f"The teacher {path} does not suit {ours.model.name}:\n" + "\n".join(lines) + "\nChoose a teacher that was "
            "trained for the same classes and skeletons, and set input_frames and data.normalize to the teacher's."
        )


def _warnings_about(checkpoint: Checkpoint, ours: RunConfig) -> list[str]:
    """Return warnings about a teacher whose training makes the student's result too high, or that is unfinished."""
    theirs = checkpoint.config
    warnings = []
    if checkpoint.within:
        warnings.append("is the state of a run that was stopped within an epoch.")
    if ours.distillation.unseen_only:
        return warnings  # which clips a teacher was trained on is then known exactly
    if (theirs.data.name, theirs.data.split) != (ours.data.name, ours.data.split):
        warnings.append(
            f"was trained on {theirs.data.name} {theirs.data.split}, perhaps on test clips of the student's "
            f"{ours.data.name} {ours.data.split}: the student's accuracy may be too high."
        )
    if theirs.label_fraction > ours.label_fraction:
        warnings.append(
            f"was trained with {theirs.label_fraction:.0%} of the labels, the student may use "
            f"{ours.label_fraction:.0%}: its outputs contain information from more labels than that."
        )
    held_out = [(each.validation, each.validation_fraction, each.seed) for each in (theirs, ours)]
    if ours.validation == "split" and held_out[0] != held_out[1]:
        warnings.append("has trained on clips that this run holds out: its validation accuracy is too high.")
    return warnings


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 120 else f"{text[:120]}..."


class LiveTeachers:
    """Source of teacher outputs that runs the teachers on every batch.

    Each computes in its training precision, if the device is fast at it.

    Args:
        teachers: the teachers.
        method: the method of distillation, which decides which outputs are needed.
        device: the student's device.

    Raises:
        UserError: the method compares stages, and theirs differ.
    """

    def __init__(self, teachers: Sequence[Teacher], method: str, device: torch.device) -> None:
        self.device, self.compares = device, compared(method)
        self.paths = [each.path for each in teachers]
        self._models = [each.model.to(device) for each in teachers]
        formats = [(each.config.amp, each.config.hardware.amp_dtype) for each in teachers]
        found = {each: precision_of_a_run(*each, device) for each in dict.fromkeys(formats)}  # reports each once
        self._precisions = [found[each] for each in formats]
        details = [
            forward_details(model, each.config.input_frames, device)
            for model, each in zip(self._models, teachers, strict=True)
        ]
        if self.compares == MAPS:
            maps = [each.activation_maps for each in details]
            refuse_other_stages(maps, [each.path for each in teachers], method)
        self.clip_shapes = self._collect(details).clip_shapes

    def compile(self, cuda_graphs: bool) -> None:
        """Compile the teachers where that is possible."""
        for model in self._models:
            compile_where_possible(model, self.device, cuda_graphs)

    @property
    def precisions(self) -> list[str]:
        """Return the number formats of the teachers."""
        return [str(each) for each in self._precisions]

    @torch.no_grad()
    def __call__(self, streams: Mapping[str, Tensor], batch: Batch) -> TeacherOutputs:
        """Return the teacher outputs for a batch; `streams` are (N, C, T, V, M)."""
        details: list[ForwardDetails] = []
        needs_details = self.compares != LOGITS
        for model, precision in zip(self._models, self._precisions, strict=True):
            with precision.autocast():
                read = {name: streams[name] for name in model.streams}  # a student may read more
                # A store has finite numbers only, the guard handles the rest, and a GPU's host does not wait.
                output = model(read, batch.bodies, batch.body_slots, return_details=needs_details, check_values=False)
            details.append(output if needs_details else ForwardDetails(output, output, []))
        return self._collect(details)

    def with_unusable_clips(self, streams: Mapping[str, Tensor], batch: Batch) -> tuple[TeacherOutputs, Tensor]:
        """Return the teacher outputs for an unsanitised batch, and its unusable clips, (N,) bool.

        The outputs of unusable clips are not finite, nor is then the student's loss, and its guard skips the batch.
        """
        teacher_outputs = self(streams, batch)
        return teacher_outputs, unusable(streams, batch.bodies, teacher_outputs.packed())

    def _collect(self, details: Sequence[ForwardDetails]) -> TeacherOutputs:
        """Return the outputs that the method compares, in float32 at least."""
        logits = torch.stack([widened(each.logits) for each in details], dim=1)  # (N, W, K)
        if self.compares == FEATURES:
            return TeacherOutputs(logits, features=[widened(each.features) for each in details])
        if self.compares == MAPS:
            stages = zip(*(each.activation_maps for each in details), strict=True)
            return TeacherOutputs(
                logits, maps=[torch.stack([widened(each) for each in stage], dim=1) for stage in stages]
            )
        return TeacherOutputs(logits)


@torch.no_grad()
def forward_details(model: nn.Module, input_frames: int, device: torch.device) -> ForwardDetails:
    """Return a model's details for a clip of zeros, for their shapes; its mode and statistics are unchanged."""
    assert isinstance(model, SkeletonClassifier)
    shape = (1, model.coordinates, input_frames, model.num_joints, 1)
    streams = dict.fromkeys(model.streams, torch.zeros(shape, device=device))
    was_training = model.training
    details: ForwardDetails = model.eval()(streams, return_details=True, check_values=False)
    model.train(was_training)
    return details


def refuse_other_stages(maps: Sequence[Sequence[Tensor]], names: Sequence[str], method: str) -> None:
    """Refuse to compare models whose stages differ in number, frames or joints.

    Args:
        maps: of the stages, one list per model.
        names: of the models.
        method: what compares them.

    Raises:
        UserError: they differ.
    """
    shapes = [[tuple(each.shape[1:]) for each in own] for own in maps]
    for name, own in zip(names, shapes, strict=True):
        if own != shapes[0]:
            raise UserError(
                f"The method {method} needs models whose stages have the same frames and joints: {names[0]} has "
                f"{shapes[0]}, {name} has {own}. Use another --method."
            )
