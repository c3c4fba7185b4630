"""Fields of configuration dataclasses that know which values are possible."""

import math
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, make_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .foreign_text import is_readable
from .yaml_text import decimal

_OTHER_NUMBER = re.compile(r"[-+]?[0-9][0-9a-zA-Z_:.]*")  # such as 0x10, 1_000 and 1:30

LARGEST_SEED = 2**63 - 1


def setting(
    default: Any,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] | None = None,
    lengths: Sequence[int] | None = None,
) -> Any:
    """Return a dataclass field with a default and the limits its value must keep.

    Args:
        default: the value where no file or flag gives one; a list is copied.
        minimum, maximum: the smallest and largest value allowed.
        above: a bound that the value must exceed.
        choices: the words allowed.
        lengths: how many elements a list may have.
    """
    limits = {"minimum": minimum, "above": above, "maximum": maximum, "choices": choices, "lengths": lengths}
    metadata = {key: limit for key, limit in limits.items() if limit is not None}
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def broken_limit(value: Any, limits: Mapping[str, Any]) -> str:
    """Return what `value` should have been, or an empty string where it keeps every limit.

    A list keeps the limits when each of its elements does. Numbers have to be finite.
    """
    if isinstance(value, list):
        if len(value) not in limits.get("lengths", [len(value)]):
            return f"a list of {' or '.join(map(str, limits['lengths']))} elements"
        return next((f"a list, each element {wanted}" for item in value if (wanted := broken_limit(item, limits))), "")
    if isinstance(value, dict):
        return next(
            (f"a mapping, each value {bad}" for each in value.values() if (bad := broken_limit(each, limits))), ""
        )
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number"
    if value is None:
        return ""
    choices = limits.get("choices")
    if choices is not None and value not in choices:
        return f"one of {', '.join(choices)}"
    if "minimum" in limits and not value >= limits["minimum"]:
        return f"at least {limits['minimum']}"
    if "above" in limits and not value > limits["above"]:
        return f"above {limits['above']}"
    if "maximum" in limits and not value <= limits["maximum"]:
        return f"at most {limits['maximum']}"
    return ""


def checked_value(limits: Mapping[str, Any], hint: Any, value: Any) -> tuple[Any, str]:
    """Return `value` as a field of the type `hint` has it, and why it cannot stand there, or an empty string."""
    if problem := next(filter(None, map(_text_problem, _texts_in(value))), ""):
        return value, f"{short(value)} {problem}"
    try:
        converted = value if _is_exactly(hint, value) else _converted(hint, value)
    except (OmegaConfBaseException, OverflowError, ValueError):
        expected = hint.__name__ if type(hint) is type else str(hint)
        advice = ", in decimal digits" if isinstance(value, str) and _OTHER_NUMBER.fullmatch(value) else ""
        return value, f"{'no value' if value is None else short(value)} should be of type {expected}{advice}."
    wanted = broken_limit(converted, limits)
    return converted, f"{short(value)} should be {wanted}." if wanted else ""


def _is_exactly(hint: Any, value: Any) -> bool:
    """Tell whether `value` is of the type `hint` as it is: most are, and OmegaConf takes long to find out."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return any(_is_exactly(part, value) for part in parts)
    if origin is list:
        return type(value) is list and all(_is_exactly(parts[0], each) for each in value)
    if origin is dict:
        key, entry = parts
        return type(value) is dict and all(_is_exactly(key, own) and _is_exactly(entry, value[own]) for own in value)
    return hint in (bool, int, float, str, NoneType) and type(value) is hint


def _converted(hint: Any, value: Any) -> Any:
    """Return `value` as a field of the type `hint` has it; a text is a number where it says one in decimal digits.

    OmegaConf, which knows what else may stand for what, takes long: it is asked about single values that are rare.

    Raises:
        OmegaConfBaseException, OverflowError, ValueError: it does not fit.
    """
    if get_origin(hint) is UnionType and value is not None:  # of one type and None
        return _converted(next(part for part in get_args(hint) if part is not NoneType), value)
    if get_origin(hint) is list and type(value) is list:
        return [_converted(get_args(hint)[0], each) for each in value]
    if hint is float and type(value) is int:
        return float(value)
    if isinstance(value, str) and hint in (int, float):
        value = decimal(value)
        if isinstance(value, str):
            raise ValueError("not decimal")
        return _converted(hint, value)
    if _is_exactly(hint, value):
        return value
    return OmegaConf.to_container(OmegaConf.structured(_single_field(hint)(value)))["value"]  # type: ignore[index, call-overload]


@cache
def _single_field(hint: Any) -> Any:
    """Return a dataclass with one field `value`: OmegaConf checks types of dataclasses, the whole tree slowly."""
    return make_dataclass("SingleField", [("value", hint)])


def _texts_in(value: Any) -> Iterator[str]:
    """Yield every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts_in(key)
            yield from _texts_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts_in(each)


def _text_problem(text: str) -> str:
    """Return why no setting can be `text`, or an empty string."""
    if not is_readable(text):
        return "should be text in UTF-8: rename what it names."
    if "${" in text or text == "???":  # OmegaConf would put something else in its place
        return "should be written out: `${...}` and `???` have no meaning here."
    return ""


def short(value: Any) -> str:
    """Return `value` as Python writes it, cut where it is long."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100
