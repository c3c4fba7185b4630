"""Fields of configuration dataclasses that know which values are possible."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any


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
