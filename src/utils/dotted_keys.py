"""Nested settings by dotted keys, such as `data.augment.scale`."""

from collections.abc import Collection, Mapping, Sequence
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


def key_of(assignment: str) -> str:
    """Return the dotted key of a text `key=value`."""
    return assignment.partition("=")[0].strip()


def value_at(tree: Mapping[str, Any], key: str) -> Any:
    """Return the value at a dotted key in nested mappings, None if there is none."""
    value: Any = tree
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def is_emptied(values: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Tell whether nested mappings have an empty mapping, or null, at a path."""
    for name in path[:-1]:
        inner = values.get(name)
        values = inner if isinstance(inner, Mapping) else {}
    return path[-1] in values and (values[path[-1]] is None or values[path[-1]] == {})


def set_nested(tree: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set `value` at `path` in nested dicts; a value that is not a dict on the way is replaced."""
    for name in path[:-1]:
        if not isinstance(tree.get(name), dict):
            tree[name] = {}
        tree = tree[name]
    tree[path[-1]] = value


def assign(tree: dict[str, Any], path: Sequence[str], value: Any) -> list[Sequence[str]]:
    """Set a value in nested dicts; a mapping is merged with the one that is there, unless it is empty.

    Returns:
        The paths of what was empty or null before, and now holds a value.
    """
    if isinstance(value, Mapping) and value:
        return [each for name, inner in value.items() for each in assign(tree, [*path, name], inner)]
    emptied = [path[:end] for end in range(1, len(path)) if is_emptied(tree, path[:end])]
    set_nested(tree, path, value)
    return emptied
