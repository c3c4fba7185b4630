"""Frames as JSON objects, one a line, as a program that sees people sends them.

Legend: M bodies, V joints, C coordinates.
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..deploy.json_lines import array_of
from ..utils.errors import UserError
from ..utils.json_text import parse_json

LONGEST_FRAME_BYTES = 1 << 20
_KEYS = ("joints", "body", "time", "confidence")
_LONGEST_NAME = 100
_MOST_NUMBERS = 1 << 17


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame, as `StreamRecognizer.push` takes it.

    Attributes:
        joints: (V, C) of one person, or (M, V, C), NaN where a joint is missing.
        body: who it is, or a tuple of M ids; None where the frame does not say it.
        time: in seconds; None where the frame has none.
        confidence: (V,) or (M, V), or None.
    """

    joints: NDArray[np.float64]
    body: Hashable = None
    time: float | None = None
    confidence: NDArray[np.float64] | None = None


def frame_of_line(line: bytes | None) -> Frame:
    """Return the frame of a line: an object with `joints`, and perhaps `body`, `time` and `confidence`.

    Args:
        line: the text; None for one that is longer than `LONGEST_FRAME_BYTES`.

    Raises:
        UserError: it is no such object.
    """
    if line is None:
        raise UserError(f"has more than {LONGEST_FRAME_BYTES >> 20} MiB, too many for one frame")
    try:
        content = parse_json(line.decode("utf-8"))
    except ValueError as error:
        raise UserError(f"is not JSON: {error}") from None
    if not isinstance(content, dict) or "joints" not in content:
        raise UserError('should be an object such as {"joints": [[x, y, z], ...], "body": 1, "time": 0.033}')
    if unknown := [key for key in content if key not in _KEYS]:
        raise UserError(f"has {unknown[0][:40]!r}; known are {', '.join(_KEYS)}")
    confidence = content.get("confidence")
    certain = None if confidence is None else _numbers("confidence", confidence, (1, 2))
    return Frame(_numbers("joints", content["joints"], (2, 3)), _body(content.get("body")), _time(content), certain)


def _body(given: Any) -> Hashable:
    names = given if isinstance(given, list) else [given]
    if not all(type(each) is int or isinstance(each, str | None) for each in names):
        raise UserError("`body` should be a text, a whole number, or a list of these")
    if any(isinstance(each, str) and len(each) > _LONGEST_NAME for each in names):
        raise UserError(f"`body` should have at most {_LONGEST_NAME} characters")
    return tuple(names) if isinstance(given, list) else names[0]


def _time(content: dict[str, Any]) -> float | None:
    time = content.get("time")
    if time is not None and (type(time) not in (int, float) or not math.isfinite(time)):
        raise UserError("`time` should be a finite number of seconds")
    return None if time is None else float(time)


def _numbers(key: str, value: Any, axes: tuple[int, int]) -> NDArray[np.float64]:
    """Return nested lists of numbers as an array; null is NaN."""
    array = array_of(value, _refuse_size)
    if array is None or array.ndim not in axes:
        wanted = {"joints": "joints of coordinates, or bodies of these", "confidence": "a number for each joint"}[key]
        raise UserError(f"`{key}` should be nested lists of numbers: {wanted}")
    return array


def _refuse_size(numbers: int) -> None:
    if numbers > _MOST_NUMBERS:
        raise UserError(f"has more than {_MOST_NUMBERS} numbers, too many for one frame")
