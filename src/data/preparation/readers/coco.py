"""Key points in COCO's form: one JSON file per clip, `class_name/clip.json`, in the picture.

Read are results, a list of `image_id`, `keypoints` (x, y, score, ...) and perhaps `track_id`, as Ultralytics, MMPose,
RTMPose and AlphaPose write (its `idx` is the track); annotations, an object with `images` and `annotations`, whose
third number is 0 for a missing joint, 1 for an occluded and 2 for a visible one; the frames of MMPose's demos and
inferencer (`instance_info`, `instances` with `keypoint_scores`); and a list with the `to_json()` of every frame of
Ultralytics. Structure: cocodataset.org/#format-data and #format-results, mmpose/structures/utils.py
(split_instances), AlphaPose's docs/output.md, ultralytics/engine/results.py. None of them has times.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....utils.errors import UserError
from ...store.clip import Clip
from ..formats.base import BadClip, Entry, Source
from ..formats.frame_numbers import are_counted, with_empty_frames
from ..formats.json_recordings import (
    Floats,
    JsonClipReader,
    capped_scores,
    checked_list,
    checked_numbers,
    checked_object,
    read_json,
    unexpected,
)
from ..formats.other_layouts import flat_layout
from ..formats.tracks import Detection, build_tracked_clip
from ..formats.visibility import are_flags, confidence_of_flags

_TRACK_KEYS = ("track_id", "idx")
_MOST_DIGITS = 18  # of the number of an image
_DIGITS = re.compile(r"(\d+)", re.ASCII)

Person = dict[str, Any]


class Reader(JsonClipReader):
    """Reader of key points in files of COCO's form."""

    def entries(self, raw: Path) -> Sequence[Entry]:
        """List the `.json` files in the class folders of `raw`.

        Raises:
            UserError: the layout has three coordinates, or the class folders are not as they should be.
        """
        layout = self.source.layout
        if layout.coordinates != 2:
            raise UserError(
                f"{layout.name} has three coordinates, but files of the format coco two: use layout: "
                f"{flat_layout(layout.name) or 'coco17_2d'}, or another layout whose `coordinates` are 2."
            )
        return super().entries(raw)

    def read(self, entry: Entry) -> Clip:
        """Read and centre one clip.

        Raises:
            BadClip: it has another structure, or another number of joints than the layout.
            DroppedClip: no body is present in any frame.
        """
        content = read_json(entry)
        flags = isinstance(content, dict) and "annotations" in content
        frames = [
            [self._body(entry.name, person, f"a body of frame {number}", flags) for person in frame]
            for number, frame in enumerate(_frames(entry.name, content, self.source), start=1)
        ]
        return build_tracked_clip(entry.name, self.describe(entry.name), frames, self.source)

    def _body(self, name: str, person: Person, where: str, flags: bool) -> Detection:
        points = _points(name, person, where)
        if len(points) != self.source.layout.num_joints:
            layout = self.source.layout
            raise BadClip(name, 0, f"{where} has {len(points)} joints; {layout.name} has {layout.num_joints}")
        joints, scores = points[:, :2], points[:, 2]
        if are_flags(scores) or (flags and (np.isin(scores, (0, 1)) | np.isnan(scores)).all()):
            scores = confidence_of_flags(scores)
        track = next((person[key] for key in _TRACK_KEYS if type(person.get(key)) is int), None)
        return Detection(joints, capped_scores(name, scores), track)


def _frames(name: str, content: object, source: Source) -> Sequence[Sequence[Person]]:
    """Return the bodies of every frame in the order of the frames.

    Where it matters, a number that is missing among those of the images is a frame without a body: results do not have
    the frames in which no body was detected. Annotations list all their images.
    """
    if isinstance(content, dict) and "annotations" in content:
        return _annotated(name, content)
    if isinstance(content, dict) and "instance_info" in content:
        content = content["instance_info"]
    if not isinstance(content, list):
        raise _refused(name, content)
    items = checked_list(name, content, "the file", most=1 << 22)
    if all(isinstance(item, list) for item in items):
        return [_persons(name, item, "a frame") for item in items]
    if all(isinstance(item, dict) and "instances" in item for item in items):
        return _of_instances(name, items, source)
    if not all(isinstance(item, dict) and {"image_id", "keypoints"} <= item.keys() for item in items):
        raise _refused(name, content)
    by_image: dict[Any, list[Person]] = {}
    for item in items:
        by_image.setdefault(_order(name, item["image_id"]), []).append(item)
    return _with_gaps(name, {image: by_image[image] for image in sorted(by_image)}, source)


def _of_instances(name: str, items: Sequence[Any], source: Source) -> Sequence[Sequence[Person]]:
    """Return the bodies of the frames of MMPose, which has all of them, numbered or not."""
    keys = [_order(name, item.get("frame_id", place)) for place, item in enumerate(items)]
    places = sorted(range(len(items)), key=lambda place: (keys[place], place))
    frames = [_persons(name, items[place]["instances"], "`instances`") for place in places]
    by_image = {keys[place]: frame for place, frame in zip(places, frames, strict=True)}
    is_numbered = len(by_image) == len(items) and all("frame_id" in item for item in items)
    return _with_gaps(name, by_image, source) if is_numbered else frames


