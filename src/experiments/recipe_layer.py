"""The layer of a recipe, and what remains of it beside the model and the data set that flags name.

A recipe may name its model and data set. A complete section, such as that of a run's saved configuration, describes one
of them, and a flag that names another one replaces it. Of a few keys, those stay that say how to train.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from ..models.registry import family_config
from ..settings.data import DataConfig
from ..settings.model import of_any_size
from ..settings.run import RunConfig
from ..utils.config import YAML_ENDINGS, Layer, data_layer, file_layer, merge, named_layer, section_layer
from ..utils.dotted_keys import flatten
from ..utils.errors import UserError
from ..utils.model_files import model_layer
from ..utils.overlay import mappings_within
from ..utils.renamed_keys import with_present_keys

_log = logging.getLogger(__name__)

_OF_ANY_DATA = ("sampling", "normalize", "augment")
_LOADERS = {"model": model_layer, "data": data_layer}


def layer_of_recipe(recipe: str) -> Layer:
    """Return the layer of a recipe, the path of a YAML file or the name of one in `configs/training`.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    if recipe.endswith(YAML_ENDINGS):
        layer = file_layer(Path(recipe))
        if not is_saved(layer):
            return layer
        return replace(layer, values=with_present_keys(layer.values), texts=with_present_keys(layer.texts))
    return named_layer("training", recipe, "recipe")


def is_saved(recipe: Layer) -> bool:
    """Return whether a recipe is the saved configuration of a run: it has all keys of the machine."""
    return bool(text_at(recipe, "environment")) and all(
        recipe.values.get(key) for key in ("data_root", "output_root", "hardware")
    )


def with_whole_mappings(saved: Layer) -> Layer:
    """Return a saved configuration with mappings that replace those of the defaults, which may have more names.

    Those of its model and its data set are merged, as these sections are complete unless a flag names them again.
    """
    own = {key: value for key, value in saved.values.items() if key not in ("model", "data")}
    return replace(saved, emptied=[*saved.emptied, *mappings_within(RunConfig, own)])


def choose(section: str, flag: str, recipe: Layer) -> tuple[list[Layer], Layer]:
    """Return the layer of a model or data set, and the recipe without what it says about another one.

    Args:
        section: `model` or `data`.
        flag: the model or data set, empty if no flag names one.
        recipe: the recipe.

    Raises:
        UserError: there is no such model or data set, or its file cannot be read.
    """
    described = values_of(recipe, section)
    named = str(described.get("name", ""))
    if not flag:
        return ([] if _is_complete(section, described) else [_LOADERS[section](named)]), recipe
    layer = _LOADERS[section](flag)
    own = section_layer(layer, section).values
    if named and named != own.get("name"):
        values = {key: each for key, each in recipe.values.items() if key != section}
        kept = {} if _is_complete(section, described) else _of_any(section, described, own)
        recipe = replace(recipe, values={**values, section: kept} if kept else values)
    return [layer], recipe


def warn_of_left_out(recipe: Layer, used: Layer, given: Collection[str]) -> None:
    """Warn of keys of a recipe that a flag of another model or data set leaves out, and that are not `given` either."""
    given = {*given, *flatten(used.values)}
    for section, option in (("model", "--model"), ("data", "--dataset")):
        described = values_of(recipe, section)
        name = str(described.get("name", ""))
        if name == str(values_of(used, section).get("name", "")):
            continue
        own = _own_values(section, described) if _is_complete(section, described) else {}
        said = flatten({section: described})
        changed = [key for key, value in said.items() if key not in own or value != own[key]]
        if keys := [key for key in changed if key not in (f"{section}.name", *given)]:
            left_out = f"{', '.join(keys)} {'is' if len(keys) == 1 else 'are'} left out"
            _warn_once(
                f"{recipe.origin} is for {name}, and {option} names another: its {left_out}. To keep what fits, give "
                "it with --set."
            )


@cache
def _warn_once(message: str) -> None:
    """Log a warning once: a sweep builds many configurations from the same files and flags."""
    _log.warning("%s", message)


def _own_values(section: str, described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by dotted key that a model or data set has without the changes of a run.

    They are those of its files. If these are not known, they are those of the section itself, with the defaults for the
    keys that say how to train; none of a family that is not known.

    Args:
        section: `model` or `data`.
        described: a complete section.
    """
    defaults = RunConfig()
    try:
        if section == "model":
            defaults = replace(defaults, model=family_config(str(described["family"])))
    except UserError:
        return {}
    try:
        own = asdict(getattr(merge(defaults, [_LOADERS[section](str(described["name"]))]), section))
    except UserError:
        ways = of_any_size(defaults.model) if section == "model" else _OF_ANY_DATA
        own = {**described, **{key: value for key, value in asdict(getattr(defaults, section)).items() if key in ways}}
    return flatten({section: own})


def _is_complete(section: str, described: Mapping[str, Any]) -> bool:
    """Tell whether a section describes a whole model or data set."""
    return {"model": "family", "data": "classes"}[section] in described


def _of_any(section: str, described: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a recipe says about its model or data set that holds for the chosen one too.

    That is what a model reads and how it is trained, or how clips are sampled, augmented and normalised. Keys that
    neither has stay too, so that they are reported as unknown.
    """
    kept, known = {*_OF_ANY_DATA}, {each.name for each in fields(DataConfig)}
    if section == "model":
        try:
            config = family_config(str(chosen.get("family", "")))
            own = section_layer(model_layer(str(described["name"])), section).values
            families = config, family_config(str(own.get("family", "")))
        except UserError:  # reported later, or of a model that is not used
            return {}
        kept, known = {*of_any_size(config)}, {each.name for family in families for each in fields(family)}
    return {key: value for key, value in described.items() if key in kept or key not in known}


def values_of(layer: Layer, section: str) -> Mapping[str, Any]:
    """Return the values of a section; empty if the layer has none."""
    return section_layer(layer, section).values if layer.values.get(section) is not None else {}


def text_at(layer: Layer, key: str) -> str:
    """Return the text under a top-level key, or an empty string."""
    value = layer.values.get(key)
    return value if isinstance(value, str) else ""
