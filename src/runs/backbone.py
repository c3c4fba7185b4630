"""The backbone of a checkpoint as the start of another training: fine-tuning on other classes, or another layout."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..models.registry import build_model
from ..settings.model import ModelConfig, without_switches
from ..skeleton import Layout
from ..utils.errors import UserError
from ..utils.names import first_few
from ..utils.numbers import counted
from .checkpoint import Checkpoint, read_checkpoint
from .checkpoint_model import HEAD
from .history import resolve_checkpoint

_log = logging.getLogger(__name__)

_NAMED = 3


def load_backbone(model: nn.Module, sizes: ModelConfig, layout: Layout, path: Path) -> None:
    """Load the backbone of a checkpoint into `model` and keep its classifier, to fine-tune it on other classes.

    The checkpoint may be of another layout. Tensors that depend on the joints, such as a learned adjacency, then keep
    the initial weights of `model`, also if both layouts have as many joints, since these are other joints. What was
    loaded is logged.

    Args:
        model: a new model.
        sizes, layout: its configuration, and the layout of its input.
        path: the checkpoint, or the folder of a run for its last epoch.

    Raises:
        UserError: the file is not a complete checkpoint, or less than half of the backbone fits the model, without what
            switches of its architecture add.
    """
    checkpoint = read_checkpoint(resolve_checkpoint(path))
    weights, own = checkpoint.weights, model.state_dict()
    before, now = checkpoint.config.data.skeleton, layout
    of_layout = _depending_on_layout(sizes, own, before, now)
    wanted = [name for name in own if not name.startswith(HEAD) and name not in of_layout]
    backbone = {name: weights[name] for name in wanted if name in weights and weights[name].shape == own[name].shape}
    added = _shapes(sizes, layout).keys() - _shapes(without_switches(sizes), layout).keys()
    fitting, needed = (sum(own[name].numel() for name in names if name not in added) for names in (backbone, wanted))
    if fitting < needed / 2:
        theirs, ours = checkpoint.config.model.name, sizes.name
        differ = f" It is of {theirs}, and this model is {ours}." if theirs != ours else ""
        raise UserError(
            f"Only {fitting:,} of the model's {needed:,} backbone parameters fit those of {path}. --init_from needs a "
            f"checkpoint of the same --model.{differ}"
        )
    model.load_state_dict({**own, **backbone})
    total = sum(each.numel() for name, each in own.items() if not name.startswith(HEAD))
    fresh = len(own) - len(backbone)
    unused = ", ".join(sorted(weights.keys() - backbone.keys()))
    lacking = sorted(set(wanted) - backbone.keys())
    others = f", and {counted(len(lacking), 'tensor')} that it lacks or has in another shape" if lacking else ""
    others += f" ({first_few(lacking, _NAMED)})" if lacking else ""
    _log.info(
        f"Loaded {len(backbone)} tensors from {path}, which is {_described(checkpoint, now)}: {fitting / total:.1%} of "
        f"the backbone. {fresh} are newly initialised: the classifier{_named(of_layout, before, now)}{others}. "
        f"Unused: {unused or 'none'}."
    )


def _depending_on_layout(model: ModelConfig, own: Mapping[str, Tensor], before: Layout, now: Layout) -> Collection[str]:
    """Return the names of the tensors that cannot be taken from a model of the layout `before`.

    They are those whose shape depends on the number of coordinates, if it differs, and those whose shape depends on the
    number of joints, if the joints differ.
    """
    if (before.joints, before.bones, before.coordinates) == (now.joints, now.bones, now.coordinates):
        return set()
    longer = replace(now, joints=(*now.joints, "another"), bones=(*now.bones, (now.num_joints, now.root)))
    found = set()
    for other in (replace(now, coordinates=before.coordinates), longer):
        shapes = _shapes(model, other)
        # A task with a model of its own has tensors that this one lacks.
        found |= {name for name, each in own.items() if name in shapes and shapes[name] != each.shape}
    return {name for name in found if not name.startswith(HEAD)}


def _shapes(model: ModelConfig, layout: Layout) -> dict[str, torch.Size]:
    """Return the shape of each tensor of a model with one class."""
    with torch.device("meta"):
        return {name: each.shape for name, each in build_model(model, 1, layout).state_dict().items()}


def _described(checkpoint: Checkpoint, now: Layout) -> str:
    """Return what a checkpoint is of, with its layout if that is not the one that is trained `now`."""
    config = checkpoint.config
    layout = config.data.skeleton.name
    other = f", layout {layout}" if layout != now.name else ""
    return f"{config.model.title} of {config.data.name} ({counted(len(checkpoint.classes), 'class')}{other})"


def _named(of_layout: Collection[str], before: Layout, now: Layout) -> str:
    """Return what else is newly initialised, because it depends on the layout."""
    if not of_layout:
        return ""
    return (
        f", and {counted(len(of_layout), 'tensor')} of the layout, which is {now.name} instead of {before.name} "
        f"({first_few(sorted(of_layout), _NAMED)})"
    )