def _with_gaps(
    name: str, by_image: Mapping[tuple[Any, ...], list[Person]], source: Source
) -> Sequence[Sequence[Person]]:
    """Return the bodies of every frame, those of images that are missing among the ordered ones being empty."""
    if not are_counted(source):
        return list(by_image.values())
    numbers = [_number(image) for image in by_image]
    unnumbered = next((image for image, number in zip(by_image, numbers, strict=True) if number is None), None)
    if unnumbered is None and len(set(numbers)) == len(numbers):
        frames = {number: found for number, found in zip(numbers, by_image.values(), strict=True) if number is not None}
        return with_empty_frames(name, frames, source, perhaps_from_1=True)
    if not source.is_long:
        return list(by_image.values())
    problem = (
        "the numbers of its images repeat" if unnumbered is None else f"an image, {unnumbered[-1]!r:.50}, has no number"
    )
    raise BadClip(name, 0, f"{problem}, so its time in the recording is unknown")


def _number(image: tuple[Any, ...]) -> int | None:
    """Return the number of an image, given its key: the last one in its name; None if there is none."""
    digits = [str(image[1])] if image[0] == 0 else _DIGITS.findall(image[2])
    return int(digits[-1]) if digits and len(digits[-1]) <= _MOST_DIGITS else None


def _annotated(name: str, content: dict[str, Any]) -> list[list[Person]]:
    """Return the annotated bodies of every image, in the order of the file names, else of the numbers."""
    images = _persons(name, content.get("images"), "`images`")
    named = all(isinstance(image.get("file_name"), str) for image in images)
    keys = [_order(name, image["file_name"] if named else image.get("id")) for image in images]
    order = sorted(range(len(images)), key=lambda index: (keys[index], index))
    by_image: dict[Any, list[Person]] = {_order(name, images[index].get("id")): [] for index in order}
    for annotation in _persons(name, content["annotations"], "`annotations`"):
        image = _order(name, annotation.get("image_id"))
        if image not in by_image:
            raise BadClip(
                name, 0, f"an annotation is of image {annotation['image_id']!r:.50}, which is not in `images`"
            )
        if "keypoints" in annotation:
            by_image[image].append(annotation)
    return list(by_image.values())


def _persons(name: str, values: object, where: str) -> list[Person]:
    return [checked_object(name, value, f"an item of {where}") for value in checked_list(name, values, where, 1 << 22)]


def _order(name: str, image: object) -> tuple[Any, ...]:
    """Return a key that sorts images by their number, or by their name with the numbers in it as numbers."""
    if type(image) is int:
        return (0, image)
    if not isinstance(image, str):
        raise BadClip(name, 0, "an image should have a whole number or a text as its `image_id`, `id` or `frame_id`")
    parts = [part.lstrip("0") if odd % 2 else part for odd, part in enumerate(_DIGITS.split(image))]
    return (1, tuple((len(part), part) if odd % 2 else part for odd, part in enumerate(parts)), image)


def _points(name: str, person: Person, where: str) -> Floats:
    """Return the joints of a body with their scores, (V, 3)."""
    value = person.get("keypoints")
    if isinstance(value, dict):  # Ultralytics' to_json()
        axes = [checked_numbers(name, value.get(axis), f"`{axis}` of {where}") for axis in ("x", "y")]
        scores = value.get("visible")
        columns = [*axes, np.ones(len(axes[0])) if scores is None else _scores(name, scores, where)]
        if len(set(map(len, columns))) > 1:
            raise BadClip(name, 0, f"{where} has lists of different lengths in `keypoints`")
        return np.stack(columns, axis=1)
    values = checked_list(name, value, f"`keypoints` of {where}")
    if not any(isinstance(item, list) for item in values):
        numbers = checked_numbers(name, values, f"`keypoints` of {where}")
        if len(numbers) % 3:
            raise BadClip(
                name, 0, f"`keypoints` of {where} should have x, y and score of each joint, not {len(numbers)} numbers"
            )
        return numbers.reshape(-1, 3)
    points = [checked_numbers(name, item, f"`keypoints` of {where}", 2) for item in values]
    scores = _scores(name, person.get("keypoint_scores"), where)
    if len(scores) != len(points):
        raise BadClip(name, 0, f"{where} has {len(points)} joints and {len(scores)} scores")
    return np.column_stack([np.stack(points), scores])


def _scores(name: str, value: object, where: str) -> Floats:
    return checked_numbers(name, value, f"the scores of {where}")


def _refused(name: str, content: object) -> BadClip:
    return unexpected(name, content, "coco", "a list of `image_id` and `keypoints`, or `images` and `annotations`")
