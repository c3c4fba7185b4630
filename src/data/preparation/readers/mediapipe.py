"""MediaPipe's landmarks: one JSON file per clip, `class_name/clip.json`, the results of all its frames.

MediaPipe has no file format; what is read is its result objects as programs dump them: a list of frames, or an object
with `frames`. A frame has `pose_world_landmarks` (metres, the origin between the hips) or `pose_landmarks` (shares of
the picture), for hands `hand_world_landmarks` or `hand_landmarks`, also in JavaScript's spelling, without `pose_`, or
as protobuf's {`landmark`: [...]}; a landmark has x, y, z and perhaps `visibility`. It is one body's list, or a list of
bodies. `timestamp_ms` is read where every frame has it. World landmarks are preferred. Structure: MediaPipe's guides of
the Pose and Hand Landmarkers, "Handle and display results", and its landmark.proto and landmark.py.
"""

from collections.abc import Mapping, Sequence
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
    checked_time,
    read_json,
    turned,
    unexpected,
)
from ..formats.timing import Timing, timing_of_rate
from ..formats.tracks import MOST_BODIES, Detection, build_tracked_clip

_UNNAMED = "landmarks"
_POSE = (
    ("pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks"),
    ("pose_landmarks", "poseLandmarks", _UNNAMED),
)
# In Python, its older `solutions.hands`, and JavaScript; without `hand_` they are named as those of a body.
_HAND = (
    ("hand_world_landmarks", "multi_hand_world_landmarks", "multiHandWorldLandmarks"),
    ("hand_landmarks", "multi_hand_landmarks", "multiHandLandmarks"),
)
_HAND_JOINTS = 21
_MILLISECONDS = ("timestamp_ms", "timestampMs")
_TIME = "timestamp"  # in milliseconds or in seconds: an interval of 2 or more is no time between frames in seconds
_SLOWEST_S = 2.0


class Reader(JsonClipReader):
    """Reader of dumped landmarks. With three coordinates x and y are negated: y is up, and left stays left."""

    def read(self, entry: Entry) -> Clip:
        """Read and centre one clip.

        Raises:
            BadClip: it has another structure, or another number of landmarks than the layout has joints.
            DroppedClip: no body is present in any frame.
        """
        content = read_json(entry)
        outer = content if isinstance(content, dict) else {}
        frames = _frames(entry.name, content)
        flat = self.source.layout.coordinates == 2
        world, picture = _keys(frames, is_hand=self.source.layout.num_joints == _HAND_JOINTS)
        is_world = not flat and any(_value(frame, world) for frame in frames)
        keys = (world, picture) if is_world else (picture, ())
        scale = None if is_world else _scale(entry.name, outer, self.source.layout.coordinates)
        bodies = [self._bodies(entry.name, frame, *keys, number) for number, frame in enumerate(frames, start=1)]
        if scale is not None:
            bodies = [[Detection(body.joints * scale, body.confidence) for body in frame] for frame in bodies]
        return build_tracked_clip(
            entry.name,
            self.describe(entry.name),
            _with_confidence(bodies),
            self.source,
            None if flat else turned,
            timing=_timing(entry.name, outer, frames),
        )

    def _bodies(
        self, name: str, frame: Mapping[str, Any], keys: Sequence[str], places: Sequence[str], number: int
    ) -> list[Detection]:
        """Return the bodies of a frame; their landmarks are under `keys`, those to match them by under `places`."""
        where = f"frame {number}"
        points = self._points(name, _value(frame, keys), where)
        # All world landmarks have their origin in their own hips: in the picture people are apart.
        apart = self._points(name, _value(frame, places), where)
        apart = apart if len(apart) == len(points) else [None] * len(points)
        coordinates = self.source.layout.coordinates
        return [
            Detection(body[:, :coordinates], body[:, 3], position=None if position is None else position[:, :2])
            for body, position in zip(points, apart, strict=True)
        ]

    def _points(self, name: str, value: object, where: str) -> list[Any]:
        """Return the landmarks of every body with their visibilities, each (V, 4)."""
        if not value:
            return []
        if isinstance(value, dict):
            value = value.get("landmark")
        values = checked_list(name, value, f"the landmarks of {where}")
        several = bool(values) and not (isinstance(values[0], dict) and "x" in values[0])
        bodies = values if several else [values]
        if len(bodies) > MOST_BODIES:
            raise BadClip(name, 0, f"{where} has {len(bodies)} bodies; at most {MOST_BODIES} are read")
        return [self._body(name, body, where) for body in bodies]

    def _body(self, name: str, body: object, where: str) -> Floats:
        landmarks = checked_list(name, body.get("landmark") if isinstance(body, dict) else body, f"a body of {where}")
        layout = self.source.layout
        if len(landmarks) != layout.num_joints:
            raise BadClip(
                name, 0, f"{where} has {len(landmarks)} landmarks; {layout.name} has {layout.num_joints} joints"
            )
        rows = []
        for landmark in landmarks:
            values = checked_object(name, landmark, f"a landmark of {where}")
            visibility = values.get("visibility")
            # -1 stands for none: 0 is one, and so is what it says of a joint that is missing.
            rows.append([values.get("x"), values.get("y"), values.get("z"), -1 if visibility is None else visibility])
        numbers = checked_numbers(name, [number for row in rows for number in row], f"{where}: landmarks")
        return numbers.reshape(-1, 4)


