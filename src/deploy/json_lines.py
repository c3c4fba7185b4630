"""Recordings as JSON lines, one object a line, as another program may send them.

Legend: M bodies, F frames, V joints, C coordinates.
"""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..data.preparation.formats import BadClip, Source
from ..data.preparation.formats.clip_builder import ClipMetadata, build_clip
from ..data.preparation.formats.timing import Timing, timing_of_rate
from ..data.store.clip import Clip
from ..utils.json_text import parse_json

LONGEST_LINE_BYTES = 64 << 20
_KEYS = ("name", "joints", "confidence", "fps")
_JOINTS = {3: "frames, joints, coordinates", 4: "bodies, frames, joints, coordinates"}
_CONFIDENCE = {3: "frames, joints", 4: "bodies, frames, joints"}  # by the axes of the joints


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
    """Return nested lists of numbers as an array; null is NaN. `wanted` are its axes in words, by their number."""
    array = array_of(value)
    if array is None or array.ndim not in wanted:
        raise BadClip(name, 0, f"`{key}` should be nested lists of numbers: {' or '.join(wanted.values())}")
    return array


def array_of(value: Any) -> NDArray[np.float64] | None:
    """Return nested lists of numbers as an array, None for something else.

    A null is NaN; in the place of a list it is as many of them as the lists beside it have.
    """
    for completes in (False, True):  # the lists as they are first, since completing them takes long
        try:
            array = np.array(_with_whole_nulls(value) if completes else value)
            if array.dtype.kind == "O" and {*map(type, array.ravel())} <= {int, float, type(None)}:
                array = array.astype(np.float64)
        except (ValueError, OverflowError):  # of different lengths
            continue
        if array.dtype.kind in "fiu":
            return array.astype(np.float64)
    return None


def _with_whole_nulls(value: Any) -> Any:
    """Return nested lists in which each null beside lists is a list like the first of them, of nulls."""
    if not isinstance(value, list):
        return value
    inner = [_with_whole_nulls(each) for each in value]
    first = next((each for each in inner if isinstance(each, list)), None)
    return inner if first is None else [_nulls_like(first) if each is None else each for each in inner]


def _nulls_like(value: Any) -> Any:
    return [_nulls_like(each) for each in value] if isinstance(value, list) else None
