"""Checkpoints: everything that training needs to go on, and all a user needs to have the model back.

A checkpoint holds tensors and plain values only, and is read with `weights_only=True` alone: reading a foreign file
cannot run code.
"""

import hashlib
import io
import logging
import pickle
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..models.registry import build_model, family_config
from ..utils.config import Layer, merge
from ..utils.errors import UserError
from ..utils.files import atomic_path
from .config import RunConfig

_log = logging.getLogger(__name__)

FORMAT = "last-checkpoint"
FORMAT_VERSION = 1
HEAD = "classifier."  # where a model's state names the tensors that depend on its classes
_LIMIT_BYTES = 8 << 30
# What torch and its unpickler raise on a file that is torn or foreign.
_UNREADABLE = (
    pickle.UnpicklingError, RuntimeError, EOFError, OSError, LookupError, TypeError, AttributeError, AssertionError,
)  # fmt: skip
_KEYS = {
    "model",
    "optimizer",
    "scheduler",
    "scaler",
    "rng",
    "epoch",
    "best_acc",
    "best_epoch",
    "metrics",
    "config",
    "classes",
}


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        model, optimizer, scheduler, scaler: their states.
        rng: the random state of the CPU and of each CUDA device.
        epoch: the last finished epoch, counted from 0.
        best_acc, best_epoch: the best top-1 so far, in percent, and its epoch.
        metrics: the logbook's row of `epoch`.
        config: the run's resolved configuration.
        classes: the class names in the order of the logits.
    """

    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    scaler: Mapping[str, Any]
    rng: Mapping[str, Any]
    epoch: int
    best_acc: float
    best_epoch: int
    metrics: Mapping[str, Any]
    config: RunConfig
    classes: list[str]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        UserError: the disk is full or the folder cannot be written; an older file of that name stays.
    """
    content = {name: getattr(checkpoint, name) for name in _KEYS}
    content["config"] = asdict(checkpoint.config)
    header = {"format": FORMAT, "format_version": FORMAT_VERSION, "checksum": _checksum(content)}
    buffer = io.BytesIO()  # torch's writer hides what the system says about a full disk behind an error of its own
    torch.save({**header, **content}, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        UserError: the file is missing, torn, of another program or version, or its checksum is wrong.
    """
    content = _read(path)
    if content.get("format") != FORMAT:
        raise UserError(f"{path} is not a checkpoint of LAST. Choose a run's checkpoints/best_model.pth.")
    if content.get("format_version") != FORMAT_VERSION:
        raise UserError(
            f"{path} has the format version {content.get('format_version')}; this program reads version "
            f"{FORMAT_VERSION}. Use the version of LAST that wrote it."
        )
    if missing := _KEYS - set(content):
        raise UserError(f"{path} is damaged: it lacks {', '.join(sorted(missing))}.")
    body = {name: content[name] for name in _KEYS}
    if content.get("checksum") != _checksum(body):
        raise UserError(f"{path} is damaged: its checksum is wrong. Use another checkpoint of the run.")
    return Checkpoint(**{**body, "config": _config(path, body["config"])})


def load_checkpoint(path: Path | str, device: str = "cpu") -> nn.Module:
    """Return the trained model of a checkpoint, ready to classify (in evaluation mode).

    Raises:
        UserError: the file is not a whole checkpoint of LAST, or its weights do not fit its configuration.
    """
    return model_of(read_checkpoint(Path(path)), str(path)).to(device)


def model_of(checkpoint: Checkpoint, origin: str) -> nn.Module:
    """Build a checkpoint's model with its weights, in evaluation mode; `origin` names it in errors."""
    config = checkpoint.config
    model = build_model(config.model, len(checkpoint.classes), config.data.layout)
    load_weights(model, checkpoint.model, origin)
    return model.eval()


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Put `weights` into `model`.

    Raises:
        UserError: they belong to another model, or to another number of classes.
    """
    own = model.state_dict()
    different = [name for name in own.keys() | weights.keys() if _shape(own, name) != _shape(weights, name)]
    if different:
        name = min(different)
        raise UserError(
            f"The weights of {origin} do not fit the model: {len(different)} tensors differ, for example {name}: "
            f"{_shape(weights, name)} in the checkpoint, {_shape(own, name)} in the model. Use the model and the "
            "number of classes that the checkpoint was trained with."
        )
    model.load_state_dict(weights)


def start_from(model: nn.Module, path: Path) -> None:
    """Give `model` the backbone of a checkpoint and leave its head as it is, to fine-tune it on other classes.

    What the checkpoint has and the model cannot use is logged by name.

    Raises:
        UserError: the file is not a whole checkpoint, or less than half of the backbone fits the model.
    """
    weights, own = read_checkpoint(path).model, model.state_dict()
    backbone = {
        name: weights[name]
        for name in own.keys() & weights.keys()
        if not name.startswith(HEAD) and _shape(own, name) == _shape(weights, name)
    }
    fitting = sum(each.numel() for each in backbone.values())
    wanted = sum(each.numel() for name, each in own.items() if not name.startswith(HEAD))
    if fitting < wanted / 2:
        raise UserError(
            f"Of the model's {wanted:,} backbone numbers {path} has only {fitting:,} that fit. --init_from needs a "
            "checkpoint of the same --model."
        )
    model.load_state_dict({**own, **backbone})
    unused = ", ".join(sorted(weights.keys() - backbone.keys()))
    fresh = len(own) - len(backbone)
    _log.info(f"Took {len(backbone)} tensors from {path}; {fresh} start fresh. Not used of it: {unused or 'none'}.")


def _shape(weights: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(weights[name].shape) if name in weights else None


def _read(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb"):
            size = path.stat().st_size
    except OSError as error:
        raise UserError(
            f"Cannot read the checkpoint {path}: {error.strerror or error}. Give a file such as "
            "<run>/checkpoints/last.pth."
        ) from error
    if size > _LIMIT_BYTES:
        raise UserError(f"{path} is larger than {_LIMIT_BYTES} bytes, too large for a checkpoint.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch thinks of a foreign file is no news beside our refusal
            content = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise UserError(
            f"{path} is not a whole checkpoint: it is torn, or not of LAST. Use the other checkpoint of the run "
            "(last.pth or best_model.pth), or copy the file again."
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a checkpoint of LAST.")
    return content


def _config(path: Path, values: Any) -> RunConfig:
    """Return the configuration in a checkpoint, checked as if it were a file."""
    if not isinstance(values, dict) or not isinstance(values.get("model"), dict):
        raise UserError(f"{path} is damaged: it holds no configuration.")
    schema = replace(RunConfig(), model=family_config(str(values["model"].get("family"))))
    return merge(schema, [Layer(str(path), values)])


def _checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 over every tensor's name, type, shape and bytes, and over every other value."""
    digest = hashlib.sha256()
    for name, value in _leaves(content, ""):
        digest.update(name.encode())
        if isinstance(value, Tensor):
            flat = value.detach().cpu().contiguous()
            digest.update(f"{flat.dtype}{tuple(flat.shape)}".encode())
            digest.update(flat.reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()


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
