"""Raw NTU RGB+D recordings: `.skeleton` text files, unpacked or inside the official zip archives.

A file has a frame count; per frame a body count; per body ten fields (the tracker's id first), a joint count, and
per joint a row of twelve numbers: x y z in metres, then the joint's position in the depth and colour images, its
orientation and its tracking state, which becomes its confidence. Only x y z and the state are parsed. The other eight
may be any text of the characters in numbers, because the camera itself writes -Infinity if a joint is outside an image.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from ...store.clip import FARTHEST, Clip
from ...store.format import MAX_BODIES
from ..clean import Body, clean_bodies
from ..formats.base import BadClip, DroppedClip, Entry, Source
from ..formats.clip_builder import ClipMetadata, build_clip
from ..formats.recordings import find_recordings, read_bytes

_LIMIT_BYTES = 64 << 20
_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", re.ASCII | re.IGNORECASE)
_BODY_FIELDS, _JOINT_FIELDS = 10, 12
_MOST_BODIES = 64  # per frame; the camera tracks six
_MOST_FRAMES = 1 << 18  # two hours; the longest recordings have several hundred
# Tracked, inferred from other joints, not tracked; an unknown state counts as tracked. A joint that is not tracked has
# coordinates all the same, so it is not missing.
_CONFIDENCE = {1.0: 0.5, 0.0: 0.0}
_SHORTEST_ROW_BYTES = 2 * _JOINT_FIELDS  # twelve digits and their separators
# All characters of numbers, including NaN and Infinity, and the white space between them.
_CHARACTERS = b"0123456789+-.eE" + b"aAfFiInNtTyY" + b" \t\r\n"


class Reader:
    """Reader of NTU RGB+D recordings; the label is the action in the name, counted from 0."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def entries(self, raw: Path) -> Sequence[Entry]:
        """List the `.skeleton` files below `raw`; a warning counts those without an action in their names.

        Raises:
            UserError: `raw` does not exist, holds a damaged zip, or holds no recording.
        """
        expected = "files named SsssCcccPpppRrrrAaaa.skeleton"
        return find_recordings(raw, ".skeleton", _clip_name, expected, self._source)

    def read(self, entry: Entry) -> Clip:
        """Read, clean and centre one recording.

        Raises:
            BadClip: it is damaged; the error has the line.
            DroppedClip: no frame has a body.
        """
        metadata = describe_name(entry.name)
        if metadata is None and not self._source.unlabelled:
            raise BadClip(entry.name, 0, "is not named SsssCcccPpppRrrrAaaa")
        bodies = parse_bodies(entry.name, read_bytes(entry, _LIMIT_BYTES), self._source.layout.num_joints)
        if not bodies:
            raise DroppedClip(entry.name, 0, "no skeleton")
        joints, confidence = clean_bodies(bodies, MAX_BODIES, keep_empty=self._source.is_long)
        return build_clip(entry.name, metadata or ClipMetadata(0), joints, self._source, confidence=confidence)


