"""Suggestions for an unknown option: another option, or a configuration key."""

import difflib
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache

from ..utils.aliases import ALIASES
from ..utils.renamed_keys import RENAMED_KEYS

_NEAR = 0.75

# Names of our options in other programs.
_OPTIONS = {
    "num_epoch": "--epochs",
    "max_epochs": "--epochs",
    "bs": "--batch_size",
    "fp16": "--amp",
    "half": "--amp",
    "gpu": "--device",
    "gpus": "--device",
    "data": "--dataset",
    "data_path": "--data_root",
    "input": "--raw",
    "num_workers": "--workers",
    "work_dir": "--output_root",
    "output_dir": "--output_root",
    "save_dir": "--output_root",
    "log_dir": "--output_root",
    "output": "--out",
    "weights": "--checkpoint",
    "pretrained": "--init_from",
    "ckpt": "--checkpoint",
    "protocol": "--split",
    "benchmark": "--split",
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
    if _OPTIONS.get(name) in options:
        return _OPTIONS[name]
    keys = _keys() if {"--set", "--model"} <= set(options) else ()
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
        near = difflib.get_close_matches(f"--{name}", [*options, *(f"--{each}" for each in by_name)], n=1, cutoff=_NEAR)
        if not near or near[0] in options:
            return near[0] if near else ""
        name = near[0].lstrip("-")
    return f"--set {by_name[name]}={value or 'VALUE'}"


@cache
def _keys() -> tuple[str, ...]:
    """Return the dotted configuration keys that a user may set, the most common first."""
    from ..settings.data import DataConfig
    from ..utils.config import flatten, named_layer
    from ..utils.model_files import model_layer

    layers = [named_layer("training", "default", "file"), named_layer("environment", "local", "file")]
    layers += [model_layer(name) for name in ("nano_e", "base")]
    files = [key for layer in layers for key in flatten(layer.values)]
    data = [f"data.{key}" for key in flatten(asdict(DataConfig())) if not key.startswith(("own_", "select", "name"))]
    return tuple(dict.fromkeys([*files, *data]))
