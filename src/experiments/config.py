"""How files and flags make up the configuration of a run."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..models.registry import family_config
from ..settings.model import check_complete
from ..settings.run import RunConfig
from ..utils.config import (
    YAML_ENDINGS,
    Layer,
    config_names,
    data_layer,
    detect_environment,
    file_layer,
    flatten,
    merge,
    named_layer,
    override_layer,
    section_layer,
    set_nested,
)
from ..utils.errors import UserError
from ..utils.foreign_text import short
from ..utils.model_files import model_files, model_layer
from ..utils.places import environment_layer
from ..utils.renamed_keys import with_present_keys

_log = logging.getLogger(__name__)

_KAGGLE = "kaggle"
_OF_MACHINE = ("data_root", "output_root", "input_roots", "hardware")  # what a saved configuration says of its machine


def resolve(
    *,
    model: str = "",
    dataset: str = "",
    environment: str = "",
    recipe: str = "",
    overrides: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Merge the files and flags of a command into one configuration.

    Lowest first: the dataclass defaults, `training/default.yaml`, `distillation/default.yaml`, the model's, the data
    set's and the environment's files, the recipe, `overrides`, `flags`.

    Args:
        model, dataset: the choices of `--model` and `--dataset`; where empty, the recipe must name them.
        environment: the choice of `--env`; detected where empty.
        recipe: the path of a YAML file, or the name of one in `configs/training`.
        overrides: `key=value` texts.
        flags: values of named flags by dotted key.

    Raises:
        UserError: a file is missing, a key is unknown or a value impossible.
    """
    recipe_layer = _recipe_layer(recipe) if recipe else Layer("no recipe", {})
    _refuse_missing_choices({"model": model, "data": dataset}, recipe_layer)
    model_part, recipe_layer = _choose("model", model, recipe_layer)
    data_part, recipe_layer = _choose("data", dataset, recipe_layer)
    settings = override_layer(overrides)
    environment, recipe_layer = _environment(environment or _word(settings, "environment"), recipe_layer)
    layers = [
        named_layer("training", "default", "training configuration"),
        named_layer("distillation", "default", "distillation configuration"),
        *model_part,
        *data_part,
        environment_layer(environment),
        recipe_layer,
        settings,
        _flag_layer({"environment": environment, **(flags or {})}),
    ]
    _refuse_names(settings, [*model_part, *data_part, recipe_layer])
    families = [str(values["family"]) for values in _sections(layers, "model") if "family" in values]
    if not families:
        raise UserError(f"{recipe_layer.origin} describes a model without its family. Name one with --model.")
    config = merge(replace(RunConfig(), model=family_config(families[-1])), layers)
    check_complete(config.model)
    _refuse_disorder(config)
    return config


def _refuse_disorder(config: RunConfig) -> None:
    """Refuse settings of which one is above another that it must not exceed; a default gives way to the other.

    Checkpoints and runs of earlier versions, which took them, can still be read.

    Raises:
        UserError: there are such settings; all are told.
    """
    low_and_high = [
        ("warmup_learning_rate", "learning_rate", "the warm-up rises to it"),
        ("min_learning_rate", "learning_rate", "the cosine falls from it"),
        ("data.sampling.crop_min", "data.sampling.crop_max", "a training crop is between the two"),
    ]
    values, defaults = flatten(asdict(config)), flatten(asdict(RunConfig()))
    problems = [
        f"  {low} {values[low]:g} should be at most {high}, which is {values[high]:g}: {why}."
        for low, high, why in low_and_high
        if values[low] > values[high] and values[low] != defaults[low]
    ]
    if problems:
        raise UserError("The configuration cannot be used:\n" + "\n".join(problems))


def _refuse_names(settings: Layer, chosen: Sequence[Layer]) -> None:
    """Refuse to rename a model or a data set with `--set`: its name says whose numbers a run has, and finds its store.

    Raises:
        UserError: a name is another than the one that was chosen.
    """
    for section, option in (("model", "--model"), ("data", "--dataset")):
        given = _sections([settings], section)
        name = str(given[0].get("name", "")) if given else ""
        names = [str(each["name"]) for each in _sections(chosen, section) if each.get("name")]
        if name and names and name != names[-1]:
            raise UserError(
                f"--set: {section}.name: {short(name)} cannot rename {names[-1]}. Choose another one with {option}, or "
                "name your own in its YAML."
            )


