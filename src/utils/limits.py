"""Limits of settings, for the annotations of a dataclass's fields; they need no package, as settings do not."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Interval:
    """The lowest and the highest number, such as `Annotated[float, Interval(gt=0, le=1)]`; None is no limit."""

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None


@dataclass(frozen=True)
class Lengths:
    """The numbers of elements that a list may have, such as `Annotated[list[float], Lengths((0, 3))]`."""

    allowed: tuple[int, ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.allowed))


@dataclass(frozen=True)
class ZeroOrAtLeast:
    """The lowest number above 0, such as `Annotated[float, ZeroOrAtLeast(0.5), Interval(ge=0, le=1000)]`."""

    lowest: float


def annotations_of(section: Any) -> dict[str, Any]:
    """Return the annotation of each field of a dataclass; for a section of an instance, the class of its value."""
    if isinstance(section, type):
        return _annotations(section)
    present = ((name, annotation, getattr(section, name)) for name, annotation in _annotations(type(section)).items())
    return {name: type(value) if is_dataclass(value) else annotation for name, annotation, value in present}


def entry_type(annotation: Any) -> Any:
    """Return the value type of a `dict[str, X]` annotation, else None."""
    return get_args(annotation)[1] if get_origin(annotation) is dict else None


def _read_annotations(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {item.name: hints[item.name] for item in fields(kind)}


_annotations: Callable[[Any], dict[str, Any]] = cache(_read_annotations)
