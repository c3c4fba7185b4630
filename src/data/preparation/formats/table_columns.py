"""Which column of a table holds what: by the names in `data.columns`, else by the usual names.

Legend: V joints, C coordinates.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....skeleton import Layout
from ....utils.names import first_few, squash, suggestion
from .base import BadClip
from .other_layouts import layout_of

AXES = ("x", "y", "z")
# Our names of columns, each with other usual ones. They are compared without case, spaces and punctuation.
USUAL_NAMES = {
    "clip": "clip_name clip_id video video_name video_id sequence sequence_id recording file file_name sample",
    "frame": "frame_id frame_idx frame_index frame_number frame_num frame_no",
    "body": "body_id person person_id track track_id individual individuals instance skeleton",
    "joint": "joint_name joint_id joint_index keypoint keypoint_name keypoint_id landmark landmark_name landmark_id "
    "landmark_index bodypart bodyparts point marker node",
    "x": "x_coord pos_x position_x",
    "y": "y_coord pos_y position_y",
    "z": "z_coord pos_z position_z",
    "confidence": "conf likelihood score visibility probability keypoint_score",
    "time": "timestamp time_s seconds time_seconds",
    "fps": "frame_rate frames_per_second",
    "label": "class class_name action action_name activity category gesture sign behaviour behavior",
    "subject": "subject_id performer performer_id participant participant_id signer actor",
    "camera": "camera_id cam view view_id",
    "setup": "setup_id session session_id",
    "replication": "repetition take trial",
}
METADATA = ("subject", "camera", "setup", "replication")
_ENDINGS = {**{axis: (axis,) for axis in AXES}, "confidence": ("confidence", *USUAL_NAMES["confidence"].split())}
_NUMBERED = re.compile(r"(?:joint|keypoint|kp|landmark|point)?(\d{1,3})([a-z]+)|([a-z]+)(\d{1,3})", re.ASCII)


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table by what they hold, as numbers of columns.

    Attributes:
        texts: columns of texts: clip, body, joint, label, and the metadata.
        frame, time, fps: columns of numbers; -1 for one that does not exist.
        coordinates: of the long form (1, C), of the wide form (V, C).
        confidence: (1,) or (V,); None if there are none.
        unused: names of the other columns.
    """

    texts: Mapping[str, int]
    frame: int
    time: int
    fps: int
    coordinates: NDArray[np.int64]
    confidence: NDArray[np.int64] | None
    unused: tuple[str, ...]

    @property
    def is_wide(self) -> bool:
        """Tell whether a row is a frame, not a joint."""
        return "joint" not in self.texts

    @property
    def numbers(self) -> tuple[int, ...]:
        """Return the columns of numbers, each once."""
        wanted = [self.frame, self.time, self.fps, *self.coordinates.ravel().tolist()]
        wanted += self.confidence.tolist() if self.confidence is not None else []
        return tuple(dict.fromkeys(each for each in wanted if each >= 0))


def find_columns(
    name: str, header: Sequence[str], layout: Layout, given: Mapping[str, str], needed: Sequence[str] = ()
) -> TableColumns:
    """Return which column of a table holds what.

    Args:
        name: the file, for errors.
        header: the names of its columns.
        layout: the joints that it should have.
        given: the user's own mapping, from our names to those of the file.
        needed: the texts without which the table cannot be used, such as `label`.

    Raises:
        BadClip: a column is missing, or two may hold the same.
    """
    found = _given(name, header, layout, given)
    squashed = {squash(text): number for number, text in reversed(list(enumerate(header))) if text}
    for ours in USUAL_NAMES:
        if ours not in found and (number := _usual(name, ours, header, squashed)) >= 0:
            found[ours] = number
    axes = AXES[: layout.coordinates]
    texts = {ours: found[ours] for ours in ("clip", "body", "joint", "label", *METADATA) if ours in found}
    if "joint" in found:
        missing = [axis for axis in axes if axis not in found]
        coordinates = np.array([[found.get(axis, -1) for axis in axes]], np.int64)
        confidence = np.array([found["confidence"]], np.int64) if "confidence" in found else None
    else:
        coordinates, confidence, missing = _wide(layout, squashed, found)
    missing += [ours for ours in needed if ours not in found]
    if "joint" in found and not {"frame", "time"} & found.keys():
        missing.append("frame")
    if missing:
        raise BadClip(name, 1, _missing(missing, header, "joint" in found, _remedy(missing, layout)))
    used = {*found.values(), *coordinates.ravel().tolist(), *(confidence if confidence is not None else [])}
    unused = tuple(text for number, text in enumerate(header) if number not in used)
    frame, time, fps = (found.get(ours, -1) for ours in ("frame", "time", "fps"))
    return TableColumns(texts, frame, time, fps, coordinates, confidence, unused)


