"""Models by name: lists and builds them."""

from pathlib import Path
from typing import Any

from torch import nn

from ..settings.model import ModelConfig, check_complete
from ..skeleton import Layout, load_layout
from ..utils.config import Layer, merge, section_layer
from ..utils.errors import UserError
from ..utils.foreign_text import short
from ..utils.model_files import model_files, model_layer
from ..utils.plug_ins import Kind, subclass_of
from .classifier import SkeletonClassifier
from .facts import ModelFacts
from .last_e import LastE, LastEConfig
from .last_v2 import LastV2, LastV2Config
from .multi_body import streams_of

# family -> (configuration class, model class); other families are modules of the package `families`
_OWN: dict[str, tuple[type[ModelConfig], Any]] = {
    "last_e": (LastEConfig, LastE),
    "last_v2": (LastV2Config, LastV2),
}
KIND = Kind(
    f"{__package__}.families",
    "model family",
    built_in=tuple(_OWN),
    needs={"Config": subclass_of(ModelConfig), "Model": subclass_of(SkeletonClassifier)},
)


def list_models() -> list[str]:
    """Return the names that `create_model` and `--model` accept, besides the path of a model's YAML file."""
    return list(model_files())


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters of a model."""
    return sum(each.numel() for each in model.parameters())


def list_families() -> list[str]:
    """Return the names that `model.family` accepts, without importing families of the package `families`."""
    return KIND.names()


def family_config(family: str) -> ModelConfig:
    """Return the default configuration of a model family.

    Raises:
        UserError: there is no such family, or its module cannot be used.
    """
    return _classes(family)[0]()


def build_model(config: ModelConfig, num_classes: int, layout: Layout | str) -> SkeletonClassifier:
    """Build the model that `config` describes, with fresh weights from torch's random state.

    Raises:
        UserError: it has no sizes, or its family does not support the streams.
    """
    check_complete(config)
    joints = load_layout(layout) if isinstance(layout, str) else layout
    model: SkeletonClassifier = _classes(config.family)[1](config, joints, num_classes)
    if model.streams != streams_of(config):
        raise UserError(
            f"model.streams, model.added_streams: the family {config.family} reads the streams "
            f"{', '.join(model.streams)} and no others, not {', '.join(streams_of(config))}."
        )
    model.facts = ModelFacts(config.name, joints, added_streams=config.added_streams)
    return model


def create_model(
    name: str | Path, num_classes: int = 60, layout: str | Path | Layout = "ntu25", **sizes: Any
) -> SkeletonClassifier:
    """Build a model by its name, with fresh weights.

    Args:
        name: one of `list_models()`, or the path of a model's YAML file.
        num_classes: the number of classes.
        layout: the joint layout of the input, such as `ntu25`, the path of a layout's YAML file, or a `Layout`.
        sizes: keys of the model's YAML to change, such as `dropout=0.5`.

    Raises:
        UserError: the name, the layout or a key is unknown, or a value is invalid.
    """
    _check_arguments(name, num_classes, layout)
    layer = section_layer(model_layer(str(name)), "model")
    changes = Layer("create_model", sizes)
    config = merge(family_config(layer.values["family"]), [layer, changes])
    return build_model(config, num_classes, layout if isinstance(layout, Layout) else str(layout))


def _classes(family: str) -> tuple[type[ModelConfig], Any]:
    """Return the configuration class and the model class of a family."""
    module = KIND.find(family)
    return _OWN[family] if module is None else (module.Config, module.Model)


def _check_arguments(name: object, num_classes: object, layout: object) -> None:
    """Refuse arguments of wrong types with a clearer message than torch's."""
    if not isinstance(name, str | Path):
        raise UserError(f"The name of a model should be one of {', '.join(model_files())}, not {short(name)}.")
    if not isinstance(num_classes, int) or isinstance(num_classes, bool) or num_classes < 1:
        raise UserError(f"num_classes: {short(num_classes)} should be a whole number from 1 up, such as 60.")
    if not isinstance(layout, str | Path | Layout):
        raise UserError(f"layout: {short(layout)} should be the name of a layout, such as ntu25, or a Layout.")
