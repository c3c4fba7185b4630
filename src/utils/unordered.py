"""Lists of settings whose order has no meaning: they are kept in one order, so that equal settings are equal values.

Such a list has the metadata `Unordered` in the annotation of its field: `Annotated[list[int], Unordered()]`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from .limits import annotations_of
from .overlay import type_below


@dataclass(frozen=True)
class Unordered:
    """The metadata of a list whose elements mean the same in any order."""


def put_in_order(section: Any) -> None:
    """Put the lists of a dataclass instance whose order has no meaning in order; it is for its `__post_init__`."""
    for name, annotation in annotations_of(type(section)).items():
        if is_unordered(annotation):
            setattr(section, name, with_lists_in_order(annotation, getattr(section, name)))


def with_lists_in_order(annotation: Any, values: Any) -> Any:
    """Return plain values in which the lists whose order has no meaning are in order.

    Args:
        annotation: their type, such as that of a section; what is not of it stays as it is.
        values: plain values, such as those of a file.
    """
    if isinstance(values, Mapping):
        return {name: with_lists_in_order(type_below(annotation, name), value) for name, value in values.items()}
    if not isinstance(values, list) or not is_unordered(annotation):
        return values
    choices = get_args(get_args(get_args(annotation)[0])[0])  # of a `Literal`, in whose order they are
    try:
        return sorted(values, key=lambda value: (choices.index(value) if value in choices else len(choices), value))
    except TypeError:  # not of the type
        return values


def is_unordered(annotation: Any) -> bool:
    """Tell whether the order of a list with this annotation has no meaning."""
    return any(isinstance(each, Unordered) for each in get_args(annotation)[1:])
