"""The settings of plug-ins: each is checked by the plug-in's own dataclass, where it stands, before anything is built.

The configuration holds them as plain values, so that a run can be read without the plug-ins' packages.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..data.loading.added_streams import get_stream
from ..data.loading.augmentations import get_augmentation
from ..distillation.methods import find_method
from ..evaluation.clip_metrics import get_metric
from ..settings.run import RunConfig
from ..tasks.recipe import KIND as TASKS
from ..training.optimizers import get_optimizer
from ..utils.config import Layer, merge, origin_of
from ..utils.dotted_keys import is_emptied, set_nested, value_at
from ..utils.errors import UserError
from ..utils.plug_ins import NoSettings, plug_in_settings

_OF_COMMAND = 2  # the last layers are of `--set` and of flags
_KEYS = (  # under which plug-ins are chosen, and have their settings
    "task",
    "task_settings",
    "optimizer",
    "optimizer_settings",
    "metrics",
    "data.augment.added",
    "model.added_streams",
    "distillation.method",
    "distillation.method_settings",
)


def with_plug_in_settings(config: RunConfig, layers: Sequence[Layer]) -> tuple[RunConfig, list[str]]:
    """Return a configuration with all settings of its plug-ins, and the problems: unknown names and wrong settings.

    Args:
        config: what `layers` make.
        layers: the lowest first, the last two those of the command; problems name them.
    """
    plug_ins, augment, distillation = _PlugIns(layers), config.data.augment, config.distillation
    chosen, named = plug_ins.chosen, plug_ins.named
    task = chosen("task", "task_settings", config.task, TASKS.find)
    optimizer = chosen("optimizer", "optimizer_settings", config.optimizer, get_optimizer)
    metrics = named("metrics", config.metrics, get_metric)
    added = named("data.augment.added", augment.added, get_augmentation)
    streams = named("model.added_streams", config.model.added_streams, get_stream)
    method = chosen("distillation.method", "distillation.method_settings", distillation.method, find_method)
    completed = replace(
        config,
        task_settings=task,
        optimizer_settings=optimizer,
        metrics=metrics,
        data=replace(config.data, augment=replace(augment, added=added)),
        model=replace(config.model, added_streams=streams),
        distillation=replace(distillation, method_settings=method),
    )
    return completed, plug_ins.problems


def plug_in_problems(layers: Sequence[Layer]) -> list[str]:
    """Return the problems of the plug-ins in layers that cannot be merged because of other keys."""
    reduced = [replace(each, values=_choices(each.values), texts=_choices(each.texts)) for each in layers]
    try:
        config = merge(RunConfig(), reduced)
    except UserError:  # among the problems that are already known
        return []
    return with_plug_in_settings(config, reduced)[1]


@dataclass
class _PlugIns:
    """The plug-ins that layers choose, and the problems found with them."""

    layers: Sequence[Layer]
    problems: list[str] = field(default_factory=list)

    def chosen(self, key: str, settings_key: str, name: str, find: Callable[[str], Any]) -> dict[str, Any]:
        """Return the settings, under `settings_key`, of the plug-in that `key` names."""
        return self._settings(key, name, find, _since_chosen(self.layers, key), settings_key)

    def named(self, key: str, names: Mapping[str, Any], find: Callable[[str], Any]) -> dict[str, dict[str, Any]]:
        """Return the settings of each plug-in that the mapping at `key` names."""
        self._refuse_unknown(key, names, find)
        layers = _since_emptied(self.layers, key.split("."))
        return {name: self._settings(f"{key}.{name}", name, find, layers, f"{key}.{name}") for name in names}

    def _refuse_unknown(self, key: str, names: Mapping[str, Any], find: Callable[[str], Any]) -> None:
        """Refuse to take away what no layer has and no plug-in is: its name is misspelt."""
        given = [(layer, *each) for layer in self.layers for each in _at(layer.values, key).items()]
        known = {*names, *(name for _, name, value in given if value is not None)}
        for layer, name, _ in given:
            try:
                if name not in known:
                    find(name)
            except UserError as error:
                self.problems.append(f"{layer.origin}: {key}.{name}: {error}")

    def _settings(
        self, key: str, name: str, find: Callable[[str], Any], layers: Sequence[Layer], settings_key: str
    ) -> dict[str, Any]:
        """Return all settings of a plug-in, of which layers set some; none if it cannot be used."""
        try:
            plug_in = find(name) or NoSettings
        except UserError as error:
            self.problems.append(f"{origin_of(key, self.layers)}: {error}")
            return {}
        sections = [
            Layer(f"{each.origin}: {settings_key}", _at(each.values, settings_key), _at(each.texts, settings_key))
            for each in _since_emptied(layers, settings_key.split("."))
        ]
        try:
            return asdict(plug_in_settings(plug_in, sections))
        except UserError as error:
            self.problems += error.problems or [f"{settings_key}: {error}"]  # or of the dataclass itself
        return {}


def _choices(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tree with the keys of plug-ins alone."""
    reduced: dict[str, Any] = {}
    for key in _KEYS:
        if (value := value_at(tree, key)) is not None:
            set_nested(reduced, key.split("."), value)
    return reduced


def _since_chosen(layers: Sequence[Layer], key: str) -> Sequence[Layer]:
    """Return the layers from the one on that chose the plug-in under a dotted key: the files below set another's keys.

    What the command sets itself always counts, whichever of its options does.
    """
    first, chosen = 0, None
    for index, layer in enumerate(layers):
        name = value_at(layer.values, key)
        if name is not None and name != chosen:
            first, chosen = index, name
    return layers[min(first, len(layers) - _OF_COMMAND) :]


def _since_emptied(layers: Sequence[Layer], path: Sequence[str]) -> Sequence[Layer]:
    """Return the layers from the last one on that empties the mapping at a path, since it replaces what is below it."""
    emptying = [at for at, layer in enumerate(layers) if path in layer.emptied or is_emptied(layer.values, path)]
    return layers[emptying[-1] :] if emptying else layers


def _at(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the section at a dotted key, nothing where there is none."""
    section = value_at(tree, key)
    return section if isinstance(section, Mapping) else {}
