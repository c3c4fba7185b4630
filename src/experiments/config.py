"""Building the configuration of a run from files and flags."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from ..data.store.format import HEADER_FILE
from ..models.registry import family_config
from ..settings.data import PREPARATION_KEYS, DataConfig
from ..settings.model import ModelConfig, check_complete, of_any_size
from ..settings.run import RunConfig
from ..utils.config import (
    YAML_ENDINGS,
    Layer,
    config_names,
    configuration_error,
    data_layer,
    detect_environment,
    file_layer,
    merge,
    named_layer,
    origin_of,
    readable_overrides,
    section_layer,
)
from ..utils.dotted_keys import assign, flatten
from ..utils.errors import UserError
from ..utils.foreign_text import short
from ..utils.limits import LARGEST_SEED
from ..utils.model_files import model_files, model_layer
from ..utils.overlay import mappings_within, overlaid, type_below
from ..utils.renamed_keys import with_present_keys
from ..utils.root_folders import environment_layer
from ..utils.unordered import with_lists_in_order
from .plug_in_settings import plug_in_problems, with_plug_in_settings

_log = logging.getLogger(__name__)

_KAGGLE = "kaggle"
_MACHINE_KEYS = ("data_root", "output_root", "input_roots", "hardware")


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
        model, dataset: the values of `--model` and `--dataset`; if empty, the recipe must name them.
        environment: the value of `--env`; detected if empty.
        recipe: the path of a YAML file, or the name of one in `configs/training`.
        overrides: `key=value` texts.
        flags: values of named flags by dotted key.

    Raises:
        UserError: a file is missing, a key is unknown or a value impossible.
    """
    given_flags = {key: value for key, value in (flags or {}).items() if value is not None}
    whole_recipe = recipe_layer = layer_of_recipe(recipe) if recipe else Layer("no recipe", {})
    _refuse_missing_choices({"model": model, "data": dataset}, recipe_layer)
    model_part, recipe_layer = choose("model", model, recipe_layer)
    data_part, recipe_layer = choose("data", dataset, recipe_layer)
    settings, unreadable = readable_overrides(overrides)
    is_saved = _is_saved(recipe_layer)
    if not is_saved:
        _warn_of_left_out(whole_recipe, recipe_layer, {*flatten(settings.values), *given_flags})
    environment, recipe_layer = _environment(environment or _text_at(settings, "environment"), recipe_layer)
    machine = environment_layer(environment)
    recipe_layer = _with_whole_mappings(recipe_layer) if is_saved else recipe_layer
    layers = [
        named_layer("training", "default", "training configuration"),
        named_layer("distillation", "default", "distillation configuration"),
        *model_part,
        *data_part,
        machine,
        *_beside(dataset, machine, data_part),
        recipe_layer,
        settings,
        _flag_layer({"environment": environment, **given_flags}),
    ]
    _refuse_renaming(settings, [*model_part, *data_part, recipe_layer])
    unreadable = [*unreadable, *_preparation_problems(settings, recipe_layer, data_part)]
    families = [str(values["family"]) for values in _sections(layers, "model") if "family" in values]
    return _merged(families[-1], layers, unreadable)


def _beside(dataset: str, environment: Layer, chosen: Sequence[Layer]) -> list[Layer]:
    """Return the folder of a data YAML as one that is searched too, if the data set's store lies beside the YAML."""
    names = [str(each["name"]) for each in _sections(chosen, "data") if each.get("name")]
    folder = Path(dataset).absolute().parent
    if not dataset.endswith(YAML_ENDINGS) or not names or not (folder / names[-1] / HEADER_FILE).exists():
        return []
    return [Layer(dataset, {"input_roots": [str(folder / names[-1]), *(environment.values.get("input_roots") or [])]})]


def _merged(family: str, layers: Sequence[Layer], unreadable: Sequence[str]) -> RunConfig:
    """Return the configuration that layers make, the lowest first.

    Args:
        family: the family of the model.
        layers: the last two are those of the command.
        unreadable: the problems of arguments that are in no layer.

    Raises:
        UserError: there are problems of layers, or of the plug-ins that they choose; all of them in one message.
    """
    try:
        model = family_config(family)
    except UserError as error:
        unreadable = [*unreadable, f"{origin_of('model.family', layers)}: {error}"]
        layers = [replace(each, values={k: v for k, v in each.values.items() if k != "model"}) for each in layers]
        model = ModelConfig()
    try:
        config = merge(replace(RunConfig(), model=model), layers, unreadable)
    except UserError as error:
        if not error.problems:  # of settings that contradict each other
            raise
        raise configuration_error([*error.problems, *plug_in_problems(layers)]) from None
    check_complete(config.model)
    completed, problems = with_plug_in_settings(config, layers)
    chosen = _choice_on_the_test_part(config.early_stopping.patience, config.validation)
    if problems := [*_wrong_order(config), *chosen, *problems]:
        raise configuration_error(problems)
    return completed


