"""The model of a checkpoint.

A checkpoint is validated by `checkpoint`; here its weights are compared with the model that its configuration describes
before they are loaded.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..models.classifier import SkeletonClassifier
from ..models.facts import ModelFacts
from ..models.registry import build_model
from ..runtime.precision import usable_device
from ..utils.errors import UserError
from .checkpoint import Checkpoint, read_checkpoint
from .history import resolve_checkpoint

_log = logging.getLogger(__name__)

HEAD = "classifier."  # where a model's state names the tensors that depend on its classes


def load_checkpoint(path: Path | str, device: str | torch.device = "cpu", no_ema: bool = False) -> SkeletonClassifier:
    """Return the trained model of a checkpoint, ready to classify (in evaluation mode).

    Its `facts` describe its inputs, the meaning of its logits and its training data; `last.model_inputs(model, clip)`
    makes model inputs from a clip.

    Args:
        path: the file, or the folder of a run for its last epoch.
        device: the device of the model, in torch's notation, or `auto` for a GPU if there is one.
        no_ema: load the trained weights even if the run averaged them over time (`ema.decay`).

    Raises:
        UserError: the file is not a complete checkpoint of LAST, its weights do not fit its configuration, or the
            device does not exist.
    """
    target = usable_device(device)
    path = resolve_checkpoint(Path(path))
    checkpoint = read_checkpoint(path)
    warn_of_lagging_statistics(checkpoint, str(path), no_ema)
    return model_of(checkpoint, str(path), no_ema).to(target)


def warn_of_lagging_statistics(checkpoint: Checkpoint, origin: str, no_ema: bool) -> None:
    """Log a warning if the BatchNorm statistics do not belong to the weights."""
    if checkpoint.lacks_statistics(no_ema):
        _log.warning(
            "%s holds %s weights without matching BatchNorm statistics: it was saved within an epoch or after an "
            "untested one, or by an older version. Its accuracy may be far too low; `evaluate` measures the statistics "
            "from the data.",
            *(origin, checkpoint.kind_of_weights(no_ema)),
        )


def model_of(checkpoint: Checkpoint, origin: str, no_ema: bool = False) -> SkeletonClassifier:
    """Build the model of a checkpoint with its weights, in evaluation mode; `origin` names the file in errors."""
    config = checkpoint.config
    if not checkpoint.task_measures.classifies:
        raise UserError(
            f"{origin} is of the task {checkpoint.task_measures.task}, not of classification: it cannot be evaluated, "
            "exported or used as a teacher. It can be resumed, and --init_from loads the weights that fit."
        )
    refuse_other_sizes(checkpoint, origin)
    model = build_model(config.model, len(checkpoint.classes), config.data.skeleton)
    load_weights(model, checkpoint.weights_for(no_ema), origin)
    model.facts = facts_of(checkpoint)
    return model.eval()


def refuse_other_sizes(checkpoint: Checkpoint, origin: str) -> None:
    """Refuse a checkpoint whose weights do not fit its configuration, before a model of that size is built.

    Raises:
        UserError: its weights are of other sizes.
    """
    config = checkpoint.config
    if not checkpoint.task_measures.classifies:
        return  # another task may have another model than the configuration's classifier
    if sum(getattr(config.model, "blocks", [])) > len(checkpoint.model):  # each block has at least one tensor
        raise UserError(f"{origin} is damaged: its model has fewer blocks than its configuration.")
    with torch.device("meta"):
        model = build_model(config.model, len(checkpoint.classes), config.data.skeleton)
    _refuse_other_shapes(model.state_dict(), checkpoint.model, origin)


def facts_of(checkpoint: Checkpoint) -> ModelFacts:
    """Return what a checkpoint holds about its model beside the weights."""
    config, data = checkpoint.config, checkpoint.config.data
    return ModelFacts(
        name=config.model.name,
        layout=data.skeleton,
        classes=tuple(checkpoint.classes),
        input_frames=config.input_frames,
        bodies=data.bodies,
        sampling=data.sampling,
        normalize=data.normalize,
        min_confidence=data.min_confidence,
        max_gap=data.max_gap,
        dataset=data.name,
        split=data.split,
        seed=config.seed,
        epoch=checkpoint.epoch,
        added_streams=config.model.added_streams,
    )


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Load `weights` into `model`.

    Raises:
        UserError: they belong to another model, or to another number of classes.
    """
    _refuse_other_shapes(model.state_dict(), weights, origin)
    model.load_state_dict(weights)


def _refuse_other_shapes(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], origin: str) -> None:
    different = [name for name in own.keys() | weights.keys() if _shape(own, name) != _shape(weights, name)]
    if different:
        name = min(different)
        raise UserError(
            f"The weights of {origin} do not fit the model: {len(different)} tensors differ, for example {name}: "
            f"{_shape(weights, name)} in the checkpoint, {_shape(own, name)} in the model. Use the model and the "
            "number of classes that the checkpoint was trained with."
        )


def _shape(weights: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(weights[name].shape) if name in weights else None
