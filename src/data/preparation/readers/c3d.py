"""Motion capture as C3D: one file per clip, `class_name/clip.c3d`.

Markers are found by their names in the layout. In names such as `Subject:LASI` the first part is the subject, and each
subject is a body. A marker with a negative residual is missing. Positions are converted from the unit of POINT:UNITS
(millimetres if it is empty) to metres, and turned so that y is up: POINT:Y_SCREEN names the vertical axis, z if it is
empty. The rate of the points gives the frames per second.
"""

import numpy as np

from ....settings.data import FASTEST, SLOWEST
from ...store.clip import Clip
from ..formats.base import BadClip, Entry
from ..formats.c3d_file import C3dFile, read_c3d
from ..formats.class_folders import ClassFolderReader
from ..formats.clip_builder import build_clip, refuse_size
from ..formats.csv_rows import Floats, Integers
from ..formats.named_joints import indices_of, joint_indices
from ..formats.recordings import read_bytes
from ..formats.timing import Timing
from ..formats.tracks import MOST_BODIES

_LIMIT_BYTES = 256 << 20
_METRES = {"mm": 1e-3, "cm": 1e-2, "dm": 1e-1, "m": 1.0, "": 1e-3}
_LONGEST_SHOWN = 40
# Rotations by which the axis of that name becomes y.
_UPRIGHT = {
    "+X": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    "-X": ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
    "+Y": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-Y": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "+Z": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "-Z": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
}


class Reader(ClassFolderReader):
    """Reader of C3D files."""

    endings = (".c3d", ".c3d.gz")
    expected = "class_name/clip.c3d"

    def read(self, entry: Entry) -> Clip:
        """Read and centre one clip.

        Raises:
            BadClip: it is no C3D file, is damaged, or lacks a marker of the layout.
            DroppedClip: no marker of the layout is present in any frame.
        """
        name = entry.name
        content = read_c3d(name, read_bytes(entry, _LIMIT_BYTES))
        frames, count, _ = content.points.shape
        markers = self._markers(name, content.texts("POINT:LABELS")[:count])
        refuse_size(name, 3.0 * markers.size * frames)
        joints = content.points[:, markers].transpose(1, 0, 2, 3)  # (M, T, V, 3)
        scale, upright = _unit(name, content), _upright(name, content)
        timing = Timing(fps=_rate(name, content))
        return build_clip(
            name, self.describe(name), joints, self.source, lambda found: scale * found @ upright.T, timing=timing
        )

    def _markers(self, name: str, labels: list[str]) -> Integers:
        """Return the index of the marker of each joint (M, V) of each subject, among the labels of a file."""
        layout = self.source.layout
        subjects: dict[str, list[int]] = {}
        for index, label in enumerate(labels):
            subjects.setdefault(label.rpartition(":")[0], []).append(index)
        groups = list(subjects.values())
        found = [group for group in groups if any(indices_of([labels[index] for index in group], layout))]
        if len(found) > MOST_BODIES:
            raise BadClip(name, 0, f"has {len(found)} subjects; at most {MOST_BODIES} are read")
        bodies = []
        for group in found or [list(range(len(labels)))]:
            names = [labels[index] for index in group]
            bodies.append([group[index] for index in joint_indices(name, names, layout, "marker")])
        return np.array(bodies, np.int64)


def _unit(name: str, content: C3dFile) -> float:
    """Return the unit of the positions in metres."""
    unit = next(iter(content.texts("POINT:UNITS")), "")
    if unit.lower() not in _METRES:
        known = ", ".join(filter(None, _METRES))
        raise BadClip(name, 0, f"has the unit {unit[:_LONGEST_SHOWN]!r} in POINT:UNITS; known are {known}")
    return _METRES[unit.lower()]


def _upright(name: str, content: C3dFile) -> Floats:
    """Return the rotation that makes y the vertical axis."""
    axis = next(iter(content.texts("POINT:Y_SCREEN")), "").upper() or "+Z"
    axis = axis if axis[:1] in "+-" else f"+{axis}"
    if axis not in _UPRIGHT:
        raise BadClip(name, 0, f"has {axis[:_LONGEST_SHOWN]!r} in POINT:Y_SCREEN; known are {', '.join(_UPRIGHT)}")
    return np.array(_UPRIGHT[axis], np.float64)


def _rate(name: str, content: C3dFile) -> float:
    """Return the frames per second; 0 if the file gives none."""
    rate = content.number("POINT:RATE")
    if rate != 0 and not SLOWEST <= rate <= FASTEST:
        raise BadClip(name, 0, f"its rate is {rate:g}; {SLOWEST:g} to {FASTEST:g} frames per second are possible")
    return rate
