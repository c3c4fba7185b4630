"""Recordings as JSON lines, one object a line, as another program may send them.

Legend: M bodies, F frames, V joints, C coordinates.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain, count, repeat
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..data.preparation.formats import BadClip, DroppedClip, Source
from ..data.preparation.formats.clip_builder import ClipMetadata, build_clip, refuse_size
from ..data.preparation.formats.timing import Timing, timing_of_rate
from ..data.store.clip import Clip
from ..utils.json_text import parse_json

LONGEST_LINE_BYTES = 64 << 20
_KEYS = ("name", "joints", "confidence", "fps")
_JOINTS = {3: "frames, joints, coordinates", 4: "bodies, frames, joints, coordinates"}
_CONFIDENCE = {3: "frames, joints", 4: "bodies, frames, joints"}  # by the axes of the joints
_NUMBERS = {int, float, type(None)}


def numbered_lines(stream: BinaryIO, longest: int = LONGEST_LINE_BYTES) -> Iterator[tuple[int, bytes | None]]:
    """Yield the lines of a stream that are not empty, with their numbers from 1; None for one that is too long."""
    for number in count(1):
        line = stream.readline(longest + 1)
        if not line:
            return
        if len(line) > longest and not line.endswith(b"\n"):
            while (more := stream.readline(longest)) and not more.endswith(b"\n"):
                pass
            yield number, None
        elif line.strip():
            yield number, line


def clip_of_line(line: bytes | None, number: int, source: Source) -> Clip:
    """Return the clip of a line: an object with `joints`, and perhaps `name`, `confidence` and `fps`.

    Args:
        line: the text; None for one that is too long.
        number: of the line; it is named in every error.
        source: the layout of the joints, and how many bodies to keep.

    Raises:
        BadClip: it is no such object, or its joints do not fit the layout.
        DroppedClip: it has no body.
    """
    where = f"line {number}"
    if line is None:
        raise BadClip(where, 0, f"has more than {LONGEST_LINE_BYTES >> 20} MiB, too many for one recording")
    try:
        content = parse_json(line.decode("utf-8"))
    except ValueError as error:
        raise BadClip(where, 0, f"is not JSON: {error}") from None
    if not isinstance(content, dict) or "joints" not in content:
        raise BadClip(where, 0, 'should be an object such as {"name": "clip", "joints": [...]}')
    if unknown := [key for key in content if key not in _KEYS]:
        raise BadClip(where, 0, f"has {unknown[0][:40]!r}; known are {', '.join(_KEYS)}")
    named = content.get("name")
    if not isinstance(named, str | None):
        raise BadClip(where, 0, "`name` should be a text")
    name = where if not named else f"{where}, {named}"
    joints = _numbers(name, "joints", content["joints"], _JOINTS)
    confidence = content.get("confidence")
    certain = (
        None
        if confidence is None
        else _numbers(name, "confidence", confidence, {joints.ndim - 1: _CONFIDENCE[joints.ndim]})
    )
    whole = joints if joints.ndim == 4 else joints[None]
    if certain is not None and joints.ndim == 3:
        certain = certain[None]
    clip = build_clip(
        name, ClipMetadata(0), whole, source, confidence=certain, timing=_timing(name, content.get("fps"))
    )
    clip.name = named or where
    return clip


def _timing(name: str, fps: Any) -> Timing:
    if fps is None:
        return Timing()
    if type(fps) not in (int, float):
        raise BadClip(name, 0, "`fps` should be a number")
    return timing_of_rate(name, float(fps))


def _numbers(name: str, key: str, value: Any, wanted: Mapping[int, str]) -> NDArray[np.float64]:
    """Return nested lists of numbers as an array; null is NaN. `wanted` are its axes in words, by their number.

    Raises:
        BadClip: they are no such lists, or too long.
        DroppedClip: there is nothing but nulls in place of lists.
    """
    array = array_of(value, partial(refuse_size, name))
    if array is not None and array.size and 0 < array.ndim < min(wanted) and np.isnan(array).all():
        raise DroppedClip(name, 0, "no skeleton")
    if array is None or array.ndim not in wanted:
        raise BadClip(name, 0, f"`{key}` should be nested lists of numbers: {' or '.join(wanted.values())}")
    return array


def array_of(value: Any, refuse_size: Callable[[int], None]) -> NDArray[np.float64] | None:
    """Return nested lists of numbers as an array, None for something else.

    A null is NaN; in place of a list, all numbers of that list are.

    Args:
        value: the lists.
        refuse_size: raises an error if the array would have too many numbers, since a null may stand for many of them.
    """
    lengths = _lengths(value)
    if lengths is None:
        return None
    refuse_size(math.prod(lengths))
    level = [value]
    for length in lengths:
        level = list(chain.from_iterable(repeat(None, length) if each is None else each for each in level))
    return np.array(level, np.float64).reshape(lengths)


def _lengths(value: Any) -> list[int] | None:
    """Return the length of the lists of each depth; None where they are no array of numbers and nulls.

    At each depth the lists have one length, and beside them are only nulls.
    """
    lengths: list[int] = []
    level = [value]
    while (kinds := set(map(type, level))) - _NUMBERS:
        lists = [each for each in level if each is not None]
        found = set(map(len, lists)) if kinds <= {list, type(None)} else set()
        if len(found) != 1 or len(lengths) == max(_JOINTS):
            return None
        lengths.append(found.pop())
        level = list(chain.from_iterable(lists))
    return lengths
