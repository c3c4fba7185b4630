"""The plan of a sweep: named variants of one training, each on the same parts of the data and with the same seeds."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ...runs.resume import covers
from ...settings.distillation import CHOICES, DistillationConfig
from ...settings.run import RunConfig
from ...settings.splits import FoldChoice
from ...tasks.measures import CLASSIFICATION
from ...utils.config import Layer, readable_overrides
from ...utils.dotted_keys import flatten, key_of
from ...utils.errors import UserError
from ...utils.names import file_name
from ..computed import computed_text
from ..config import refuse_impossible_seeds, resolve
from ..folds import fold_settings, with_split
from ..recipe_layer import is_saved, layer_of_recipe, values_of

_log = logging.getLogger(__name__)

BASELINE = "baseline"
OF_ALL = ("validation", "validation_fraction")  # which clips are compared
RESERVED = {
    "task": "the sweep, which compares classifiers",
    "seed": "--seeds",
    "data.split": "--splits",
    "output_root": "--output_root",
    "max_hours": "--max_hours",
    "hardware.num_workers": "the sweep, which reads the clips of each run in the process that trains it",
}
OF_PARTS = ("data.select", "data.protocols")  # which clips a part has


@dataclass(frozen=True)
class SweepSpec:
    """The options of a sweep.

    Attributes:
        model, dataset, environment, recipe: as `resolve` takes them.
        name: that of the sweep's folder; if empty, made of the data set's and the model's names.
        splits: protocols, each with its own training and test part; the data set's own if there are no folds either.
        folds: folds that are tested in addition.
        seeds: each variant is trained with every one of them on every part.
        variants: the settings `key=value` of each variant by its name; the baseline needs no entry.
        settings: `key=value` texts of all runs.
        flags: values of named flags by dotted key, None if not given.
        threads: CPU threads of a run whose configuration does not set them.
    """

    model: str = ""
    dataset: str = ""
    environment: str = ""
    recipe: str = ""
    name: str = ""
    splits: Sequence[str] = ()
    folds: FoldChoice | None = None
    seeds: Sequence[int] = (0,)
    variants: Mapping[str, Sequence[str]] = field(default_factory=dict)
    settings: Sequence[str] = ()
    flags: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1

    def resolved(self, settings: Sequence[str] = (), flags: Mapping[str, Any] | None = None) -> RunConfig:
        """Return the configuration of the training with some settings and flags, without those of all runs.

        Raises:
            UserError: a file is missing, a key is unknown or a value impossible.
        """
        return resolve(
            model=self.model,
            dataset=self.dataset,
            environment=self.environment,
            recipe=self.recipe,
            overrides=settings,
            flags=flags,
        )


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep: a variant, trained and tested on one part of the data with one seed."""

    variant: str
    part: str
    config: RunConfig

    @property
    def seed(self) -> int:
        """Return its seed."""
        return self.config.seed

    @property
    def folder(self) -> Path:
        """Return the folder of the variant's runs on this part."""
        return Path(self.config.output_root)

    @property
    def subset(self) -> str:
        """Return the part whose clips are compared: those that training held out, if it did, else the test part."""
        return "val" if self.config.validation == "split" else "test"

    @property
    def failure(self) -> Path:
        """Return the file that says why the run could not be trained."""
        return self.folder / f"failed-seed-{self.seed}.txt"

    @property
    def title(self) -> str:
        """Return a description of the run."""
        return f"{self.variant} on {self.part}, seed {self.seed}"


@dataclass(frozen=True)
class SweepPlan:
    """A sweep.

    Attributes:
        folder: holds the runs, each in `<part>/<variant>`, and the results.
        runs: in the order in which they are trained: all variants with one seed before those with the next.
        changes: what each variant changes, as `key=value`; nothing for the baseline, which comes first.
        reported: the part on which results of the data set are reported, if the sweep uses it.
        spec: the options.
    """

    folder: Path
    runs: Sequence[SweepRun]
    changes: Mapping[str, Sequence[str]]
    reported: str
    spec: SweepSpec

    @property
    def parts(self) -> list[str]:
        """Return the names of the parts, in their order."""
        return list(dict.fromkeys(run.part for run in self.runs))

    @property
    def epochs(self) -> int:
        """Return the number of epochs of all runs."""
        return sum(run.config.epochs for run in self.runs)

    def runs_of(self, variant: str, part: str) -> list[SweepRun]:
        """Return the runs of a variant on a part, in the order of their seeds."""
        return [run for run in self.runs if (run.variant, run.part) == (variant, part)]