def describe_name(name: str) -> ClipMetadata | None:
    """Return the metadata in an NTU name, in capital or small letters; None for any other name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    setup, camera, subject, replication, action = map(int, match.groups())
    return ClipMetadata(action - 1, subject, camera, setup, replication) if action else None


def parse_bodies(name: str, data: bytes, joints: int) -> list[Body]:
    """Return the bodies in the text of a `.skeleton` file, in the order in which they appear.

    Raises:
        BadClip: the text breaks the format; the error names the first line that does.
    """
    walk = _Walk(name, _lines(name, data), data.count(b" ") + data.count(b"\t"), joints)
    try:
        walk.file()
    except BadClip:
        # A missing or broken row is only noticed later, where a line does not fit: report the row instead.
        walk.coordinates()
        raise
    return walk.bodies()


def _lines(name: str, data: bytes) -> list[str]:
    """Return the lines of a text of numbers."""
    data = data.rstrip()
    if not data:
        raise BadClip(name, 0, "is empty")
    # Only the lines of frames and bodies are shorter than a joint's row; a text of more short lines is not a recording.
    if data.count(b"\n") + data.count(b"\r") > 2 * (len(data) // _SHORTEST_ROW_BYTES) + 2 * _MOST_FRAMES:
        raise BadClip(name, 0, "has far more lines than a recording of its size")
    foreign = data.translate(None, _CHARACTERS)
    if foreign:
        first = foreign[:1]
        line = data[: data.index(first)].count(b"\n") + 1
        raise BadClip(name, line, f"holds the byte {first!r}, which no number has")
    return data.decode("ascii").splitlines()


def _clip_name(path: PurePath) -> str | None:
    return path.stem.upper() if describe_name(path.stem) else None


@dataclass
class _Walk:
    """Parser of the lines of one file, which checks their order and collects the rows of joints.

    Attributes:
        name, lines: the recording's name and its text.
        separators: number of spaces and tabs in the text.
        joints: number of joints that a body must have.
        position: number of lines read so far.
        ids, frames, starts: for each body in each frame, its id, the frame and the number of lines before its rows.
        rows: the rows of all joints in order, which are converted together.
    """

    name: str
    lines: list[str]
    separators: int
    joints: int
    position: int = 0
    ids: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)

    def file(self) -> None:
        """Read the whole file."""
        for frame in range(self._number("the number of frames")):
            if frame == _MOST_FRAMES:
                raise self._bad(f"it has more than the {_MOST_FRAMES} frames allowed")
            seen = len(self.ids)
            bodies = self._number(f"the number of bodies in frame {frame + 1}")
            if bodies > _MOST_BODIES:
                raise self._bad(f"frame {frame + 1} has {bodies} bodies, more than the {_MOST_BODIES} allowed")
            for _ in range(bodies):
                self._body(frame, self.ids[seen:])
        for number in range(self.position, len(self.lines)):
            if self.lines[number].strip():
                raise BadClip(self.name, number + 1, "the file continues after its last frame")

    def coordinates(self) -> NDArray[np.float64]:
        """Return x, y, z and the tracking state of all rows read so far, (rows, 4)."""
        # This is the smallest possible number of separators, so if it is exact, every row has its twelve fields.
        fewest = (_JOINT_FIELDS - 1) * len(self.rows) + (_BODY_FIELDS - 1) * len(self.ids)
        converted = _convert(self.rows) if self.separators == fewest else None
        return self._convert_slowly() if converted is None else converted

    def bodies(self) -> list[Body]:
        """Return the rows as bodies."""
        rows = self.coordinates().reshape(-1, self.joints, 4)
        joints, confidence = rows[..., :3], _confidences(rows[..., 3])
        frames = np.array(self.frames, dtype=np.int64)
        indices_by_id: dict[int, list[int]] = {}
        for index, identity in enumerate(self.ids):
            indices_by_id.setdefault(identity, []).append(index)
        return [
            Body(identity, frames[indices], joints[indices], confidence[indices])
            for identity, indices in indices_by_id.items()
        ]

    def _body(self, frame: int, others: list[int]) -> None:
        """Read one body of a frame after the bodies with the ids `others`."""
        fields = self._next(f"a body of frame {frame + 1}").split(None, _BODY_FIELDS)
        if len(fields) != _BODY_FIELDS:
            raise self._bad(f"a body should have {_BODY_FIELDS} fields, not {_field_count(len(fields), _BODY_FIELDS)}")
        body = self._whole(fields[0], "a body's id")
        if body in others:
            raise self._bad(f"body {body} occurs twice in frame {frame + 1}")
        count = self._number("the number of joints")
        if count != self.joints:
            raise self._bad(f"a body should have {self.joints} joints, not {count}")
        rows = self.lines[self.position : self.position + count]
        self.starts.append(self.position)
        self.rows += rows
        self.position += len(rows)
        if len(rows) < count:
            self._next(f"joint {len(rows) + 1} of a body of frame {frame + 1}")
        self.ids.append(body)
        self.frames.append(frame)

    def _next(self, expected: str) -> str:
        self.position += 1
        if self.position > len(self.lines):
            raise self._bad(f"the file ends where {expected} was expected")
        return self.lines[self.position - 1]

    def _number(self, what: str) -> int:
        count = self._whole(self._next(what), what)
        if count < 0:
            raise self._bad(f"{what} is {count}")
        return count

    def _whole(self, text: str, what: str) -> int:
        try:
            return int(text)
        except ValueError:
            raise self._bad(f"{what} should be a whole number, not {text[:40]!r}") from None

    def _bad(self, reason: str) -> BadClip:
        return BadClip(self.name, self.position, reason)

    def _convert_slowly(self) -> NDArray[np.float64]:
        """Convert row by row, to report the line of the first invalid one."""
        converted = np.empty((len(self.rows), 4))
        for index, row in enumerate(self.rows):
            line = self.starts[index // self.joints] + index % self.joints + 1
            fields = row.split(None, _JOINT_FIELDS)
            if len(fields) != _JOINT_FIELDS:
                found = _field_count(len(fields), _JOINT_FIELDS)
                raise BadClip(self.name, line, f"a joint should have {_JOINT_FIELDS} numbers, not {found}")
            try:
                converted[index] = [*(float(text) for text in fields[:3]), _state(fields[-1])]
            except ValueError as error:
                raise BadClip(self.name, line, str(error)) from None
            if not (np.abs(converted[index, :3]) <= FARTHEST).all():
                raise BadClip(self.name, line, f"a joint cannot be at {' '.join(fields[:3])}")
        return converted


def _field_count(found: int, wanted: int) -> str:
    """Return the number of fields of a line as text; a line is not split beyond one field too many."""
    return str(found) if found <= wanted else f"{found} or more"


def _state(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _confidences(states: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the confidences of tracking states; 1 for all of them if no joint was tracked at all."""
    confidence = np.ones(states.shape)
    for state, value in _CONFIDENCE.items():
        confidence[states == state] = value
    return confidence if confidence.any() else np.ones(states.shape)


def _convert(rows: list[str]) -> NDArray[np.float64] | None:
    """Return x, y, z and the state of all rows at once, (rows, 4); None if a row has too few or invalid numbers."""
    if not rows:
        return np.empty((0, 4))
    if not rows[0].strip():
        return None  # NumPy would warn if no row held anything
    used = (0, 1, 2, _JOINT_FIELDS - 1)  # reading the last column makes a shorter row an error
    try:
        converted = np.loadtxt(rows, usecols=used, comments=None, encoding=None, ndmin=2)
    except ValueError:
        return None
    complete = len(converted) == len(rows)  # NumPy skips blank rows
    return converted if complete and (np.abs(converted[:, :3]) <= FARTHEST).all() else None
