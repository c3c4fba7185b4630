"""Suggestions for an unknown option: another option, or a configuration key."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cache

from ..utils.aliases import ALIASES
from ..utils.renamed_keys import RENAMED_KEYS

_NEAR = 0.75

_OF_TRAINING = {"out": "--output_root"}  # other commands only find runs there

# Names of our options in other programs and in other commands, and the options that they may be.
_OPTIONS = {
    "num_epoch": ("--epochs",),
    "max_epochs": ("--epochs",),
    "bs": ("--batch_size",),
    "fp16": ("--amp",),
    "half": ("--amp",),
    "gpu": ("--device",),
    "gpus": ("--device",),
    "data": ("--dataset",),
    "data_path": ("--data_root",),
    "input": ("--raw",),
    "num_workers": ("--workers",),
    "work_dir": ("--output_root",),
    "output_dir": ("--output_root", "--out"),
    "save_dir": ("--output_root", "--out"),
    "log_dir": ("--output_root",),
    "output": ("--out", "--output_root"),
    "output_root": ("--out",),
    "weights": ("--checkpoint",),
    "pretrained": ("--init_from",),
    "ckpt": ("--checkpoint",),
    "protocol": ("--split",),
    "benchmark": ("--split",),
}


def suggestion(flag: str, value: str, options: Sequence[str]) -> str:
    """Return the option that was probably meant, as text for a command line; empty if none is similar.

    Args:
        flag: the unknown option, with its dashes.
        value: its value, if it has one.
        options: the command's options. With `--model` and `--set` any configuration key can be set; with `--set` alone
            only those of the data set.
    """
    name = flag.lstrip("-")
    if elsewhere := [option for option in _OPTIONS.get(name, ()) if option in options]:
        return elsewhere[0]
    trains = {"--set", "--model"} <= set(options)
    if trains and _OF_TRAINING.get(name) in options:
        return _OF_TRAINING[name]
    keys = _keys() if trains else ()
    if not keys and "--set" in options:
        keys = tuple(key for key in _keys() if key.startswith("data."))
    if name.startswith("no_") and f"--{name[3:]}" in options and name[3:] in keys:
        return f"--set {name[3:]}=false"
    by_name = {key: key for key in keys} | {key.rpartition(".")[2]: key for key in reversed(keys)}
    sections = {key.rpartition(".")[0] for key in keys} | ({"distillation"} if "--model" in options else set())
    by_name |= {other: key for other, key in ALIASES.items() if key in keys}
    renamed = {old.rpartition(".")[2]: new for old, new in RENAMED_KEYS.items() if new.rpartition(".")[0] in sections}
    if name in renamed:  # as it was written; what is merely similar to an old name was hardly meant
        by_name[name] = renamed[name]
    if name not in by_name:
        option, key = _near_option(name, options), _near_key(name, by_name)
        if option and (_begins(option, name) or _likeness(option, name) >= _likeness(key, name)):
            return option
        name = key
    return f"--set {by_name[name]}={value or 'VALUE'}" if name else ""


def _near_option(name: str, options: Sequence[str]) -> str:
    """Return the option whose name is similar, or the only one whose name begins with it; empty if there is none."""
    longer = [option for option in options if _begins(option, name)]
    if len(longer) == 1:
        return longer[0]
    return next(iter(difflib.get_close_matches(f"--{name}", options, n=1, cutoff=_NEAR)), "")


def _begins(option: str, name: str) -> bool:
    return option.startswith(f"--{name}_")


def _likeness(one: str, other: str) -> float:
    """Return how similar two names are, from 0 to 1, without their dashes."""
    return difflib.SequenceMatcher(None, one.lstrip("-"), other).ratio()


def _near_key(name: str, keys: Iterable[str]) -> str:
    """Return the key that is similar as a whole and in its last part; empty if there is none."""
    last = name.rpartition(".")[2]
    similar = [key for key in keys if difflib.get_close_matches(last, [key.rpartition(".")[2]], n=1, cutoff=_NEAR)]
    return next(iter(difflib.get_close_matches(name, similar, n=1, cutoff=_NEAR)), "")


@cache
def _keys() -> tuple[str, ...]:
    """Return the dotted configuration keys that a user may set, the most common first."""
    from ..settings.data import DataConfig
    from ..utils.config import named_layer
    from ..utils.dotted_keys import flatten
    from ..utils.model_files import model_layer

    layers = [named_layer("training", "default", "file"), named_layer("environment", "local", "file")]
    layers += [model_layer(name) for name in ("nano_e", "base")]
    files = [key for layer in layers for key in flatten(layer.values)]
    data = [f"data.{key}" for key in flatten(asdict(DataConfig())) if not key.startswith(("own_", "select", "name"))]
    return tuple(dict.fromkeys([*files, *data]))
