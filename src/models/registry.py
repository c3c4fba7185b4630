"""Models by name: which there are, and building one."""

from typing import Any

from torch import nn

from ..skeleton import Layout, load_layout
from ..utils.config import MODEL_FILES, Layer, merge, model_layer, section_layer
from ..utils.errors import UserError
from .config import ModelConfig
from .last_e import LastE, LastEConfig
from .last_v2 import LastV2, LastV2Config

# family -> (configuration class, model class)
_FAMILIES: dict[str, tuple[type[ModelConfig], Any]] = {
    "last_e": (LastEConfig, LastE),
    "last_v2": (LastV2Config, LastV2),
}


def list_models() -> list[str]:
    """Return the names that `create_model` and `--model` accept."""
    return list(MODEL_FILES)


def count_parameters(model: nn.Module) -> int:
    """Return how many numbers of a model are trained."""
    return sum(each.numel() for each in model.parameters())


def family_config(family: str) -> ModelConfig:
    """Return the default configuration of a model family.

    Raises:
        UserError: there is no such family.
    """
    if family not in _FAMILIES:
        raise UserError(f"There is no model family {family!r}. The families are: {', '.join(_FAMILIES)}.")
    return _FAMILIES[family][0]()


def build_model(config: ModelConfig, num_classes: int, layout: Layout | str) -> nn.Module:
    """Build the model that `config` describes, with fresh weights from torch's random state."""
    joints = load_layout(layout) if isinstance(layout, str) else layout
    model: nn.Module = _FAMILIES[config.family][1](config, joints, num_classes)
    return model


def create_model(name: str, num_classes: int = 60, layout: str = "ntu25", **sizes: Any) -> nn.Module:
    """Build a model by its name, with fresh weights.

    Args:
        name: one of `list_models()`.
        num_classes: the number of classes.
        layout: the joint layout of the input, such as `ntu25`, or the path of a layout's YAML file.
        sizes: keys of the model's YAML to change, such as `dropout=0.5`.

    Raises:
        UserError: the name, the layout or a key is unknown, or a value is impossible.
    """
    layer = section_layer(model_layer(name), "model")
    changes = Layer("create_model", sizes)
    config = merge(family_config(layer.values["family"]), [layer, changes])
    return build_model(config, num_classes, layout)
