"""NVIDIA's body poses: one JSON file per clip, `class_name/clip.json`, as deepstream-bodypose-3d saves it.

A list of batches, each with the `batches` of its frames: `frame_num` and `objects`, each with `object_id` and the x, y,
z and confidence of its 34 joints, one after another. With `layout: tao34`, `pose3d` is read, in millimetres from the
camera, x to the right and y down; clips are in metres, turned so that y is up and x to the left, as a Kinect v2's. With
`tao34_2d`, x and y of `pose25d` are read, in pixels. A joint with the confidence 0 is missing. `ntp_timestamp` is not
read: of a video it is when the frame was processed. Structure: NVIDIA-AI-IOT/deepstream_reference_apps,
deepstream-bodypose-3d (README, --save-pose), and TAO's pose_classification dataset_convert.
"""

from typing import Any

import numpy as np

from ...store.clip import Clip
from ..formats.base import BadClip, Entry
from ..formats.frame_numbers import with_empty_frames
from ..formats.json_recordings import (
    Floats,
    JsonClipReader,
    capped_scores,
    checked_list,
    checked_numbers,
    checked_object,
    read_json,
    turned,
    unexpected,
)
from ..formats.other_layouts import layout_of
from ..formats.tracks import MOST_BODIES, Detection, build_tracked_clip

_MILLIMETRES = 1000.0
_UNTRACKED = 2**64 - 1
_KEYS = {2: "pose25d", 3: "pose3d"}  # by the coordinates of the layout


class Reader(JsonClipReader):
    """Reader of body poses of NVIDIA DeepStream, the raw data of TAO's pose classification."""

    def read(self, entry: Entry) -> Clip:
        """Read and centre one clip.

        Raises:
            BadClip: it has another structure, or another number of joints than the layout.
            DroppedClip: no body is present in any frame.
        """
        name, flat = entry.name, self.source.layout.flat
        frames = _frames(name, read_json(entry))
        bodies: dict[int, list[Detection]] = {}
        for number, objects in frames.items():
            where = f"an object of frame {number}"
            bodies[number] = [self._body(name, checked_object(name, each, where), where) for each in objects]
        found = with_empty_frames(name, bodies, self.source)  # the program leaves out frames without a body
        return build_tracked_clip(name, self.describe(name), found, self.source, None if flat else _in_metres)

    def _body(self, name: str, values: dict[str, Any], where: str) -> Detection:
        layout = self.source.layout
        key = _KEYS[layout.coordinates]
        if key not in values:
            other = next((each for each in _KEYS.values() if each in values), None)
            hint = f", but `{other}`: use {layout_of(5 - layout.coordinates, layout)}" if other else ""
            raise BadClip(name, 0, f"{where} has no `{key}`{hint}")
        numbers = checked_numbers(name, values[key], f"`{key}` of {where}", 4 * layout.num_joints)
        points = numbers.reshape(-1, 4)
        confidence = capped_scores(name, points[:, 3])
        confidence[confidence == 0] = np.nan
        track = values.get("object_id")
        tracked = type(track) is int and 0 <= track < _UNTRACKED
        return Detection(points[:, : layout.coordinates], confidence, track if tracked else None)


def _in_metres(points: Floats) -> Floats:
    return turned(points) / _MILLIMETRES


def _frames(name: str, content: object) -> dict[int, list[Any]]:
    """Return the bodies of every frame by its number."""
    if not isinstance(content, list) or not all(isinstance(each, dict) and "batches" in each for each in content):
        raise unexpected(name, content, "tao", "a list of `num_frames_in_batch` and `batches`")
    found: dict[int, list[Any]] = {}
    for batch in checked_list(name, content, "the file"):
        for frame in checked_list(name, batch["batches"], "`batches`"):
            values = checked_object(name, frame, "an item of `batches`")
            number = values.get("frame_num")
            if type(number) is not int:
                raise BadClip(name, 0, "an item of `batches` should have a whole number as its `frame_num`")
            if number in found:
                raise BadClip(name, 0, f"has frame {number} twice: save the poses of each camera in its own file")
            found[number] = checked_list(name, values.get("objects"), f"`objects` of frame {number}", MOST_BODIES)
    return found