def plan_sweep(spec: SweepSpec) -> SweepPlan:
    """Return the plan of a sweep; every configuration is resolved and validated.

    Raises:
        UserError: a setting is unknown or impossible or has its own option, a variant changes nothing or equals
            another one, or a part does not exist.
    """
    _refuse_impossible_lists(spec)
    variants: dict[str, Sequence[str]] = {BASELINE: (), **spec.variants}
    configs = {name: configs_on_parts(spec, each, f"--variant {name}") for name, each in variants.items()}
    for variant, settings in spec.variants.items():
        refuse_unused_distillation([*map(key_of, settings)], configs[variant].values(), f"--variant {variant}")
    _refuse_equal(configs)
    for variant, parts in configs.items():
        config = next(iter(parts.values()))
        if warning := config.ema.warning(config.epochs):
            _log.warning(f"{variant}: {warning}")
    first = next(iter(configs[BASELINE].values()))
    warn_of_loader_processes(spec, first.hardware.num_workers)
    name = file_name(spec.name or f"{first.data.name}-{first.model.name}")
    folder = Path(first.output_root) / f"sweep-{name}"
    runs = [
        SweepRun(variant, part, config_of_run(config, folder / file_name(part) / variant, seed, spec.threads))
        for seed in spec.seeds
        for part in configs[BASELINE]
        for variant, config in ((each, parts[part]) for each, parts in configs.items())
    ]
    own = "" if first.validation == "split" else on_own_protocol(spec).data.split
    return SweepPlan(folder, runs, variants, own if own in configs[BASELINE] else "", spec)


def configs_on_parts(spec: SweepSpec, settings: Sequence[str], source: str) -> dict[str, RunConfig]:
    """Return the configuration of the training with some settings on each part, by the part's name.

    Raises:
        UserError: a setting is unknown or impossible, a part does not exist, or the task does not classify; the
            message names the `source` of the settings.
    """
    own = {key_of(text) for text in settings}
    flags = {key: value for key, value in spec.flags.items() if key not in own}

    def on(split: str) -> RunConfig:
        return spec.resolved([*spec.settings, *settings], {**flags, "data.split": split or None})

    try:
        splits = spec.splits or (() if spec.folds else ("",))
        configs = [(split, with_split(on(split), None)) for split in splits]
        if spec.folds is not None:
            config, fold = on(""), spec.folds.fold
            folds = fold_settings(config, spec.folds)
            chosen = folds[fold - 1 :][:1] if fold else folds
            configs += [(data.split, replace(config, data=data)) for data in chosen]
    except UserError as error:
        raise (UserError(f"{source}: {error}") if settings else error) from error
    for _, config in configs:
        if config.task != CLASSIFICATION.task:
            raise UserError(f"A sweep compares classifiers by their test clips, and the task is {config.task}.")
    _refuse_shared_folders(configs)
    return {config.data.split: config for _, config in configs}


def _refuse_shared_folders(configs: Sequence[tuple[str, RunConfig]]) -> None:
    """Refuse parts that would be trained in one folder, those of one name included; each is given as it was named."""
    found: dict[str, str] = {}
    for given, config in configs:
        folder, shown = file_name(config.data.split), given or config.data.split
        if folder.casefold() in found:
            raise UserError(
                f"--splits: the runs of {found[folder.casefold()]} and of {shown} would be in one folder, {folder}. "
                "Give one of the two another name: the text file, or the protocol in the data YAML."
            )
        found[folder.casefold()] = shown


def on_own_protocol(spec: SweepSpec) -> RunConfig:
    """Return the configuration of all runs on the data set's own protocol, on which its results are reported.

    It has the clips of the data set's files and of the recipe, whatever `--set` selects or divides.

    Raises:
        UserError: the split is a text file that cannot be used, or the data are missing.
    """
    settings = [text for text in spec.settings if not any(covers(OF_PARTS, key) for key in keys_of(text))]
    return with_split(spec.resolved(settings, spec.flags), None)


