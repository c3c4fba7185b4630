"""Models by name, with fresh weights or with those that come with the program, to begin with."""

from pathlib import Path
from typing import Any

from ..models.classifier import SkeletonClassifier
from ..models.registry import create_model as create_untrained
from ..skeleton import Layout
from ..utils.errors import UserError
from .backbone import load_backbone
from .checkpoint import read_checkpoint
from .checkpoint_model import load_checkpoint
from .shipped_weights import pretrained_file


def create_model(
    name: str | Path,
    num_classes: int | None = None,
    layout: str | Path | Layout | None = None,
    *,
    pretrained: str = "",
    **sizes: Any,
) -> SkeletonClassifier:
    """Build a model by its name, with fresh weights or with weights that come with the program.

    Args:
        name: one of `list_models()`, or the path of a model's YAML file.
        num_classes: the number of classes; by default 60, or those of the weights.
        layout: the joint layout of the input, such as `ntu25`, the path of a layout's YAML file, or a `Layout`; by
            default `ntu25`, or that of the weights.
        pretrained: `synthetic`, the weights of a `nano_e` that was trained on the synthetic data set; empty for fresh
            ones. With other classes or another layout, what depends on them has fresh weights.
        sizes: keys of the model's YAML to change, such as `dropout=0.5`.

    Raises:
        UserError: a name, the layout or a key is unknown, a value is invalid, or the weights do not fit the model.
    """
    if not pretrained:
        return create_untrained(name, 60 if num_classes is None else num_classes, layout or "ntu25", **sizes)
    path = pretrained_file(pretrained)
    checkpoint = read_checkpoint(path)
    config = checkpoint.config.model
    if config.name != str(name):
        raise UserError(
            f"The weights {pretrained!r} are of {config.name}, not of {name}: "
            f"create_model({config.name!r}, pretrained={pretrained!r})."
        )
    if num_classes is None and layout is None and not sizes:
        return load_checkpoint(path)
    classes = len(checkpoint.classes) if num_classes is None else num_classes
    model = create_untrained(name, classes, checkpoint.config.data.layout if layout is None else layout, **sizes)
    load_backbone(model, config, model.facts.layout, path)
    return model
