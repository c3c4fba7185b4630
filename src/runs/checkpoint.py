"""Checkpoints: the file of the state that training resumes from, with all that is needed to build its model.

A checkpoint holds tensors and plain values only. `torch_file` reads nothing else, so a foreign file cannot run code and
takes no more memory than its size; `checkpoint_check` validates each field.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..models.batchnorm_stats import UNKNOWN_BATCHES, statistics_lag
from ..models.registry import family_config
from ..settings.run import EndOfRun, RunConfig
from ..skeleton import layout_facts
from ..tasks.measures import Measures, measures_from
from ..utils.config import Layer, merge
from ..utils.errors import UserError
from ..utils.files import atomic_path, read_whole
from ..utils.renamed_keys import with_present_keys
from ..utils.system_errors import reason
from .checkpoint_check import field_problem
from .torch_file import NotTorchFile, read_torch_file

FORMAT = "last-checkpoint"
FORMAT_VERSION = 2
_LIMIT_BYTES = 8 << 30


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file.

    It holds no random state: random choices are a function of seed, epoch and position in the epoch.

    Attributes:
        model, optimizer, scheduler, scaler: their states.
        ema, ema_steps: the averaged parameters by name, empty for a run without them, and the number of averaged steps
            or, of an average over epochs, of finished epochs.
        window: the gradients of the batches since the last update.
        guard: the counts of skipped batches and steps, in total and in a row.
        epoch: the last finished epoch, counted from 0; -1 in the first one.
        within: empty at the end of an epoch; within an epoch its progress: the `clips` drawn, and the sums for its row
            of the logbook.
        best_acc, best_epoch: the best value of the primary metric so far, and its epoch.
        metrics: the logbook's row of `epoch`.
        config: the run's resolved configuration.
        classes: the class names in the order of the logits.
        layout: the joints and bones of the skeletons.
        task: the state of the task beside the model, such as the adapters from a student's features to its teachers';
            missing in older files.
        statistics: BatchNorm statistics measured for testing, by buffer name: `averaged` those of the averaged weights,
            `trained` those of the trained ones where the running statistics lag behind them. Empty within an epoch and
            in older files.
        data: fingerprints of the training data (`data.fingerprints`); missing in older files.
        measures: the metrics of the task (`tasks.measures`); empty for classification without further ones.
        computed_with: torch's version, the device and its kernels (`training.computed_with`); missing in older files.
    """

    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    scaler: Mapping[str, Any]
    ema: Mapping[str, Tensor]
    ema_steps: int
    window: Mapping[str, Tensor]
    guard: Mapping[str, int]
    epoch: int
    within: Mapping[str, Any]
    best_acc: float
    best_epoch: int
    metrics: Mapping[str, Any]
    config: RunConfig
    classes: list[str]
    layout: Mapping[str, Any]
    task: Mapping[str, Tensor] = field(default_factory=dict)
    statistics: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, Any] = field(default_factory=dict)
    computed_with: Mapping[str, str] = field(default_factory=dict)

    @property
    def task_measures(self) -> Measures:
        """Return the metrics of the task that wrote it."""
        return measures_from(self.measures, "The checkpoint")

    @property
    def has_best(self) -> bool:
        """Whether an epoch of the run had a result."""
        return self.best_acc != self.task_measures.primary_metric.worst

    def is_end(self, end: EndOfRun) -> bool:
        """Return whether a run with this `end` ends with this state."""
        return not self.within and end.is_after(self.epoch, self.best_epoch if self.has_best else None)

    @property
    def progress(self) -> tuple[int, int]:
        """Return the number of finished epochs, and of clips drawn in the next one."""
        return self.epoch + 1, int(self.within.get("clips", 0))

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """Return the averaged weights, or the trained ones if the run does not average."""
        return self.weights_for(no_ema=False)

    def weights_for(self, no_ema: bool) -> Mapping[str, Tensor]:
        """Return the averaged weights, or with `no_ema` or without an average the trained ones; with statistics."""
        average = {} if no_ema else self.ema
        return {**self.model, **average, **self.statistics.get(self.kind_of_weights(no_ema), {})}

    def kind_of_weights(self, no_ema: bool) -> str:
        """Return which weights `weights_for` gives: `averaged`, or `trained` with `no_ema` or without an average."""
        return "averaged" if self.ema and not no_ema else "trained"

    def kind_of_statistics(self, no_ema: bool) -> str:
        """Return the origin of the BatchNorm statistics of these weights: `measured` for them, or `running`."""
        return "measured" if self.kind_of_weights(no_ema) in self.statistics else "running"

    def lacks_statistics(self, no_ema: bool) -> bool:
        """Return whether the running statistics lag behind these weights, or belong to other weights.

        The length of the run is estimated from the number of batches that its BatchNorms have counted.
        """
        if self.kind_of_statistics(no_ema) == "measured":
            return False
        counts = [int(each) for name, each in self.model.items() if name.endswith("num_batches_tracked")]
        if self.kind_of_weights(no_ema) == "averaged" or not counts:
            return bool(counts)
        clips = max(counts) * self.config.batch_size / max(1, self.epoch + 1)  # per epoch, approximately
        return statistics_lag(
            self.config.optimization, round(clips), self.guard.get("batches_since_reset", UNKNOWN_BATCHES)
        )


