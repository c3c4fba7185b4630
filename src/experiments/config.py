"""Building the configuration of a run from files and flags."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..data.store.format import HEADER_FILE
from ..models.registry import family_config
from ..settings.data import PREPARATION_KEYS, DataConfig, how_to_prepare, shared_file_problem
from ..settings.model import ModelConfig, check_complete
from ..settings.run import RunConfig
from ..utils.config import (
    YAML_ENDINGS,
    Layer,
    config_names,
    configuration_error,
    detect_environment,
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
from ..utils.model_files import model_files
from ..utils.overlay import overlaid, type_below
from ..utils.root_folders import environment_layer
from ..utils.unordered import with_lists_in_order
from .plug_in_settings import plug_in_problems, with_plug_in_settings
from .recipe_layer import (
    choose,
    is_saved,
    layer_of_recipe,
    text_at,
    values_of,
    warn_of_left_out,
    with_whole_mappings,
)

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
    saved = is_saved(recipe_layer)
    warn_of_left_out(whole_recipe, recipe_layer, {*flatten(settings.values), *given_flags})
    environment, recipe_layer = _environment(environment or text_at(settings, "environment"), recipe_layer)
    machine = environment_layer(environment)
    recipe_layer = with_whole_mappings(recipe_layer) if saved else recipe_layer
    layers = [
        named_layer("training", "default", "training configuration"),
        named_layer("distillation", "default", "distillation configuration"),
        *model_part,
        *_preparation(dataset),
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


def _preparation(dataset: str) -> list[Layer]:
    """Return how a data YAML is prepared, which it may say otherwise itself."""
    if not dataset.endswith(YAML_ENDINGS):
        return []
    return [Layer(dataset, {"data": {"how_to_get": how_to_prepare(dataset)}})]


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
    shared = shared_file_problem(config.data.protocols)
    shared_files = [f"{origin_of('data.protocols', layers)}: {shared}"] if shared else []
    if problems := [*_wrong_order(config), *_more_than_a_metre(config.data), *chosen, *shared_files, *problems]:
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


def _more_than_a_metre(data: DataConfig) -> list[str]:
    """Return the noise of three-dimensional joints, which are in metres, that is too large for a body."""
    noise = {key: getattr(data.augment, key) for key in ("jitter_metres", "drift_metres")}
    too_large = {key: value for key, value in noise.items() if value > 1}
    if not too_large or data.skeleton.flat:
        return []
    return [
        f"data.augment.{key} {value:g} should be at most 1, since joints of {data.layout} are in metres."
        for key, value in too_large.items()
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


def _environment(requested: str, recipe: Layer) -> tuple[str, Layer]:
    """Return the environment's name, and the recipe without the settings of another machine.

    A run's saved configuration names its environment. If that differs from the `requested` one, or only one of it and
    this machine is Kaggle, its folders and hardware settings are dropped.
    """
    here, saved = detect_environment(), text_at(recipe, "environment")
    moved = is_saved(recipe) and (here == _KAGGLE) != (saved == _KAGGLE)
    name = requested or (saved if saved and not moved else here)
    if not is_saved(recipe) or name == saved:
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
        options[section] for section, flag in flags.items() if not flag and not values_of(recipe, section).get("name")
    ]
    if missing:
        raise UserError(
            f"Choose what to train with {' and '.join(missing)}, or with a --config that names it. Models: "
            f"{', '.join(model_files())}, or a model YAML; data sets: {', '.join(config_names('data'))}, or a data "
            "YAML."
        )


def _flag_layer(flags: Mapping[str, Any]) -> Layer:
    """Return the flags that were given as a layer with nested keys."""
    nested: dict[str, Any] = {}
    emptied: list[Sequence[str]] = []
    for key, value in flags.items():
        emptied += assign(nested, key.split("."), value)
    return Layer("command line", nested, emptied=emptied)


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
