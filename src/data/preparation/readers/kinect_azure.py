"""Azure Kinect's bodies: one JSON file per clip, `class_name/clip.json`, as the sample offline_processor writes it.

`frames` have `timestamp_usec` and `bodies`, each with `body_id` and the `joint_positions` of its 32 joints in
millimetres, x to the right and y down; clips are in metres, turned so that y is up and x to the left, as a Kinect v2's.
`confidence_levels`, the tracker's 0 to 3 of every joint, are read where a program adds them. Structure: main.cpp of
microsoft/Azure-Kinect-Samples, body-tracking-samples/offline_processor; levels: k4abt_joint_confidence_level_t.
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
    turned,
    unexpected,
)
from ..formats.timing import Timing
from ..formats.tracks import MOST_BODIES, Detection, build_tracked_clip

_MILLIMETRES = 1000.0
_MICROSECONDS = 1e6
# Confidences of the levels none, low, medium and high. The tracker gives low to a joint that it predicts though it is
# hidden, as NTU's inferred ones; the present one never gives high.
_LEVELS = np.array([0.0, 0.5, 1.0, 1.0])


class Reader(JsonClipReader):
    """Reader of dumps of Azure Kinect's body tracker, and of Orbbec's with the same one."""

    def read(self, entry: Entry) -> Clip:
        """Read and centre one clip.

        Raises:
            BadClip: it has another structure, or another number of joints than the layout.
            DroppedClip: no body is present in any frame.
        """
        content = read_json(entry)
        if not isinstance(content, dict) or not isinstance(content.get("frames"), list):
            raise _refused(entry.name, content)
        frames = checked_list(entry.name, content["frames"], "`frames`")
        found, times = [], []
        for number, frame in enumerate(frames, start=1):
            values = checked_object(entry.name, frame, f"frame {number}")
            if "bodies" not in values:
                raise _refused(entry.name, content)
            bodies = checked_list(entry.name, values["bodies"], f"`bodies` of frame {number}", MOST_BODIES)
            found.append([self._body(entry.name, body, f"a body of frame {number}") for body in bodies])
            where = f"`timestamp_usec` of frame {number}"
            times.append(checked_time(entry.name, values.get("timestamp_usec"), where, _MICROSECONDS))
        timing = Timing(times=np.array(times))
        return build_tracked_clip(entry.name, self.describe(entry.name), found, self.source, _in_metres, timing=timing)

    def _body(self, name: str, body: object, where: str) -> Detection:
        values = checked_object(name, body, where)
        joints = self.source.layout.num_joints
        points = checked_points(name, values.get("joint_positions"), f"`joint_positions` of {where}", joints, 3)
        track = values.get("body_id")
        levels = values.get("confidence_levels")
        confidence = np.ones(joints) if levels is None else _confidences(name, levels, where, joints)
        return Detection(points, confidence, track if type(track) is int else None)


def _in_metres(points: Floats) -> Floats:
    return turned(points) / _MILLIMETRES


def _confidences(name: str, levels: object, where: str, joints: int) -> Floats:
    numbers = checked_numbers(name, levels, f"`confidence_levels` of {where}", joints)
    if not np.isin(numbers, range(len(_LEVELS))).all():
        raise BadClip(name, 0, f"`confidence_levels` of {where} should be whole numbers from 0 to {len(_LEVELS) - 1}")
    confidence: Floats = _LEVELS[numbers.astype(int)]
    return confidence


def _refused(name: str, content: Any) -> BadClip:
    return unexpected(name, content, "kinect_azure", "an object with `frames`, each with `timestamp_usec` and `bodies`")