def _choose(section: str, flag: str, recipe: Layer) -> tuple[list[Layer], Layer]:
    """Return the file of a model or data set, and the recipe without what belongs to another one.

    A recipe may name its model and data set, wholly so when it is a run's saved configuration. A flag that names
    another one wins over the recipe's whole section.
    """
    load = {"model": model_layer, "data": data_layer}[section]
    described = _described(recipe, section)
    named = str(described.get("name", ""))
    if flag:
        layer = load(flag)
        own = section_layer(layer, section).values.get("name")
        if named and named != own:
            recipe = replace(recipe, values={key: each for key, each in recipe.values.items() if key != section})
        return [layer], recipe
    complete = {"model": "family", "data": "classes"}[section] in described
    return ([] if complete else [load(named)]), recipe


def _environment(asked: str, recipe: Layer) -> tuple[str, Layer]:
    """Return the environment's name, and the recipe without what belongs to another machine.

    A run's saved configuration names the environment it was made in. Where that is not the one that is `asked` for, or
    is Kaggle and this machine is not, or the other way round, its folders and hardware settings have no meaning here.
    """
    here, saved = detect_environment(), _word(recipe, "environment")
    is_saved = _is_saved(recipe)
    moved = is_saved and (here == _KAGGLE) != (saved == _KAGGLE)
    name = asked or (saved if saved and not moved else here)
    if not is_saved or name == saved:
        return name, recipe
    number_type = section_layer(recipe, "hardware").values.get("amp_dtype")
    kept = {key: value for key, value in recipe.values.items() if key not in (*_OF_MACHINE, "environment")}
    kept |= {"hardware": {"amp_dtype": number_type}} if number_type else {}
    _log.info(f"{recipe.origin} was made in the environment {saved}: folders and hardware are those of {name} now.")
    return name, replace(recipe, values=kept)


def _refuse_missing_choices(flags: Mapping[str, str], recipe: Layer) -> None:
    """Refuse a command of which neither a flag nor the recipe names the model or the data set."""
    options = {"model": "--model", "data": "--dataset"}
    missing = [
        options[section] for section, flag in flags.items() if not flag and not _described(recipe, section).get("name")
    ]
    if missing:
        raise UserError(
            f"Say with {' and '.join(missing)} what to train, or give a --config that names it. Models: "
            f"{', '.join(model_files())}, or a model YAML; data sets: {', '.join(config_names('data'))}, or a data "
            "YAML."
        )


def _described(layer: Layer, section: str) -> Mapping[str, Any]:
    """Return what a layer says in a section, nothing where it has none."""
    return section_layer(layer, section).values if layer.values.get(section) is not None else {}


def _recipe_layer(recipe: str) -> Layer:
    if recipe.endswith(YAML_ENDINGS):
        layer = file_layer(Path(recipe))
        if not _is_saved(layer):
            return layer
        return replace(layer, values=with_present_keys(layer.values), texts=with_present_keys(layer.texts))
    return named_layer("training", recipe, "recipe")


def _is_saved(recipe: Layer) -> bool:
    """Return whether a recipe is the configuration that a run saved: it has every key of its machine."""
    return bool(_word(recipe, "environment")) and all(
        recipe.values.get(key) for key in ("data_root", "output_root", "hardware")
    )


def _flag_layer(flags: Mapping[str, Any]) -> Layer:
    """Nest dotted keys, leaving out flags that were not given."""
    nested: dict[str, Any] = {}
    for key, value in flags.items():
        if value is not None:
            set_nested(nested, key.split("."), value)
    return Layer("command line", nested)


def _word(layer: Layer, key: str) -> str:
    """Return the text under a top-level key, or an empty string."""
    value = layer.values.get(key)
    return value if isinstance(value, str) else ""


def _sections(layers: Sequence[Layer], name: str) -> list[Mapping[str, Any]]:
    """Return the section `name` of each layer that has it."""
    found = [layer.values.get(name) for layer in layers]
    return [section for section in found if isinstance(section, Mapping)]
