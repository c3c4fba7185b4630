"""How the settings of one layer of a configuration change those below it.

Sections and mappings are merged key by key; any other value replaces the one below. In a mapping of names, such as that
of protocols or of plug-ins, null takes a name away, unless null is one of its values, and an empty mapping replaces all
that is below it. Taking away what is not there has no effect, so that the same settings can be given again over a saved
configuration. In a file a section or mapping without a value changes nothing, since its lines may all be commented out.
"""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, get_args

from .limits import annotations_of, entry_type


def overlaid(annotation: Any, below: Any, above: Any) -> Any:
    """Return the value of a setting or section that is set to `above` over `below`, neither of which is changed.

    Args:
        annotation: its type: a dataclass, or an instance of one, for a section; None if it is unknown.
        below, above: plain values.
    """
    if not isinstance(above, Mapping):
        return above
    if not above and not is_dataclass(annotation):
        return {}
    result = dict(below) if isinstance(below, Mapping) else {}
    for name, value in above.items():
        if value is None and takes_away(annotation):
            result.pop(name, None)
        else:
            result[name] = overlaid(type_below(annotation, name), result.get(name), value)
    return result


def without_removals(
    annotation: Any, values: Mapping[str, Any], texts: Mapping[str, Any], *, of_file: bool = True
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the values of a layer without the names that it takes away, and those as a tree of the same form.

    Args:
        annotation: the type of the section.
        values: its plain values.
        texts: the same tree as written, if it comes from a text. A name without a value is no null: that is a section
            whose lines are all commented out.
        of_file: whether there may be lines that are commented out; else a mapping without a value is kept as null.
    """
    kept: dict[str, Any] = {}
    removed: dict[str, Any] = {}
    for name, value in values.items():
        text, part = texts.get(name, "null"), type_below(annotation, name)
        if value is None and text and takes_away(annotation):
            removed[name] = None
        elif of_file and value is None and not text and is_dataclass(annotation) and entry_type(part):
            continue  # a mapping whose names are all commented out
        elif isinstance(value, Mapping) and value:
            below = text if isinstance(text, Mapping) else {}
            own, without = without_removals(part, value, below, of_file=of_file)
            if own or not without:
                kept[name] = own
            if without:
                removed[name] = without
        else:
            kept[name] = value
    return kept, removed


def type_below(annotation: Any, name: str) -> Any:
    """Return the type of what has a name in a section or mapping, None if it is unknown."""
    return annotations_of(annotation).get(name) if is_dataclass(annotation) else entry_type(annotation)


def type_at(annotation: Any, key: str) -> Any:
    """Return the type of what is at a dotted key in a section, None if it is unknown."""
    for name in key.split("."):
        annotation = type_below(annotation, name)
    return annotation


def mappings_within(annotation: Any, values: Mapping[str, Any]) -> list[list[str]]:
    """Return the keys, as lists of names, of the mappings of names in the plain values of a section of this type."""
    found: list[list[str]] = []
    for name, value in values.items():
        part = type_below(annotation, name)
        if isinstance(value, Mapping) and entry_type(part) is not None:
            found.append([name])
        elif isinstance(value, Mapping) and is_dataclass(part):
            found += [[name, *rest] for rest in mappings_within(part, value)]
    return found


def takes_away(annotation: Any) -> bool:
    """Tell whether null takes a name out of a mapping of this type: it is one of names, whose values are never null."""
    entry = entry_type(annotation)
    return entry is not None and entry is not Any and type(None) not in get_args(entry)
