"""SBU Kinect Interaction: `<pair>/<class>/<take>/skeleton_pos.txt`, two people in every frame.

A line has a frame number, then 2 bodies x 15 joints x 3 normalised coordinates. The data set's readme
converts them back with x = 1280 - 2560 x', y = 960 - 1920 y', z = 10000 z' / 7.8125.

The results are in millimetres. This was determined from the constancy of bone lengths while people turn and
move: over the 282 clips a bone's length varies by 2.30% within a clip; by more if any one axis is stretched or
shrunk by 2% (2.31%) or 10% (2.5%); and by at least 4.6% if x and y are interpreted as pixels of a pinhole
camera (focal length 600). So dividing all three axes by 1000 gives metres; y points up.
"""

import re
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from ...store.clip import FARTHEST, Clip
from ..formats.base import BadClip, Entry, Source
from ..formats.clip_builder import ClipMetadata, build_clip
from ..formats.recordings import find_recordings, read_bytes

_LIMIT_BYTES = 16 << 20
_FOLDERS = re.compile(r"s(\d\d)s(\d\d)_(\d\d)_(\d{3})", re.ASCII | re.IGNORECASE)
_NAME = re.compile(r"s(\d\d)s(\d\d)_c(\d\d)_t(\d{3})", re.ASCII)
_BODIES, _CLASSES = 2, 8
_MILLIMETRES_AT_0 = np.array([1280.0, 960.0, 0.0])
_MILLIMETRES_PER_UNIT = np.array([-2560.0, -1920.0, 10000.0 / 7.8125])


class Reader:
    """Reader of SBU recordings.

    A clip is named after its folders, such as `s01s02_c03_t001`. The subject is the ordered pair, 102 for
    `s01s02`; the replication is the take.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    def entries(self, raw: Path) -> Sequence[Entry]:
        """List the `skeleton_pos.txt` files below `raw`.

        Raises:
            UserError: `raw` does not exist, holds a damaged zip, or holds no recording.
        """
        expected = "files <pair>/<class>/<take>/skeleton_pos.txt, such as s01s02/03/001/skeleton_pos.txt"
        return find_recordings(raw, "skeleton_pos.txt", _clip_name, expected, self._source)

    def read(self, entry: Entry) -> Clip:
        """Read and centre one recording, in metres.

        Raises:
            BadClip: it is damaged; the error has the line.
            DroppedClip: no frame has a body.
        """
        metadata = ClipMetadata(0) if self._source.unlabelled else _describe(entry.name)
        rows = _parse(entry.name, read_bytes(entry, _LIMIT_BYTES), self._source.layout.num_joints)
        normalised = np.array(rows).reshape(len(rows), _BODIES, -1, 3).transpose(1, 0, 2, 3)  # (M, T, V, C)
        return build_clip(entry.name, metadata, normalised, self._source, to_metres)


def to_metres(normalised: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return normalised positions (..., 3) in metres, by the formulas of the data set's readme."""
    millimetres = _MILLIMETRES_AT_0 + _MILLIMETRES_PER_UNIT * normalised
    return millimetres / 1000.0


def _clip_name(path: PurePath) -> str | None:
    match = _FOLDERS.fullmatch("_".join(path.parts[-4:-1]))
    named_so = path.name.lower() == "skeleton_pos.txt"
    return "s{}s{}_c{}_t{}".format(*match.groups()) if match and named_so else None


def _describe(name: str) -> ClipMetadata:
    match = _NAME.fullmatch(name)
    if match is None:
        raise BadClip(name, 0, "is not in folders <pair>/<class>/<take>")
    first, second, action, take = map(int, match.groups())
    if not 1 <= action <= _CLASSES:
        raise BadClip(name, 0, f"is in the class folder {action:02}; the classes are 01 to {_CLASSES:02}")
    return ClipMetadata(action - 1, subject=100 * first + second, replication=take)


def _parse(name: str, data: bytes, joints: int) -> list[list[float]]:
    """Return the numbers of each line without its leading frame number."""
    try:
        lines = data.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise BadClip(name, data[: error.start].count(b"\n") + 1, "is not plain text") from None
    if not any(line.strip() for line in lines):
        raise BadClip(name, 0, "is empty")
    while not lines[-1].strip():
        lines.pop()
    return [_parse_line(name, number, line, joints) for number, line in enumerate(lines, start=1)]


def _parse_line(name: str, number: int, line: str, joints: int) -> list[float]:
    fields = line.strip().removesuffix(",").split(",")
    wanted = 1 + _BODIES * joints * 3
    if len(fields) != wanted:
        expected = f"a frame should have {wanted} numbers, its own and those of {_BODIES} bodies of {joints} joints"
        raise BadClip(name, number, f"{expected}, not {len(fields)}")
    try:
        row = [float(text) for text in fields]
    except ValueError as error:
        raise BadClip(name, number, str(error)) from None
    if not (np.abs(row[1:]) <= FARTHEST).all():
        raise BadClip(name, number, "a coordinate is not a finite number, or impossibly large")
    return row[1:]