def keys_of(assignment: str) -> list[str]:
    """Return the dotted keys that a text `key=value` sets: several if the value is a mapping; none of a wrong text."""
    return list(flatten(readable_overrides([assignment])[0].values))


def warn_of_loader_processes(spec: SweepSpec, workers: int) -> None:
    """Warn of the loader processes of a recipe, which no run has; those of an environment are not the user's choice.

    Args:
        spec: names the recipe.
        workers: their number in the configuration that it makes.
    """
    recipe = layer_of_recipe(spec.recipe) if spec.recipe else Layer("no recipe", {})
    if workers and "num_workers" in values_of(recipe, "hardware") and not is_saved(recipe):
        _log.warning(
            f"{recipe.origin}: hardware.num_workers: {workers} has no effect here, since each run reads its clips in "
            "the process that trains it."
        )


def config_of_run(config: RunConfig, folder: Path, seed: int, threads: int) -> RunConfig:
    """Return the configuration of one run, in its own folder and in one process, which can start no other."""
    hardware = replace(config.hardware, num_workers=0, cpu_threads=config.hardware.cpu_threads or threads)
    return replace(config, seed=seed, output_root=str(folder), hardware=hardware)


def refuse_unused_distillation(keys: Iterable[str], configs: Iterable[RunConfig], source: str) -> None:
    """Refuse settings of distillation that change nothing, such as those of teachers where there are none.

    Args:
        keys: the settings.
        configs: the configurations that they make.
        source: where they were given, for the message.

    Raises:
        UserError: there is such a setting.
    """
    sections = [config.distillation for config in configs]
    for key in keys:
        names = key.split(".")[1:2] or [each.name for each in fields(DistillationConfig) if each.name not in CHOICES]
        used = any(section.has_effect(name) for section in sections for name in names)
        if covers(("distillation",), key) and not used:
            raise UserError(
                f"{source} changes {key}, which has no effect {sections[0].circumstances}. Leave it out, or set what "
                "it needs: --set distillation.teachers=[RUN], distillation.peers=1 or another distillation.method."
            )


def _refuse_impossible_lists(spec: SweepSpec) -> None:
    if len(set(spec.splits)) != len(spec.splits):
        raise UserError(f"--splits has a duplicate: {', '.join(spec.splits)}.")
    refuse_impossible_seeds("--seeds", spec.seeds)
    if len({name.casefold() for name in spec.variants}) != len(spec.variants):
        names = ", ".join(spec.variants)
        raise UserError(f"--variant has names that differ only in case, one to some file systems: {names}.")
    for name, settings in spec.variants.items():
        if name.casefold() == BASELINE or name != file_name(name) or not name.strip():
            raise UserError(
                f"--variant {name!r} should have another name, such as no_mirror: it becomes that of a folder, and "
                f"{BASELINE} is the training without any variant's settings."
            )
        if not settings or any("=" not in text for text in settings):
            raise UserError(
                f"--variant {name} needs what it changes, as KEY=VALUE: --variant no_mirror "
                "data.augment.mirror_probability=0"
            )
        if of_all := [key for text in settings for key in keys_of(text) if key in OF_ALL]:
            raise UserError(
                f"--variant {name} changes {of_all[0]}, which decides on which clips the runs are compared. Set it for "
                f"all of them: --set {of_all[0]}=..."
            )
    for key in (key for texts in (spec.settings, *spec.variants.values()) for text in texts for key in keys_of(text)):
        if key in RESERVED:
            raise UserError(f"{key}=... has no effect: in a sweep it is set by {RESERVED[key]}.")


def _refuse_equal(configs: Mapping[str, Mapping[str, RunConfig]]) -> None:
    """Refuse a variant that computes the same as the baseline or as another variant."""
    seen: dict[str, str] = {}
    for name, parts in configs.items():
        text = computed_text(parts)
        if text in seen:
            one, other = (flatten(asdict(next(iter(configs[each].values())))) for each in (seen[text], name))
            differing = [key for key, value in other.items() if one.get(key) != value]
            why = f"compute the same, though {differing[0]} differs" if differing else "have the same settings"
            raise UserError(f"The variants {seen[text]} and {name} {why}. Leave one of them out.")
        seen[text] = name