def _frames(name: str, content: object) -> list[dict[str, Any]]:
    frames = content.get("frames") if isinstance(content, dict) else content
    if not isinstance(frames, list):
        raise _refused(name, content)
    found = []
    for number, frame in enumerate(checked_list(name, frames, "the file"), start=1):
        if isinstance(frame, list):
            found.append({_UNNAMED: frame})
        elif frame is None:
            found.append({})
        else:
            found.append(checked_object(name, frame, f"frame {number}"))
    if found and not any(key in frame for frame in found for keys in (*_POSE, *_HAND) for key in keys):
        raise _refused(name, content)
    return found


def _keys(frames: Sequence[Mapping[str, Any]], *, is_hand: bool) -> tuple[Sequence[str], Sequence[str]]:
    """Return the names of world landmarks and of those in the picture: of hands, or of bodies, if a file has both."""
    own, other = (_HAND, _POSE) if is_hand else (_POSE, _HAND)
    return own if any(key in frame for frame in frames for keys in own for key in keys) else other


def _value(frame: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((frame[key] for key in keys if frame.get(key)), None)


def _scale(name: str, outer: Mapping[str, Any], coordinates: int) -> Floats | None:
    """Return what makes shares of a picture shares of its height, if the file has its `width` and `height`."""
    if outer.get("width") is None or outer.get("height") is None:
        return None
    width, height = (checked_time(name, outer[key], f"`{key}`", 1.0) for key in ("width", "height"))
    if not (0 < width <= 1e6 and 0 < height <= 1e6):
        raise BadClip(name, 0, f"`width` and `height` are {width:g} and {height:g}, no size of a picture")
    return np.array([width / height, 1.0, width / height])[:coordinates]


def _with_confidence(frames: Sequence[Sequence[Detection]]) -> list[list[Detection]]:
    """Return bodies with visibilities as confidences: 1 where there is none, or all are 0, as those of hands."""
    known = any((body.confidence > 0).any() for frame in frames for body in frame)

    def confidence(body: Detection) -> Floats:
        return np.where(body.confidence == -1, 1.0, body.confidence) if known else np.ones(len(body.confidence))

    return [[Detection(body.joints, confidence(body), position=body.position) for body in frame] for frame in frames]


def _timing(name: str, outer: Mapping[str, Any], frames: Sequence[Mapping[str, Any]]) -> Timing:
    for key in (*_MILLISECONDS, _TIME):
        if any(key in frame for frame in frames):
            where = enumerate(frames, start=1)
            times = np.array([checked_time(name, frame.get(key), f"`{key}` of frame {n}", 1.0) for n, frame in where])
            in_seconds = key == _TIME and len(times) > 1 and np.median(np.diff(times)) < _SLOWEST_S
            return Timing(times=times if in_seconds else times / 1000)
    if outer.get("fps") is None:
        return Timing()
    return timing_of_rate(name, checked_time(name, outer["fps"], "`fps`", 1.0))


def _refused(name: str, content: object) -> BadClip:
    return unexpected(
        name,
        content,
        "mediapipe",
        "a list of frames with `pose_world_landmarks` or `pose_landmarks`, or for hands `hand_landmarks`",
    )
