"""A plain folder of arrays: `class_name/clip.npy`, each (T, V, C) or (M, T, V, C).

The classes are the folder's subfolders in the order of their names, empty ones included; a data YAML that
lists `classes` should list these. A body whose coordinates are all NaN, or all zero, in a frame is absent
there; a body that is there needs all its joints. Who was recorded and how is told by marks in a clip's name,
NTU's letters with three digits each: setup S, camera C, performer P, replication R, as in `walk_P007.npy` or
`S001C002P007R001.npy`. What has no mark is 0.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...utils.errors import UserError
from ..clip import Clip
from .assembly import About, assemble
from .base import BadClip, Entry, Source

_LIMIT_BYTES = 256 << 20
_MARK = re.compile(r"(?<![A-Za-z])([SCPR])(\d{3})(?!\d)", re.ASCII)


class Reader:
    """Read `.npy` clips, named `class_name/clip`. Of many bodies the first that are ever there stay."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def entries(self, raw: Path) -> Sequence[Entry]:
        """List the `.npy` files in the class folders of `raw`.

        Raises:
            UserError: `raw` is no folder of class folders, or they hold no clip.
        """
        files = [path for name in class_names(raw) for path in sorted((raw / name).glob("*.npy"))]
        if not files:
            raise UserError(f"There are no clips in {raw}: expected files class_name/clip.npy.")
        return sorted((_entry(path) for path in files), key=lambda entry: entry.name)

    def read(self, entry: Entry) -> Clip:
        """Read and centre one clip.

        Raises:
            BadClip: it is no array of the layout's shape, or a body that is there lacks a joint.
            DroppedClip: no body is there in any frame.
        """
        array = _load(entry)
        joints = array[None] if array.ndim == 3 else array  # (M, T, V, C)
        label = class_names(entry.path.parent.parent).index(entry.path.parent.name)
        return assemble(entry.name, _describe(entry.path.stem, label), joints, self._source)


def class_names(raw: Path) -> list[str]:
    """Return the class names of a folder of clips, in the order of their labels.

    Raises:
        UserError: `raw` cannot be listed.
    """
    try:
        return sorted(path.name for path in raw.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"Cannot look for class folders in {raw}: {error.strerror}.") from error


def _entry(path: Path) -> Entry:
    return Entry(f"{path.parent.name}/{path.stem}", path, "", path.stat().st_size)


def _describe(name: str, label: int) -> About:
    """Return what the marks in a clip's own name say; of several of one letter the last counts."""
    marks = {letter: int(digits) for letter, digits in _MARK.findall(name)}
    setup, camera, subject, replication = (marks.get(letter, 0) for letter in "SCPR")
    return About(label, subject, camera, setup, replication)


def _load(entry: Entry) -> np.ndarray[Any, np.dtype[Any]]:
    """Map the array into memory: NumPy then compares what the header promises with the file's size."""
    if entry.size > _LIMIT_BYTES:
        raise BadClip(entry.name, 0, f"is larger than {_LIMIT_BYTES} bytes, too large for one clip")
    try:
        array = np.lib.format.open_memmap(entry.path, mode="r")
    except (OSError, ValueError, OverflowError) as error:
        raise BadClip(entry.name, 0, f"is not a readable .npy array: {error}") from None
    return array
