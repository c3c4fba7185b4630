"""The settings of plug-ins: each is checked by the plug-in's own dataclass, where it stands, before anything is built.

The configuration holds them as plain values, so that a run can be read without the plug-ins' packages.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ..data.loading.added_streams import get_stream
from ..data.loading.augmentations import get_augmentation
from ..distillation.methods import find_method
from ..evaluation.clip_metrics import get_metric
from ..settings.run import RunConfig
from ..tasks.recipe import get_recipe
from ..training.optimizers import get_optimizer
from ..utils.config import Layer
from ..utils.plug_ins import NoSettings, plug_in_settings

_OF_COMMAND = 2  # the last layers are of `--set` and of flags


def with_plug_in_settings(config: RunConfig, layers: Sequence[Layer]) -> RunConfig:
    """Return a configuration whose plug-ins have all their settings, checked.

    Args:
        config: what `layers` make.
        layers: the lowest first, the last two those of the command; errors name them.

    Raises:
        UserError: there is no plug-in of a name, or a setting of one is unknown or impossible.
    """
    recipe = get_recipe(config.task)
    task: Any = NoSettings if recipe is None else sys.modules[type(recipe).__module__]
    task_settings = _settings(task, _since_chosen(layers, "task"), "task_settings")
    own = _since_chosen(layers, "optimizer")
    settings = _settings(get_optimizer(config.optimizer), own, "optimizer_settings")
    added = {
        name: _settings(get_augmentation(name), layers, f"data.augment.added.{name}")
        for name in config.data.augment.added
    }
    data = replace(config.data, augment=replace(config.data.augment, added=added))
    method = find_method(config.distillation.method) or NoSettings
    own = _since_chosen(layers, "distillation.method")
    learned = _settings(method, own, "distillation.method_settings")
    distillation = replace(config.distillation, method_settings=learned)
    streams = {
        name: _settings(get_stream(name), layers, f"model.added_streams.{name}") for name in config.model.added_streams
    }
    model = replace(config.model, added_streams=streams)
    metrics = {name: _settings(get_metric(name), layers, f"metrics.{name}") for name in config.metrics}
    return replace(
        config,
        task_settings=task_settings,
        metrics=metrics,
        optimizer_settings=settings,
        data=data,
        model=model,
        distillation=distillation,
    )


def _since_chosen(layers: Sequence[Layer], key: str) -> Sequence[Layer]:
    """Return the layers from the one on that chose the plug-in under a dotted key: the files below set another's keys.

    What the command sets itself always counts, whichever of its options does.
    """
    first, chosen = 0, None
    for index, layer in enumerate(layers):
        name = _value(layer.values, key)
        if name is not None and name != chosen:
            first, chosen = index, name
    return layers[min(first, len(layers) - _OF_COMMAND) :]


def _settings(plug_in: Any, layers: Sequence[Layer], key: str) -> dict[str, Any]:
    """Return all settings of a plug-in, of which layers set some under a dotted key."""
    sections = [Layer(f"{each.origin}: {key}", _at(each.values, key), _at(each.texts, key)) for each in layers]
    return asdict(plug_in_settings(plug_in, sections))


def _at(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the section at a dotted key, nothing where there is none."""
    section = _value(tree, key)
    return section if isinstance(section, Mapping) else {}


def _value(tree: Mapping[str, Any], key: str) -> Any:
    """Return what is at a dotted key, None where there is nothing."""
    value: Any = tree
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
