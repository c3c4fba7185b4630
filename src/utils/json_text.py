"""Read JSON of foreign origin: only what can be written again as text and as numbers of 64 bits."""

import json
from typing import Any

_MOST_DIGITS = 19  # of a whole number of 64 bits; Python takes time in the square of them, and no float holds them


def parse_json(text: str) -> Any:
    """Return what a JSON text says.

    Raises:
        ValueError: it is no JSON, nests too deep, or has a number or a character that nothing could be done with.
    """
    try:
        values = json.loads(text, parse_int=_whole_number)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    # Half of a character that takes two, alone, goes into no file and on no terminal; a path that is no text may.
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise ValueError("it has half of a character that takes two") from None
    return values


def _whole_number(digits: str) -> int:
    if len(digits.lstrip("-")) > _MOST_DIGITS:
        raise ValueError(f"it has a whole number of {len(digits)} digits")
    return int(digits)
