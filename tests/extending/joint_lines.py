"""Lines of the joints of one person in metres, one file per recording: `<class>_<take>.joints`."""

from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np

from last.data.preparation.formats.base import BadClip, Entry, Source
from last.data.preparation.formats.clip_builder import ClipMetadata, build_clip
from last.data.preparation.formats.recordings import find_recordings, read_bytes
from last.data.store.clip import Clip

LIMIT_BYTES = 16 << 20


class Reader:
    """Read recordings whose names contain their class."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def entries(self, raw: Path) -> Sequence[Entry]:
        """List the recordings below `raw`, a folder or a zip."""
        return find_recordings(raw, ".joints", clip_name, "files <class>_<take>.joints")

    def read(self, entry: Entry) -> Clip:
        """Read one recording."""
        class_name, take = entry.name.split("_")
        try:
            lines = read_bytes(entry, LIMIT_BYTES).decode("ascii").splitlines()
            points = np.array([line.split() for line in lines], dtype=float).reshape(len(lines), 1, -1, 3)
        except ValueError as error:
            raise BadClip(entry.name, 0, str(error)) from None
        about = ClipMetadata(self.source.classes.index(class_name), subject=int(take) % 4 + 1, replication=int(take))
        return build_clip(entry.name, about, points.transpose(1, 0, 2, 3), self.source)  # (M, T, V, C)


def clip_name(path: PurePath) -> str | None:
    """Return the clip's name, or None for a file that is not a recording."""
    return path.stem if path.suffix == ".joints" else None
