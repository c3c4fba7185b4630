"""Nested settings by dotted keys, such as `data.augment.scale`."""

from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def flatten(values: Mapping[str, Any], prefix: str = "", whole: Collection[str] = ()) -> dict[str, Any]:
    """Return nested mappings as one with dotted keys; those of `whole` and empty ones are values."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        nested = isinstance(value, Mapping) and value and key not in whole
        found |= flatten(value, f"{key}.", whole) if nested else {key: value}
    return found


def mappings_of_names(config: Any, prefix: str = "") -> list[str]:
    """Return the dotted keys of a configuration, a dataclass, that hold a mapping of any names, such as plug-ins.

    A mapping with the settings of one plug-in, such as `optimizer_settings`, has no names, but keys with defaults.
    """
    found = []
    for each in fields(config):
        value, key = getattr(config, each.name), f"{prefix}{each.name}"
        if is_dataclass(value):
            found += mappings_of_names(value, f"{key}.")
        elif isinstance(value, dict) and not (key.endswith("_settings") or any(map(is_dataclass, value.values()))):
            found.append(key)
    return found
