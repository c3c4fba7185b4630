"""The best settings of a search as a recipe and as the command that trains them in full."""

import shlex
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import is_dataclass, replace
from typing import Any

from ...runs.resume import covers
from ...settings.run import RunConfig
from ...utils.config import YAML_ENDINGS, Layer, override_layer
from ...utils.dotted_keys import key_of, set_nested
from ...utils.numbers import counted
from ...utils.overlay import type_below
from ...utils.program import program
from ...utils.yaml_text import yaml_of
from ..recipe_layer import choose, layer_of_recipe
from ..sweep.plan import OF_ALL, SweepSpec
from ..sweep.results import METRIC, VariantResult
from .plan import Candidate, Search

RECIPE_FILE = "best.yaml"
_OF_THE_SEARCH = ("data.select", "epochs")  # settings of all runs that decided on clips and lengths only
_OF_TRAINING = ("epochs", "batch_size", "amp", "compile")  # flags that belong to a recipe


def train_command(search: Search, best: Candidate) -> str:
    """Return the command that trains a candidate on the whole training part of the data set's own protocol.

    It has the longest schedule of the search, even if no time was left to compare candidates with it. With early
    stopping the clips that the search held out are held out again, since they decide when the training ends.
    """
    spec = search.spec
    options = {"--config": spec.recipe, "--model": spec.model, "--dataset": spec.dataset, "--env": spec.environment}
    words = [f"{option} {shlex.quote(value)}" for option, value in options.items() if value]
    flags = {**{key: value for key, value in spec.flags.items() if key != "max_hours"}, "epochs": search.lengths[-1]}
    for key, value in flags.items():
        if value is not None and value is not False:
            words.append(f"--{key}" if value is True else f"--{key} {shlex.quote(str(value))}")
    settings = [*_kept_settings(search, best), *best.changes]
    words += [f"--set {' '.join(map(shlex.quote, settings))}"] if settings else []
    return f"{program()} train {' '.join(words)}"


def recipe_text(search: Search, best: Candidate, epochs: int, result: VariantResult) -> str:
    """Return a recipe, with comments that say where it is from, that trains a candidate.

    It has the settings of the search's recipe, of its `--set` and its options, those of the candidate and the longest
    schedule, but none of the machine, and not those that chose the clips of the search, unless early stopping needs
    them.

    Args:
        search: the search.
        best: the candidate.
        epochs: of the schedule that it has its result with.
        result: that result.
    """
    spec = search.spec
    values = _recipe_values(spec)
    for setting in (*_kept_settings(search, best), *best.changes):  # in their order: one may empty a mapping
        _lay_over(values, override_layer([setting]).values, RunConfig)
    for key in _OF_TRAINING:
        if spec.flags.get(key) is not None:
            values[key] = spec.flags[key]
    values["epochs"] = search.lengths[-1]
    files = [f"--{name} FILE" for name in ("model", "dataset") if str(getattr(spec, name)).endswith(YAML_ENDINGS)]
    command = " ".join([f"{program()} train --config {RECIPE_FILE}", *files])
    parts, what = ", ".join(search.parts), "The best of" if best.values else "The recipe's own settings in"
    return (
        f"# {command}\n#\n# {what} a search on {parts}: {METRIC.title} {result.together.text()} there, after "
        f"{counted(epochs, 'epoch')}. On the test part\n# of the data set it is not yet measured.\n{yaml_of(values)}"
    )


def _kept_settings(search: Search, best: Candidate) -> list[str]:
    """Return the settings of all runs but those that decided on the clips of the search and on its lengths.

    Early stopping is part of how a candidate was trained, and needs clips that are held out.
    """
    config = next(iter(best.parts.values()))
    dropped = _OF_THE_SEARCH if config.early_stopping.patience else (*OF_ALL, *_OF_THE_SEARCH)
    return [text for text in search.spec.settings if not covers(dropped, key_of(text))]


def _recipe_values(spec: SweepSpec) -> dict[str, Any]:
    """Return a copy of the values of the recipe of a search, if any, for the model and data set of its options."""
    recipe = layer_of_recipe(spec.recipe) if spec.recipe else Layer("no recipe", {})
    for section, option in (("model", spec.model), ("data", spec.dataset)):
        if option and not option.endswith(YAML_ENDINGS):
            recipe = choose(section, option, recipe)[1]
            named = {**(recipe.values.get(section) or {}), "name": option}
            recipe = replace(recipe, values={**recipe.values, section: named})
    return deepcopy(dict(recipe.values))


def _lay_over(values: dict[str, Any], layer: Mapping[str, Any], kind: Any, path: tuple[str, ...] = ()) -> None:
    """Set the values of a layer in `values`, mappings key by key; null stays, as it takes a name from other files too.

    Args:
        values: those of the recipe.
        layer: what changes them at `path`.
        kind: the type of what is there.
        path: the names of the sections.
    """
    for key, value in layer.items():
        below = type_below(kind, key)
        if isinstance(value, Mapping) and value:
            _lay_over(values, value, below, (*path, key))
        elif not (value == {} and is_dataclass(below)):  # an empty section changes nothing
            set_nested(values, (*path, key), value)
