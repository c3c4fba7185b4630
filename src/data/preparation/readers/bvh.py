"""Motion capture as BVH: one file per clip, `class_name/clip.bvh`, read by pybvh (extra `bvh`).

The joints of the hierarchy are found by their names in the layout; the end site below a joint `Head` is `Head_end`.
Their positions are computed from offsets and rotations, in the file's own unit (BVH names none; most are centimetres)
and axes. The time of a frame gives the frames per second. A file holds one body, of which no joint is missing.
"""

import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ....settings.data import FASTEST, SLOWEST
from ....utils.extras import extra_problem, fault_of
from ...store.clip import Clip
from ..formats.base import MOST_FRAMES, BadClip, Entry
from ..formats.class_folders import ClassFolderReader
from ..formats.clip_builder import build_clip, refuse_size
from ..formats.csv_rows import Floats
from ..formats.named_joints import MOST_JOINTS, joint_indices
from ..formats.recordings import read_bytes
from ..formats.timing import Timing

_LIMIT_BYTES = 128 << 20
_LONGEST_LINE = 1 << 16
_DEEPEST = 200  # joints below each other
_FRAMES_AT_ONCE = 1 << 12
_NODE = re.compile(r"\s*(?:ROOT|JOINT|End)\b")


class Reader(ClassFolderReader):
    """Reader of BVH files."""

    endings = (".bvh", ".bvh.gz")
    expected = "class_name/clip.bvh"

    def read(self, entry: Entry) -> Clip:
        """Read and centre one clip.

        Raises:
            UserError: pybvh cannot be imported.
            BadClip: it is no BVH file that pybvh reads, or lacks a joint of the layout.
        """
        name = entry.name
        motion = _motion(name, _checked_text(name, read_bytes(entry, _LIMIT_BYTES)))
        if not SLOWEST <= (fps := round(1 / motion.frame_time, 6)) <= FASTEST:
            fastest = f"{SLOWEST:g} to {FASTEST:g} frames per second are possible"
            raise BadClip(name, 0, f"its frame time is {motion.frame_time:g} seconds: {fastest}")
        indices = joint_indices(name, node_names(motion), self.source.layout)
        joints = _positions(motion, indices)[None]
        return build_clip(name, self.describe(name), joints, self.source, timing=Timing(fps=fps))


def node_names(motion: Any) -> list[str]:
    """Return the names of the joints and end sites of a `pybvh.Bvh`, in the order of its positions."""
    return [f"{node.parent.name}_end" if node.is_end_site() else node.name for node in motion.nodes]


def _checked_text(name: str, data: bytes) -> str:
    """Return the text of a file if its hierarchy and its lines are of sizes that pybvh can be given.

    Raises:
        BadClip: they are not.
    """
    lines = data.decode("utf-8", "replace").splitlines()
    if not lines or lines[0].strip() != "HIERARCHY":
        raise BadClip(name, 1, "is no BVH file: its first line should be HIERARCHY")
    if (longest := max(range(len(lines)), key=lambda index: len(lines[index]))) and len(lines[longest]) > _LONGEST_LINE:
        raise BadClip(name, longest + 1, f"the line has {len(lines[longest])} characters; at most {_LONGEST_LINE}")
    motion = next((index for index, line in enumerate(lines) if line.strip() == "MOTION"), 0)
    if not motion:
        raise BadClip(name, 0, "has no line MOTION: it is cut off, or a hierarchy alone")
    nodes, depth = 0, 0
    for number, line in enumerate(lines[:motion], start=1):
        nodes += _NODE.match(line) is not None
        depth += line.count("{") - line.count("}")
        if nodes > MOST_JOINTS or depth > _DEEPEST:
            raise BadClip(name, number, f"has more than {MOST_JOINTS} joints, or more than {_DEEPEST} below each other")
    frames = len(lines) - motion
    if frames > MOST_FRAMES + 3:
        raise BadClip(name, 0, f"has more than {MOST_FRAMES} frames")
    refuse_size(name, 3.0 * nodes * frames)
    return "\n".join(lines) + "\n"


def _motion(name: str, text: str) -> Any:
    """Return what pybvh reads from a text."""
    if (problem := extra_problem("pybvh", "Reading a BVH file")) is not None:
        raise problem
    import pybvh

    # pybvh reads files only, of the system's encoding; letters beyond ASCII occur in names, which are shown.
    with tempfile.TemporaryDirectory(prefix="last-bvh-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "clip.bvh"
        path.write_text(text, encoding="ascii", errors="backslashreplace")
        try:
            return pybvh.read_bvh_file(path, world_up="+y")
        except (ValueError, IndexError, KeyError, AttributeError, TypeError, OverflowError, RecursionError) as error:
            reason = fault_of(error).replace(str(path), "the file")
            raise BadClip(name, 0, f"cannot be read by pybvh ({reason})") from error


def _positions(motion: Any, indices: list[int]) -> Floats:
    """Return the positions (T, V, 3) of some nodes."""
    import pybvh

    blocks = []
    with np.errstate(all="ignore"):
        for first in range(0, len(motion.root_pos), _FRAMES_AT_ONCE):
            block = slice(first, first + _FRAMES_AT_ONCE)
            found = pybvh.frames_to_node_positions(motion, motion.root_pos[block], motion.joint_angles[block])
            blocks.append(found[:, indices])
    return np.concatenate(blocks)