def _given(name: str, header: Sequence[str], layout: Layout, given: Mapping[str, str]) -> dict[str, int]:
    wide = [f"{joint}_{ending}" for joint in layout.joints for ending in (*AXES[: layout.coordinates], "confidence")]
    known = [*USUAL_NAMES, *wide]
    for ours, theirs in given.items():
        if ours not in known:
            raise BadClip(name, 0, f"data.columns: there is no column {ours[:40]!r} of ours.{suggestion(ours, known)}")
        if theirs not in header:
            there = ", ".join(header[:12])
            raise BadClip(
                name, 1, f"data.columns.{ours}: there is no column {theirs[:40]!r}.{suggestion(theirs, header)} "
                f"There are {there}",
            )  # fmt: skip
    return {ours: header.index(theirs) for ours, theirs in given.items()}


def _usual(name: str, ours: str, header: Sequence[str], squashed: Mapping[str, int]) -> int:
    """Return the column with our name or, if there is exactly one, with a usual one; -1 if there is none."""
    if ours in squashed:
        return squashed[ours]
    numbers = sorted({squashed[key] for each in USUAL_NAMES[ours].split() if (key := squash(each)) in squashed})
    if len(numbers) > 1:
        first, second = (header[number] for number in numbers[:2])
        raise BadClip(
            name, 1, f"{first!r} and {second!r} may both be the {ours}: say which under data.columns, "
            f"such as {ours}: {first}",
        )  # fmt: skip
    return numbers[0] if numbers else -1


def _wide(
    layout: Layout, squashed: Mapping[str, int], found: Mapping[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None, list[str]]:
    """Return the columns of the coordinates (V, C) and confidences (V,) of all joints, and the missing ones."""
    columns = {**_numbered(layout, squashed)}
    for number, joint in enumerate(layout.joints):
        for ours, endings in _ENDINGS.items():
            there = [squashed[key] for ending in endings if (key := squash(f"{joint}_{ending}")) in squashed]
            columns.update({(number, ours): there[0]} if there else {})
            if f"{joint}_{ours}" in found:
                columns[number, ours] = found[f"{joint}_{ours}"]
    axes = AXES[: layout.coordinates]
    coordinates = np.array([[columns.get((joint, axis), -1) for axis in axes] for joint in range(layout.num_joints)])
    confidence = np.array([columns.get((joint, "confidence"), -1) for joint in range(layout.num_joints)])
    missing = [f"{layout.joints[joint]}_{axes[axis]}" for joint, axis in np.argwhere(coordinates < 0).tolist()]
    if (confidence < 0).all():
        return coordinates, None, missing
    missing += [f"{layout.joints[joint]}_confidence" for joint in np.flatnonzero(confidence < 0).tolist()]
    return coordinates, confidence, missing


def _numbered(layout: Layout, squashed: Mapping[str, int]) -> dict[tuple[int, str], int]:
    """Return the columns such as `x0`, `x_0` or `kp0_x` by joint and content."""
    endings = {ending: ours for ours, usual in _ENDINGS.items() for ending in map(squash, usual)}
    numbers: dict[tuple[int, str], int] = {}
    for text, column in squashed.items():
        if (match := _NUMBERED.fullmatch(text)) and (ours := endings.get(match[2] or match[3])):
            numbers[int(match[1] or match[4]), ours] = column
    first = first_number([joint for joint, _ in numbers], layout.num_joints)
    return {} if first is None else {(joint - first, ours): column for (joint, ours), column in numbers.items()}


def first_number(numbers: Sequence[int], joints: int) -> int | None:
    """Return whether joints are numbered from 0 or from 1; None if their numbers do not tell, or do not fit."""
    if not numbers or min(numbers) < 0 or max(numbers) > joints or (min(numbers) == 0 and max(numbers) == joints):
        return None
    if min(numbers) == 0:
        return 0
    return 1 if max(numbers) == joints else None


def _remedy(missing: Sequence[str], layout: Layout) -> str:
    """Return what to do if only the third coordinate is missing, as in tables of pixels."""
    is_flat = layout.coordinates == 3 and {text.rpartition("_")[2] for text in missing} == {"z"}
    return f", or if it has x and y only, use {layout_of(2, layout)}" if is_flat else ""


def _missing(missing: Sequence[str], header: Sequence[str], is_long: bool, remedy: str) -> str:
    form = "" if is_long else ", or of the long form (a row per joint) the column joint"
    there = ", ".join(header[:12]) + (", ..." if len(header) > 12 else "")
    return (
        f"there is no column for {first_few(missing, 4)}{form}: say which it is under data.columns"
        f"{remedy}. There are {there}"
    )