_KEYS = {item.name for item in fields(Checkpoint)}
_ABSENT_IN_OLDER: dict[str, Any] = {item.name: {} for item in fields(Checkpoint) if item.default_factory is dict}


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically.

    Raises:
        UserError: the disk is full or the folder is not writable; an older file of that name is kept.
    """
    content = {name: getattr(checkpoint, name) for name in _KEYS if name != "measures" or checkpoint.measures}
    content["config"] = asdict(checkpoint.config)
    content["model"] = dict(checkpoint.model)  # without the attributes of a state dict
    header = {"format": FORMAT, "format_version": FORMAT_VERSION, "checksum": _checksum(content)}
    buffer = io.BytesIO()  # torch hides an error of the disk behind one of its own
    torch.save({**header, **content}, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        UserError: the file is missing, incomplete, of another program or version, or its checksum is wrong.
    """
    return parse_checkpoint(checkpoint_bytes(path), str(path))


def checkpoint_bytes(path: Path) -> bytes:
    """Return the bytes of a file that is not too large for a checkpoint.

    Raises:
        UserError: the file is missing, cannot be read, is too large, or is an exported file.
    """
    if path.suffix in (".onnx", ".xml"):
        raise UserError(
            f"{path} is an exported file, not a checkpoint: last.Recognizer and `predict` run it. Give a checkpoint "
            "such as <run>/checkpoints/last.pth."
        )
    try:
        return read_whole(path, _LIMIT_BYTES, "a checkpoint")
    except OSError as error:
        raise UserError(
            f"Cannot read the checkpoint {path}: {reason(error)}. Give a file such as <run>/checkpoints/last.pth."
        ) from error


def parse_checkpoint(content: bytes, origin: str) -> Checkpoint:
    """Return the checkpoint in the bytes of a file; `origin` names it in errors.

    Raises:
        UserError: they are incomplete, of another program or version, or the checksum is wrong.
    """
    values = _load(content, origin)
    if values.get("format") != FORMAT:
        raise UserError(f"{origin} is not a checkpoint of LAST. Choose a run's checkpoints/best_model.pth.")
    if values.get("format_version") != FORMAT_VERSION:
        raise UserError(
            f"{origin} has the format version {values.get('format_version')}; this program reads version "
            f"{FORMAT_VERSION}. Use the version of LAST that wrote it."
        )
    values = {**_ABSENT_IN_OLDER, **values}
    if missing := _KEYS - set(values):
        raise UserError(f"{origin} is damaged: it lacks {', '.join(sorted(missing))}.")
    body = {name: values[name] for name in _KEYS}
    if values.get("checksum") != _checksum(body):
        raise UserError(f"{origin} is damaged: its checksum is wrong. Use another checkpoint of the run.")
    if problem := field_problem(body):
        raise UserError(f"{origin} is damaged: {problem}. Use another checkpoint of the run.")
    checkpoint = Checkpoint(**{**body, "config": _config(origin, body["config"])})
    if dict(checkpoint.layout) != layout_facts(checkpoint.config.data.skeleton):
        raise UserError(
            f"{origin} was made for another layout named {checkpoint.config.data.layout} than this program has. Use "
            "the version of LAST that wrote it."
        )
    return checkpoint


def _load(content: bytes, origin: str) -> Mapping[str, Any]:
    try:
        values = read_torch_file(content)
    except NotTorchFile as error:
        raise UserError(
            f"{origin} is not a complete checkpoint of LAST: it is damaged or foreign ({error}). Use another of the "
            "run (last.pth or best_model.pth), or copy the file again."
        ) from error
    if not isinstance(values, dict):
        raise UserError(f"{origin} is not a checkpoint of LAST.")
    return values


def _config(origin: str, values: Any) -> RunConfig:
    """Return the configuration in a checkpoint, validated like one in a file."""
    if not isinstance(values, dict) or not isinstance(values.get("model"), dict):
        raise UserError(f"{origin} is damaged: it holds no configuration.")
    schema = replace(RunConfig(), model=family_config(str(values["model"].get("family"))))
    return merge(schema, [Layer(origin, with_present_keys(values))])


def _checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 over the name, type, shape and bytes of every tensor, and over every other value."""
    digest = hashlib.sha256()
    for name, value in _leaves(content, ""):
        digest.update(name.encode("utf-8", "surrogatepass"))
        if isinstance(value, Tensor):
            flat = value.detach().cpu().contiguous()
            digest.update(f"{flat.dtype}{tuple(flat.shape)}".encode())
            digest.update(flat.reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()


def weights_checksum(checkpoint: Checkpoint) -> str:
    """Return the SHA-256 over the weights of a checkpoint, which is the same for every copy of a model."""
    return _checksum(checkpoint.weights)


def of_equal_weights(checksums: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """Return the names of the first two networks with equal weights, given names and checksums; None if all differ."""
    seen: dict[str, str] = {}
    for name, checksum in checksums:
        if checksum in seen:
            return seen[checksum], name
        seen[checksum] = name
    return None


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield every leaf of nested mappings and lists with its dotted name, in a fixed order."""
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from _leaves(value[key], f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{name}.{index}")
    else:
        yield name, value
