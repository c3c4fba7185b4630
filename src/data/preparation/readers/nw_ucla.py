"""Northwestern-UCLA Multiview Action 3D: one JSON file per clip, in the distributed zip or unpacked.

A file holds `skeletons` [T][20][3] in metres, from one Kinect v1, and `label` from 1 to 10; its name
`aXX_sXX_eXX_vXX` gives action, subject, episode and view.
"""

import json
import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from ...store.clip import Clip
from ..formats.base import BadClip, DroppedClip, Entry, Source
from ..formats.clip_builder import ClipMetadata, build_clip
from ..formats.recordings import find_recordings, read_bytes

_LIMIT_BYTES = 16 << 20
_NAME = re.compile(r"a(\d\d)_s(\d\d)_e(\d\d)_v(\d\d)", re.ASCII | re.IGNORECASE)
# The published actions, in the order of their labels 1 to 10.
_ACTIONS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)


class Reader:
    """Reader of NW-UCLA recordings; the camera is the view, the replication is the episode."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def entries(self, raw: Path) -> Sequence[Entry]:
        """List the `.json` files below `raw`.

        Raises:
            UserError: `raw` does not exist, holds a damaged zip, or holds no recording.
        """
        return find_recordings(raw, ".json", _clip_name, "files named aXX_sXX_eXX_vXX.json", self._source)

    def read(self, entry: Entry) -> Clip:
        """Read and centre one recording.

        Raises:
            BadClip: it is damaged, or its label differs from the action in its name.
            DroppedClip: it has no frame.
        """
        content = _parse(entry.name, read_bytes(entry, _LIMIT_BYTES))
        unlabelled = self._source.unlabelled
        metadata = ClipMetadata(0) if unlabelled else _describe(entry.name, content.get("label"))
        frames = content.get("skeletons")
        if frames == []:
            raise DroppedClip(entry.name, 0, "no skeleton")
        joints = _to_array(entry.name, frames)[None]  # (1, T, V, C)
        return build_clip(entry.name, metadata, joints, self._source)


def _clip_name(path: PurePath) -> str | None:
    return path.stem.lower() if _NAME.fullmatch(path.stem) else None


def _parse(name: str, data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except json.JSONDecodeError as error:
        raise BadClip(name, error.lineno, f"is not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise BadClip(name, 0, f"is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise BadClip(name, 0, "should hold a JSON object with `skeletons` and `label`")
    return content


def _describe(name: str, label: object) -> ClipMetadata:
    match = _NAME.fullmatch(name)
    if match is None:
        raise BadClip(name, 0, "is not named aXX_sXX_eXX_vXX")
    action, subject, episode, view = map(int, match.groups())
    if type(label) is not int or not 1 <= label <= len(_ACTIONS):
        raise BadClip(name, 0, f"`label` should be a whole number from 1 to {len(_ACTIONS)}")
    if _ACTIONS[label - 1] != action:
        raise BadClip(name, 0, f"`label` {label} is action {_ACTIONS[label - 1]}, but the name has action {action}")
    return ClipMetadata(label - 1, subject=subject, camera=view, replication=episode)


def _to_array(name: str, frames: object) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return nested lists of numbers (T, V, C) as an array.

    The types are checked first: NumPy would convert null and "1.5", and one long text would make every element as long.
    """
    listed = _items(name, [frames])
    joints = _items(name, listed)
    numbers = _items(name, joints)
    lengths = set(map(len, listed)), set(map(len, joints))
    if any(len(each) > 1 for each in lengths):
        raise BadClip(name, 0, "`skeletons` has frames or joints of different lengths")
    if set(map(type, numbers)) - {int, float}:
        raise BadClip(name, 0, "`skeletons` should hold frames of joints of numbers")
    shape = [len(listed), *(max(each, default=0) for each in lengths)]
    try:
        array = np.array(numbers, np.float64).reshape(shape)
    except OverflowError:
        raise BadClip(name, 0, "`skeletons` has a number that is impossibly large") from None
    if np.isnan(array).any():
        raise BadClip(name, 0, "`skeletons` has a coordinate that is not a number")
    return array


def _items(name: str, lists: list[Any]) -> list[Any]:
    """Return the items of all lists in order."""
    if set(map(type, lists)) - {list}:
        raise BadClip(name, 0, "`skeletons` should hold frames of joints of numbers")
    return list(chain.from_iterable(lists))