def _wrong_order(config: RunConfig) -> list[str]:
    """Return the settings that exceed their upper bound in another setting; defaults may exceed it.

    Checkpoints and runs of earlier versions, which allowed that, can still be read.
    """
    low_and_high = [
        ("warmup_learning_rate", "learning_rate", "the warm-up ends there"),
        ("min_learning_rate", "learning_rate", "the cosine starts there"),
        ("data.sampling.crop_min", "data.sampling.crop_max", "they are the bounds of training crops"),
    ]
    values, defaults = flatten(asdict(config)), flatten(asdict(RunConfig()))
    return [
        f"{low} {values[low]:g} should be at most {high}, which is {values[high]:g}: {why}."
        for low, high, why in low_and_high
        if values[low] > values[high] and values[low] != defaults[low]
    ]


def _choice_on_the_test_part(patience: int, validation: str) -> list[str]:
    """Return the problem of a training whose end would be chosen on the test part."""
    if not patience or validation == "split":
        return []
    return [
        f"early_stopping.patience: {patience} needs validation: split, which holds out training clips to decide on. "
        f"With validation: {validation} the test clips would decide when training ends, and the figures of the "
        "last epoch would be chosen on them. Add --set validation=split, or leave early_stopping out."
    ]


def _refuse_renaming(settings: Layer, chosen: Sequence[Layer]) -> None:
    """Refuse to rename a model or a data set with `--set`: the name identifies results and finds the store.

    Raises:
        UserError: a name differs from the chosen one.
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


def _preparation_problems(settings: Layer, recipe: Layer, chosen: Sequence[Layer]) -> list[str]:
    """Return the problems of settings of the preparation that differ from those of the data set.

    They would have no effect on a store that is already prepared. A recipe that describes its data set completely,
    such as the saved configuration of a run, holds those of this data set.

    Args:
        settings: the layer of `--set`.
        recipe: the recipe.
        chosen: the layer of the data set, if the recipe does not describe it completely.
    """
    own = asdict(DataConfig())
    for section in _sections(chosen, "data"):
        own = overlaid(DataConfig, own, section)
    problems = []
    for layer in (recipe, settings):
        for given in _sections([layer], "data"):
            if layer is recipe and "classes" in given:
                own = overlaid(DataConfig, own, given)
                continue
            problems += [
                f"{layer.origin}: data.{key}: {short(given[key])} has no effect here, since preprocess decides it; "
                f"{own['name']} has {short(own[key])}. Leave it out, or set it in a data YAML and prepare the data "
                "again."
                for key in PREPARATION_KEYS
                if key in given and _differ(overlaid(DataConfig, own, {key: given[key]}), own, key)
            ]
    return problems


def _differ(first: Mapping[str, Any], second: Mapping[str, Any], key: str) -> bool:
    """Tell whether a key of the data differs in two plain sections, whatever the order of lists without one."""
    one, other = (with_lists_in_order(type_below(DataConfig, key), values[key]) for values in (first, second))
    return bool(one != other)


def choose(section: str, flag: str, recipe: Layer) -> tuple[list[Layer], Layer]:
    """Return the layer of a model or data set, and the recipe without what it says about another one.

    A recipe may name its model and data set. A complete section, such as that of a run's saved configuration, describes
    one of them, and a flag that names another one replaces it. Of a few keys, those stay that say how to train.

    Args:
        section: `model` or `data`.
        flag: the model or data set, empty if no flag names one.
        recipe: the recipe.

    Raises:
        UserError: there is no such model or data set, or its file cannot be read.
    """
    load = {"model": model_layer, "data": data_layer}[section]
    described = _values_of(recipe, section)
    named = str(described.get("name", ""))
    complete = {"model": "family", "data": "classes"}[section] in described
    if not flag:
        return ([] if complete else [load(named)]), recipe
    layer = load(flag)
    own = section_layer(layer, section).values
    if named and named != own.get("name"):
        of_any = {"model": _of_any_model, "data": _of_any_data}[section]
        values = {key: each for key, each in recipe.values.items() if key != section}
        kept = {} if complete else of_any(described, own)
        recipe = replace(recipe, values={**values, section: kept} if kept else values)
    return [layer], recipe


def _of_any_model(described: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a recipe says about its model that holds for the chosen one too: what it reads, and its training."""
    try:
        config = family_config(str(chosen.get("family", "")))
    except UserError:  # reported later
        return {}
    return {key: described[key] for key in of_any_size(config) if key in described}


