"""Configuration keys and options that have been renamed, each with its present name.

Checkpoints and run folders with old keys are read with the present ones. Where a user writes an old name, the error
message gives the present one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

RENAMED_KEYS = {  # dotted; a key stays in its section
    "repeat": "repeats_per_epoch",
    "label_share": "label_fraction",
    "validation_share": "validation_fraction",
    "hardware.residency": "hardware.data_placement",
    "distillation.draws": "distillation.fixed_augmentations",
    "distillation.hint_weight": "distillation.feature_weight",
    "data.drawn_from": "data.subset_of",
}
RENAMED_OPTIONS = {
    "--raw": "--no_ema",  # of `evaluate` and `export`; `preprocess --raw` names the raw recordings
    "--residency": "--data_placement",
    "--draws": "--fixed_augmentations",
}
_LEAVES = {old.rpartition(".")[2]: new.rpartition(".")[2] for old, new in RENAMED_KEYS.items()}


def present_key(name: str, known: Sequence[str]) -> str:
    """Return the present name of a key without its section, if it is among the `known` keys there; else nothing."""
    present = _LEAVES.get(name, "")
    return present if present in known else ""


def with_present_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration that LAST saved with the present name of every renamed key; `values` is not changed."""
    renamed = dict(values)
    for old, new in RENAMED_KEYS.items():
        section, _, name = old.rpartition(".")
        holder = renamed.get(section) if section else renamed
        present = new.rpartition(".")[2]
        if not isinstance(holder, Mapping) or name not in holder or present in holder:
            continue
        items = {present if key == name else key: value for key, value in holder.items()}  # in the same order
        renamed = {**renamed, section: items} if section else items
    return renamed
