"""Parsing of untrusted JSON: only values that can be written again as text and as 64-bit numbers."""

import json
from typing import Any

# Of an unsigned 64-bit integer. Python's time is quadratic in the digits, and a float cannot represent more.
_MOST_DIGITS = 20


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or has an unusable number or character.
    """
    try:
        values = json.loads(text, parse_int=_whole_number)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    # A lone surrogate cannot be written to a file or a terminal; one from a path that is not UTF-8 can.
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise ValueError("it has half of a surrogate pair") from None
    return values


def _whole_number(digits: str) -> int:
    if len(digits.lstrip("-")) > _MOST_DIGITS:
        raise ValueError(f"it has a whole number of {len(digits)} digits")
    return int(digits)
