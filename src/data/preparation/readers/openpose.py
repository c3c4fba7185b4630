"""OpenPose: a folder of JSON files, one per frame, as its option --write_json writes them.

`class_name/recording/NAME_000000000000_keypoints.json` holds `people`, each with `pose_keypoints_2d`, x, y and
confidence of every joint, of BODY_25 (`layout: body25_2d`) or of the COCO model (`openpose18_2d`). With a layout of
three coordinates `pose_keypoints_3d` is read, x, y, z and whether they were found. A joint that is not seen is zeros
with the confidence 0. OpenPose writes no times. Structure: OpenPose's documentation of its output (doc/02_output.md).
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ....skeleton import Layout
from ....utils.system_errors import reason
from ...store.clip import Clip
from ..formats.base import MOST_FRAMES, BadClip, Entry
from ..formats.class_folders import ClassFolderReader, name_below
from ..formats.frame_numbers import are_counted, with_empty_frames
from ..formats.json_recordings import (
    capped_scores,
    checked_list,
    checked_numbers,
    checked_object,
    read_json_part,
    unexpected,
)
from ..formats.listing import size_of
from ..formats.other_layouts import layout_of
from ..formats.tracks import Detection, build_tracked_clip

_LIMIT_BYTES = 8 << 20  # of a frame; one person takes 2 KB, with face and hands 6 KB
_FRAME = re.compile(r"(.*?)_?(\d+)_keypoints\.json", re.ASCII | re.IGNORECASE | re.DOTALL)
_DIGITS = 12  # of the number of a frame of a video
_KEYS = ("pose_keypoints_2d", "pose_keypoints_3d")
_MODELS = {25: "body25", 18: "openpose18"}  # layouts by their number of joints


class Reader(ClassFolderReader):
    """Reader of folders of frames; the frames of one video in one folder are a recording."""

    endings = ("_keypoints.json",)
    expected = "class_name/recording/NAME_000000000000_keypoints.json"

    def is_read(self, path: Path) -> bool:
        """Tell whether a file has the name of a frame."""
        return _FRAME.fullmatch(path.name) is not None

    def entries_of(self, raw: Path, files: Sequence[Path]) -> Iterable[Entry]:
        """Return the recordings, named after their folder, or after the video if a folder has several."""
        frames: dict[Path, dict[str, list[Path]]] = {}
        for path in files:
            frames.setdefault(path.parent, {}).setdefault(_video(path), []).append(path)
        for folder, videos in frames.items():
            for video, paths in videos.items():
                alone = len(videos) == 1 and raw not in ((folder.parent,) if self.source.has_labels else (folder,))
                name = name_below(raw, folder if alone else folder / (video or "frames"))
                yield Entry(name, folder, video, sum(map(size_of, paths)))

    def read(self, entry: Entry) -> Clip:
        """Read and centre one recording.

        Raises:
            BadClip: a frame is damaged, or has another number of joints than the layout.
            DroppedClip: no body is present in any frame.
        """
        paths = _frames(entry)
        others: set[str] = set()
        frames: Sequence[Sequence[Detection]] = [self._bodies(entry, path, others) for _, path in paths]
        if others and not any(frames):
            key = _key(self.source.layout)
            raise BadClip(
                entry.name, 0, f"every `{key}` is empty{_other_key({others.pop(): True}, self.source.layout)}"
            )
        if are_counted(self.source):
            by_number = {int(digits): bodies for (digits, _), bodies in zip(paths, frames, strict=True)}
            if len(by_number) < len(paths):
                raise BadClip(entry.name, 0, "has two frames of the same number")
            # The numbers of a video have twelve digits and count from 0, those of a folder of pictures perhaps from 1.
            of_video = any(len(digits) == _DIGITS for digits, _ in paths)
            frames = with_empty_frames(entry.name, by_number, self.source, perhaps_from_1=not of_video)
        return build_tracked_clip(entry.name, self.describe(entry.name), frames, self.source)

    def _bodies(self, entry: Entry, path: Path, others: set[str]) -> list[Detection]:
        """Return the bodies of a frame; `others` gets the key of joints that the layout has no use for."""
        content = read_json_part(entry, path, size_of(path), _LIMIT_BYTES)
        if not isinstance(content, dict) or "people" not in content:
            problem = unexpected(entry.name, content, "openpose", "an object with `people`")
            raise BadClip(entry.name, 0, f"{path.name} {problem.reason}")
        people = checked_list(entry.name, content["people"], f"{path.name}: `people`")
        found = (self._body(entry.name, path.name, person, others) for person in people)
        return [body for body in found if body is not None]

    def _body(self, name: str, file_name: str, person: object, others: set[str]) -> Detection | None:
        """Return one person; None if the person has a face or hands only."""
        layout = self.source.layout
        key = _key(layout)
        values = checked_object(name, person, f"{file_name}: a person")
        if key not in values:
            raise BadClip(name, 0, f"{file_name}: a person has no `{key}`{_other_key(values, layout)}")
        numbers = checked_numbers(name, values[key], f"{file_name}: `{key}`")
        if not len(numbers):
            others.update(other for other in _KEYS if values.get(other))
            return None
        count, rest = divmod(len(numbers), layout.coordinates + 1)
        if rest or count != layout.num_joints:
            raise BadClip(name, 0, f"{file_name}: {_wrong_count(key, len(numbers), layout)}")
        points = numbers.reshape(count, -1)
        return Detection(points[:, :-1], capped_scores(name, points[:, -1]), _track(values.get("person_id")))


def _video(path: Path) -> str:
    match = _FRAME.fullmatch(path.name)
    return match[1] if match else ""


def _frames(entry: Entry) -> list[tuple[str, Path]]:
    """Return the numbers and the files of a recording's frames in the order of the numbers."""
    numbered = []
    try:
        names = sorted(path.name for path in entry.path.iterdir())
    except OSError as error:
        raise BadClip(entry.name, 0, f"cannot be read: {reason(error)}") from error
    for name in names:
        match = _FRAME.fullmatch(name)
        if match and match[1] == entry.member and not name.startswith("."):
            numbered.append((int(match[2]), name, match[2]))
    if len(numbered) > MOST_FRAMES:
        raise BadClip(entry.name, 0, f"has {len(numbered)} frames; at most {MOST_FRAMES} are read")
    return [(digits, entry.path / name) for _, name, digits in sorted(numbered)]


def _track(numbers: object) -> int | None:
    """Return the number of a person, which is written as a list of one; -1 if OpenPose did not track."""
    number = numbers[0] if isinstance(numbers, list) and numbers else numbers
    return number if type(number) is int and number >= 0 else None


def _key(layout: Layout) -> str:
    return _KEYS[layout.coordinates - 2]


def _other_key(values: dict[str, Any], layout: Layout) -> str:
    other = _KEYS[3 - layout.coordinates]
    return f", but `{other}`: use {layout_of(int(other[-2]), layout)}" if values.get(other) else ""


def _wrong_count(key: str, numbers: int, layout: Layout) -> str:
    joints = numbers // (layout.coordinates + 1)
    fits = _MODELS.get(joints) if numbers % (layout.coordinates + 1) == 0 else None
    hint = f": use layout: {fits}{'_2d' if layout.coordinates == 2 else ''}" if fits else ""
    return f"`{key}` has {numbers} numbers; {layout.name} needs {layout.num_joints * (layout.coordinates + 1)}{hint}"