def _of_any_data(described: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a recipe says about its data set that holds for any: how clips are sampled and augmented."""
    return {key: described[key] for key in ("sampling", "normalize", "augment") if key in described}


def _warn_of_left_out(recipe: Layer, used: Layer, given: Collection[str]) -> None:
    """Warn of keys of a recipe that a flag of another model or data set leaves out, and that are not `given` either."""
    given = {*given, *flatten(used.values)}
    for section, option in (("model", "--model"), ("data", "--dataset")):
        described = _values_of(recipe, section)
        keys = [key for key in flatten({section: described}) if key not in (f"{section}.name", *given)]
        if described.get("name") != _values_of(used, section).get("name") and keys:
            _warn_once(recipe.origin, str(described["name"]), option, tuple(keys))


@cache
def _warn_once(origin: str, name: str, option: str, keys: tuple[str, ...]) -> None:
    """Warn of keys that are left out; a sweep builds many configurations from the same files and flags."""
    _log.warning(
        "%s is for %s, and %s names another: its %s %s left out. To keep what fits, give it with --set.",
        *(origin, name, option, ", ".join(keys), "is" if len(keys) == 1 else "are"),
    )


def _environment(requested: str, recipe: Layer) -> tuple[str, Layer]:
    """Return the environment's name, and the recipe without the settings of another machine.

    A run's saved configuration names its environment. If that differs from the `requested` one, or only one of it and
    this machine is Kaggle, its folders and hardware settings are dropped.
    """
    here, saved = detect_environment(), _text_at(recipe, "environment")
    is_saved = _is_saved(recipe)
    moved = is_saved and (here == _KAGGLE) != (saved == _KAGGLE)
    name = requested or (saved if saved and not moved else here)
    if not is_saved or name == saved:
        return name, recipe
    number_type = section_layer(recipe, "hardware").values.get("amp_dtype")
    portable = {key: value for key, value in recipe.values.items() if key not in (*_MACHINE_KEYS, "environment")}
    portable |= {"hardware": {"amp_dtype": number_type}} if number_type else {}
    _log.info(f"{recipe.origin} is from the environment {saved}: folders and hardware are now those of {name}.")
    return name, replace(recipe, values=portable)


def _refuse_missing_choices(flags: Mapping[str, str], recipe: Layer) -> None:
    """Refuse a command without a model or a data set in a flag or the recipe."""
    options = {"model": "--model", "data": "--dataset"}
    missing = [
        options[section] for section, flag in flags.items() if not flag and not _values_of(recipe, section).get("name")
    ]
    if missing:
        raise UserError(
            f"Choose what to train with {' and '.join(missing)}, or with a --config that names it. Models: "
            f"{', '.join(model_files())}, or a model YAML; data sets: {', '.join(config_names('data'))}, or a data "
            "YAML."
        )


def _values_of(layer: Layer, section: str) -> Mapping[str, Any]:
    """Return the values of a section; empty if the layer has none."""
    return section_layer(layer, section).values if layer.values.get(section) is not None else {}


def layer_of_recipe(recipe: str) -> Layer:
    """Return the layer of a recipe, the path of a YAML file or the name of one in `configs/training`.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    if recipe.endswith(YAML_ENDINGS):
        layer = file_layer(Path(recipe))
        if not _is_saved(layer):
            return layer
        return replace(layer, values=with_present_keys(layer.values), texts=with_present_keys(layer.texts))
    return named_layer("training", recipe, "recipe")


def _is_saved(recipe: Layer) -> bool:
    """Return whether a recipe is the saved configuration of a run: it has all keys of the machine."""
    return bool(_text_at(recipe, "environment")) and all(
        recipe.values.get(key) for key in ("data_root", "output_root", "hardware")
    )


def _with_whole_mappings(saved: Layer) -> Layer:
    """Return a saved configuration with mappings that replace those of the defaults, which may have more names.

    Those of its model and its data set are merged, as these sections are complete unless a flag names them again.
    """
    own = {key: value for key, value in saved.values.items() if key not in ("model", "data")}
    return replace(saved, emptied=[*saved.emptied, *mappings_within(RunConfig, own)])


def _flag_layer(flags: Mapping[str, Any]) -> Layer:
    """Return the flags that were given as a layer with nested keys."""
    nested: dict[str, Any] = {}
    emptied: list[Sequence[str]] = []
    for key, value in flags.items():
        emptied += assign(nested, key.split("."), value)
    return Layer("command line", nested, emptied=emptied)


def _text_at(layer: Layer, key: str) -> str:
    """Return the text under a top-level key, or an empty string."""
    value = layer.values.get(key)
    return value if isinstance(value, str) else ""


def _sections(layers: Sequence[Layer], name: str) -> list[Mapping[str, Any]]:
    """Return the section `name` of each layer that has it."""
    found = [layer.values.get(name) for layer in layers]
    return [section for section in found if isinstance(section, Mapping)]


def refuse_impossible_seeds(option: str, seeds: Sequence[int]) -> None:
    """Refuse seeds that torch does not accept, and one that is named twice; `option` is where they were given."""
    if len(set(seeds)) != len(seeds):
        raise UserError(f"{option} has a duplicate: {', '.join(map(str, seeds))}.")
    if impossible := [seed for seed in seeds if not 0 <= seed <= LARGEST_SEED]:
        raise UserError(f"{option}: {impossible[0]} should be 0 to {LARGEST_SEED}.")
