"""What the readers of JSON share: parsing within limits, checked values, and which format a content looks like."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....utils.json_text import parse_json
from .base import MOST_FRAMES, BadClip, Entry, list_formats
from .class_folders import ClassFolderReader
from .recordings import read_bytes
from .visibility import refuse_flags

# Python's lists and objects take up to twenty times the bytes of their text.
LIMIT_BYTES = 128 << 20
_LARGEST_SCORE = 10.0  # of pose estimators whose scores are not limited to 1, such as AlphaPose and RTMPose

Floats = NDArray[np.float64]


class JsonClipReader(ClassFolderReader):
    """Base of the readers of one JSON file per clip in class folders."""

    endings = (".json", ".json.gz")
    expected = "class_name/clip.json"


def turned(points: Floats) -> Floats:
    """Turn points by half a turn around z, from x to the right and y down to a Kinect v2's x to the left and y up."""
    half_turn: Floats = points * np.array([-1.0, -1.0, 1.0])
    return half_turn


def read_json(entry: Entry, limit_bytes: int = LIMIT_BYTES) -> Any:
    """Return the content of a recording that is one JSON text.

    Raises:
        BadClip: it is too large, cannot be read, or is not JSON.
    """
    try:
        return parse_json(read_bytes(entry, limit_bytes).decode("utf-8"))
    except json.JSONDecodeError as error:
        raise BadClip(entry.name, error.lineno, f"is not JSON: {error.msg}") from None
    except ValueError as error:
        if isinstance(error, BadClip):
            raise
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise BadClip(entry.name, 0, f"is not JSON: {reason}") from None


def read_json_part(entry: Entry, path: Path, size: int, limit_bytes: int) -> Any:
    """Return the content of one file of a recording that consists of several.

    Raises:
        BadClip: it is too large, cannot be read, or is not JSON; the reason names the file.
    """
    try:
        return read_json(replace(entry, path=path, member="", size=size, copies=()), limit_bytes)
    except BadClip as problem:
        where = f"{path.name}, line {problem.line}" if problem.line else path.name
        raise BadClip(entry.name, 0, f"{where}: {problem.reason}") from None


def checked_object(name: str, value: object, where: str) -> dict[str, Any]:
    """Return `value` if it is a JSON object.

    Raises:
        BadClip: it is none; `where` is named.
    """
    if not isinstance(value, dict):
        raise BadClip(name, 0, f"{where} should be an object, not {_kind(value)}")
    return value


def checked_list(name: str, value: object, where: str, most: int = MOST_FRAMES) -> list[Any]:
    """Return `value` if it is a list of at most `most` items.

    Raises:
        BadClip: it is none, or longer; `where` is named.
    """
    if not isinstance(value, list):
        raise BadClip(name, 0, f"{where} should be a list, not {_kind(value)}")
    if len(value) > most:
        raise BadClip(name, 0, f"{where} has {len(value)} items; at most {most} are read")
    return value


def checked_numbers(name: str, value: object, where: str, count: int | None = None) -> Floats:
    """Return a list of numbers as an array; null and NaN are NaN.

    Raises:
        BadClip: it is no list of numbers, or not of `count` of them; `where` is named.
    """
    values = checked_list(name, value, where)
    if set(map(type, values)) - {int, float, type(None)}:
        raise BadClip(name, 0, f"{where} should hold numbers")
    if count is not None and len(values) != count:
        raise BadClip(name, 0, f"{where} should have {count} numbers, not {len(values)}")
    array = np.array(values, np.float64)
    if np.isinf(array).any():
        raise BadClip(name, 0, f"{where} has an infinite number")
    return array


def checked_points(name: str, value: object, where: str, joints: int, coordinates: int) -> Floats:
    """Return a list of points, each a list of numbers, as an array (V, C).

    Raises:
        BadClip: it is no such list, or has another number of points or coordinates; `where` is named.
    """
    points = checked_list(name, value, where)
    if len(points) != joints:
        raise BadClip(name, 0, f"{where} should have the {joints} joints of the layout, not {len(points)}")
    return np.stack([checked_numbers(name, point, where, coordinates) for point in points])


def checked_time(name: str, value: object, where: str, per_second: float) -> float:
    """Return a time in seconds.

    Raises:
        BadClip: it is no number; `where` is named.
    """
    if type(value) not in (int, float):
        raise BadClip(name, 0, f"{where} should be a number, not {_kind(value)}")
    return float(value) / per_second  # type: ignore[arg-type]


def capped_scores(name: str, scores: Floats) -> Floats:
    """Return the scores of a pose estimator as confidences: those somewhat above 1 count as 1.

    Raises:
        BadClip: one is far above 1, so that it is no score, such as a percentage.
    """
    refuse_flags(name, scores)
    if (scores > _LARGEST_SCORE).any():
        raise BadClip(name, 0, f"a joint has the score {np.nanmax(scores):g}; it should be from 0 to 1")
    return np.minimum(scores, 1.0)


def unexpected(name: str, content: object, format_name: str, expected: str) -> BadClip:
    """Return the refusal of a content of another structure, with the format that it looks like."""
    found = format_looked_like(content, other_than=format_name)
    if not found:
        return BadClip(name, 0, f"should hold {expected}")
    return BadClip(name, 0, f"should hold {expected}; it looks like a file of `data.format: {found}`")


def format_looked_like(content: object, other_than: str = "") -> str:
    """Return the first format that a JSON content looks like at its beginning; empty if it looks like none."""
    found = next((known for known, test in _LOOKS.items() if known != other_than and test(content)), "")
    return found if found in list_formats() else ""


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", type(None): "null", bool: "true or false"}
    return kinds.get(type(value), "a number")


def _first(content: object) -> dict[str, Any]:
    """Return the first object of a list, or a content itself; an empty one if there is none."""
    while isinstance(content, list) and content:
        content = content[0]
    return content if isinstance(content, dict) else {}


def _frame(content: object) -> dict[str, Any]:
    """Return the first frame of a content that is a list of frames, or has one."""
    outer = _first(content)
    return _first(outer["frames"]) if isinstance(outer.get("frames"), list) else outer


def _has(*keys: str) -> Callable[[object], bool]:
    return lambda content: any(key in _frame(content) or key in _first(content) for key in keys)


def _first_value(content: object) -> object:
    return next(iter(content.values()), None) if isinstance(content, dict) else None


_has_bodies = _has("body_list", "body_format")
# Tests of what is typical of a format, at its beginning only.
_LOOKS: dict[str, Callable[[object], bool]] = {
    "nw_ucla": _has("skeletons"),
    "openpose": _has("people"),
    "kinect_azure": _has("k4abt_sdk_version", "num_bodies"),
    "zed": lambda content: _has_bodies(content) or _has_bodies(_first_value(content)),  # frames may be by their times
    "tao": _has("num_frames_in_batch", "batches"),
    "mediapipe": _has(
        "landmarks", "pose_landmarks", "pose_world_landmarks", "poseLandmarks", "worldLandmarks", "hand_landmarks"
    ),
    "coco": _has("keypoints", "annotations", "instance_info", "instances"),
}
