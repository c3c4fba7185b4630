"""ZED's bodies: one JSON file per clip, `class_name/clip.json`, as the SDK's sample "JSON export" writes it.

The file maps the time of every frame to what was tracked: `timestamp` in nanoseconds and `body_list`, each body with
`id`, `keypoint` (x, y, z of its 18, 34 or 38 joints, NaN or null where one is missing) and `keypoint_confidence` from 0
to 100. A list of such frames is read as well. Unit and axes are what the program chose, and the file does not say them.
The sample's are metres and RIGHT_HANDED_Y_UP: x to the right, y up, z from the scene to the camera. Clips are turned by
half a turn around y, to x to the left and z away from the camera, as a Kinect v2's.
Structure: stereolabs/zed-sdk, body tracking/export/JSON export (python/json_export.py, cpp/src/SK_Serializer.cpp).
"""

from typing import Any

import numpy as np

from ...store.clip import Clip
from ..formats.base import BadClip, Entry
from ..formats.json_recordings import (
    Floats,
    JsonClipReader,
    checked_list,
    checked_numbers,
    checked_object,
    checked_points,
    checked_time,
    read_json,
    unexpected,
)
from ..formats.timing import Timing
from ..formats.tracks import MOST_BODIES, Detection, build_tracked_clip

_NANOSECONDS = 1e9
_HIGHEST = 100.0


class Reader(JsonClipReader):
    """Reader of dumps of the ZED SDK's body tracking."""

    def read(self, entry: Entry) -> Clip:
        """Read and centre one clip.

        Raises:
            BadClip: it has another structure, or another number of joints than the layout.
            DroppedClip: no body is present in any frame.
        """
        content = read_json(entry)
        frames = sorted(_frames(entry.name, content), key=lambda frame: frame[0])
        first = frames[0][0] if frames else 0
        # Nanoseconds since 1970 have more digits than a float: their differences have not.
        times = np.array([time - first for time, _ in frames], np.float64) / _NANOSECONDS
        found = [
            [self._body(entry.name, body, f"a body of frame {number}") for body in bodies]
            for number, (_, bodies) in enumerate(frames, start=1)
        ]
        return build_tracked_clip(
            entry.name, self.describe(entry.name), found, self.source, _turned, timing=Timing(times=times)
        )

    def _body(self, name: str, body: object, where: str) -> Detection:
        values = checked_object(name, body, where)
        joints = self.source.layout.num_joints
        points = checked_points(name, values.get("keypoint"), f"`keypoint` of {where}", joints, 3)
        confidence = _confidences(name, values.get("keypoint_confidence"), where, joints)
        track = values.get("id")
        return Detection(points, confidence, track if type(track) is int and track >= 0 else None)


def _turned(points: Floats) -> Floats:
    half_turn: Floats = points * np.array([-1.0, 1.0, -1.0])
    return half_turn


def _frames(name: str, content: Any) -> list[tuple[int, list[Any]]]:
    """Return the time in nanoseconds and the bodies of every frame."""
    values = list(content.values()) if isinstance(content, dict) else content
    if not isinstance(values, list) or not all(isinstance(each, dict) and "timestamp" in each for each in values):
        raise unexpected(name, content, "zed", "frames with `timestamp` and `body_list`, by their times")
    found = []
    for number, frame in enumerate(checked_list(name, values, "the file"), start=1):
        checked_time(name, frame["timestamp"], f"`timestamp` of frame {number}", _NANOSECONDS)
        # The sample in C++ leaves `body_list` out where there is no body.
        bodies = frame.get("body_list") or []
        found.append((frame["timestamp"], checked_list(name, bodies, f"`body_list` of frame {number}", MOST_BODIES)))
    return found


def _confidences(name: str, value: object, where: str, joints: int) -> Floats:
    if value is None:
        return np.ones(joints)
    numbers = checked_numbers(name, value, f"`keypoint_confidence` of {where}", joints)
    if ((numbers < 0) | (numbers > _HIGHEST)).any():
        raise BadClip(name, 0, f"`keypoint_confidence` of {where} should hold numbers from 0 to 100")
    return numbers / _HIGHEST
