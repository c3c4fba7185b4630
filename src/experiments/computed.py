"""What a run computes: the same text for configurations that compute the same.

Two configurations may differ and compute the same: in keys that never change a result, in keys that have no effect
beside others, and in values of which a run uses less than was given, such as a warm-up that is longer than a seventh of
the run.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from ..data.loading.annealing import Annealing
from ..runs.resume import covers, harmless_keys
from ..settings.data import DataConfig
from ..settings.distillation import DistillationConfig
from ..settings.run import RunConfig
from ..training.schedule import warmup_length
from ..utils.dotted_keys import flatten
from .unused_settings import unused_settings

_OF_THE_DATA = ("data_root", "input_roots")  # harmless to a run that is moved; another folder may hold other data


def computed_text(parts: Mapping[str, RunConfig]) -> str:
    """Return a text that is the same for settings that compute the same; `parts` are their configurations by part."""
    return repr([sorted(_computing(config).items()) for config in parts.values()])


def _computing(config: RunConfig) -> dict[str, Any]:
    """Return the values by key that decide what a run computes; those without effect are the defaults."""
    used = _as_used(config)
    harmless = [key for key in harmless_keys([used]) if key not in _OF_THE_DATA]
    without_effect = unused_settings(used, used.data.bodies)
    defaults = flatten(asdict(replace(RunConfig(), model=type(used.model)())))
    values = {key: value for key, value in flatten(asdict(used)).items() if not covers(without_effect, key)}
    values |= {key: value for key, value in defaults.items() if covers(without_effect, key)}
    return {key: value for key, value in values.items() if not covers(harmless, key)}


def _as_used(config: RunConfig) -> RunConfig:
    """Return a configuration that computes the same, with the values that a run uses instead of those given."""
    default, warmup, rate = RunConfig(), warmup_length(config.optimization), config.learning_rate
    patience = config.early_stopping.patience
    return replace(
        config,
        warmup_epochs=warmup,
        warmup_learning_rate=min(config.warmup_learning_rate, rate) if warmup else default.warmup_learning_rate,
        min_learning_rate=min(config.min_learning_rate, rate),
        nesterov=config.nesterov and (config.momentum > 0 or config.optimizer != default.optimizer),
        label_smoothing=config.used_label_smoothing,
        data=_data_as_used(config.data, config.epochs),
        ema=replace(config.ema, last_epochs=min(config.ema.last_epochs, config.epochs)),
        early_stopping=replace(config.early_stopping, patience=patience if patience < config.epochs else 0),
        distillation=_distillation_as_used(config.distillation, config.model.name),
    )


def _data_as_used(data: DataConfig, epochs: int) -> DataConfig:
    augment = data.augment
    degrees = augment.rotation_degrees
    if degrees and data.skeleton.flat:
        degrees = [0.0, 0.0, degrees[2]]
    annealed = Annealing(augment.anneal, epochs).falling / epochs
    return replace(data, augment=replace(augment, rotation_degrees=degrees if any(degrees) else [], anneal=annealed))


def _distillation_as_used(how: DistillationConfig, student: str) -> DistillationConfig:
    default = DistillationConfig()
    without_effect = {each.name: getattr(default, each.name) for each in fields(how) if not how.has_effect(each.name)}
    used = replace(how, **without_effect)
    if not how.learns_from_others:
        return used
    alpha = how.alpha_of.get(student, how.alpha_other) if how.alpha is None else how.alpha
    return replace(used, alpha=alpha, alpha_of={}, alpha_other=default.alpha_other, label_smoothing=None)
