"""The whole configuration of a run, and how files and flags make it up."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..data.config import DataConfig, HardwareConfig
from ..models.config import ModelConfig, check_complete
from ..models.registry import family_config
from ..utils.config import (
    YAML_ENDINGS,
    Layer,
    config_names,
    data_layer,
    detect_environment,
    file_layer,
    flat,
    merge,
    named_layer,
    override_layer,
    plant,
    section_layer,
)
from ..utils.errors import UserError
from ..utils.model_files import model_files, model_layer
from ..utils.places import environment_layer
from ..utils.schema import LARGEST_SEED, setting, short
from .distillation.config import DistillationConfig

_log = logging.getLogger(__name__)

_KAGGLE = "kaggle"
_OF_MACHINE = ("data_root", "output_root", "input_roots", "hardware")  # what a saved configuration says of its machine


@dataclass
class NanGuardConfig:
    """Say when training with non-finite numbers gives up, and what a bad loss does to BatchNorm's statistics.

    Attributes:
        max_consecutive: so many skipped batches or steps in a row end the training.
        bn_recovery: `reset` sets the running statistics to mean 0 and variance 1, `restore` to what they were.
    """

    max_consecutive: int = setting(20, minimum=1, maximum=1_000_000)
    bn_recovery: str = setting("reset", choices=("reset", "restore"))


@dataclass
class CheckpointConfig:
    """Say when checkpoints are written, beside those at the end of every epoch, and which are kept.

    Attributes:
        every_minutes: so often the state within an epoch is saved; 0 saves only at its end.
        keep: so many of the newest epochs keep a file of their own.
    """

    every_minutes: float = setting(10.0, minimum=0.0, maximum=1_000_000.0)
    keep: int = setting(0, minimum=0, maximum=1_000_000)


@dataclass
class EmaConfig:
    """Average the weights over time; 0 does not."""

    decay: float = setting(0.0, minimum=0.0, maximum=0.999999)


@dataclass
class DistributedConfig:
    """Say how several processes work together.

    Attributes:
        sync_batchnorm: normalise over the whole batch instead of each process's part of it; needs GPUs.
        timeout_minutes: so long a process waits for the others before it gives up.
    """

    sync_batchnorm: bool = False
    timeout_minutes: float = setting(10.0, above=0.0, maximum=100_000.0)


@dataclass
class RunConfig:
    """Everything a run depends on. `configs/training/default.yaml` explains the training keys one by one."""

    optimizer: str = setting("sgd", choices=("sgd",))
    momentum: float = setting(0.9, minimum=0.0, maximum=1.0)
    nesterov: bool = True
    weight_decay: float = setting(0.0004, minimum=0.0, maximum=1e6)

    learning_rate: float = setting(0.01, above=0.0, maximum=1e6)
    warmup_learning_rate: float = setting(0.001, above=0.0, maximum=1e6)
    min_learning_rate: float = setting(1e-5, minimum=0.0, maximum=1e6)
    warmup_epochs: int = setting(10, minimum=0, maximum=1_000_000)

    epochs: int = setting(70, minimum=1, maximum=1_000_000)
    batch_size: int = setting(16, minimum=1, maximum=1_000_000)
    reference_batch_size: int = setting(0, minimum=0, maximum=1_000_000)
    input_frames: int = setting(64, minimum=4, maximum=4096)
    label_smoothing: float = setting(0.1, minimum=0.0, maximum=0.99)
    grad_clip: float = setting(1.0, minimum=0.0, maximum=1e12)
    gradient_accumulation_steps: int = setting(1, minimum=1, maximum=1_000_000)
    repeat: int = setting(1, minimum=1, maximum=10_000)
    label_share: float = setting(1.0, above=0.0, maximum=1.0)
    amp: bool = False
    compile: bool = False
    seed: int = setting(0, minimum=0, maximum=LARGEST_SEED)
    init_from: str = ""
    device: str = setting("auto", choices=("auto", "cpu", "cuda", "mps"))
    nan_guard: NanGuardConfig = field(default_factory=NanGuardConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    max_hours: float = setting(0.0, minimum=0.0, maximum=1_000_000.0)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)

    validation: str = setting("test", choices=("test", "split"))
    validation_share: float = setting(0.1, above=0.0, maximum=0.5)
    test_every: int = setting(1, minimum=1, maximum=1_000_000)
    tensorboard: bool = True

    environment: str = "local"
    data_root: str = "./data"
    output_root: str = "./runs"
    input_roots: list[str] = field(default_factory=list)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)


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
    values, defaults = flat(asdict(config)), flat(asdict(RunConfig()))
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
    is_whole = bool(saved) and all(recipe.values.get(key) for key in ("data_root", "output_root", "hardware"))
    moved = is_whole and (here == _KAGGLE) != (saved == _KAGGLE)
    name = asked or (saved if saved and not moved else here)
    if not is_whole or name == saved:
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
        return file_layer(Path(recipe))
    return named_layer("training", recipe, "recipe")


def _flag_layer(flags: Mapping[str, Any]) -> Layer:
    """Nest dotted keys, leaving out flags that were not given."""
    nested: dict[str, Any] = {}
    for key, value in flags.items():
        if value is not None:
            plant(nested, key.split("."), value)
    return Layer("command line", nested)


def _word(layer: Layer, key: str) -> str:
    """Return the text under a top-level key, or an empty string."""
    value = layer.values.get(key)
    return value if isinstance(value, str) else ""


def _sections(layers: Sequence[Layer], name: str) -> list[Mapping[str, Any]]:
    """Return the section `name` of each layer that has it."""
    found = [layer.values.get(name) for layer in layers]
    return [section for section in found if isinstance(section, Mapping)]
