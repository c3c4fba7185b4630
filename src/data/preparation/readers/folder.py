"""A plain folder of arrays: `class_name/clip.npy`, each (T, V, C) or (M, T, V, C), or `class_name/clip.npz`.

A joint with a NaN is missing; a body whose joints are all NaN or zero in a frame is absent from it. An `.npz` holds
`joints` and may hold `confidence` (T, V) or (M, T, V) from 0 to 1, and either `times` (T,) in seconds or `fps`. A
`.csv` or `.parquet` is a table of one clip, in the forms of `table_clips`. Labels and metadata are those of class
folders, see `class_folders`.
"""

from collections.abc import Mapping

import numpy as np

from ....utils.array_files import Array, DamagedArray, array_of, map_array
from ....utils.zip_files import Archive, DamagedZip
from ...store.clip import Clip
from ..formats import csv_rows
from ..formats.base import BadClip, Entry
from ..formats.class_folders import ClassFolderReader
from ..formats.clip_builder import build_clip
from ..formats.recordings import read_bytes
from ..formats.sniff import ARRAY, ZIP, why_unreadable
from ..formats.table_clips import clip_arrays, one_value, read_table
from ..formats.timing import Timing, refuse_other_rate, timing_of_rate

_TABLES = (".csv", ".csv.gz", ".parquet")
_LIMIT_BYTES = 256 << 20
_SHOWN = 3
_JOINTS = "joints"
_ARRAYS = (_JOINTS, "confidence", "times", "fps")


class Reader(ClassFolderReader):
    """Reader of `.npy`, `.npz`, `.csv` and `.parquet` clips, which are named after their paths."""

    endings = (".npy", ".npz", *_TABLES)
    expected = "class_name/clip.npy"

    def read(self, entry: Entry) -> Clip:
        """Read and centre one clip.

        Raises:
            BadClip: it is not an array or a table of the layout's shape, or its confidences or times are impossible.
            DroppedClip: no body is present in any frame.
        """
        if entry.path.name.lower().endswith(_TABLES):
            return self._read_table(entry)
        arrays = _load_npz(entry) if entry.path.suffix.lower() == ".npz" else {_JOINTS: _load(entry)}
        joints, confidence = arrays[_JOINTS], arrays.get("confidence")
        if joints.ndim == 3:
            joints = joints[None]  # (M, T, V, C)
            confidence = confidence[None] if confidence is not None else None
        return build_clip(
            entry.name,
            self.describe(entry.name),
            joints,
            self.source,
            confidence=confidence,
            timing=_timing(entry.name, arrays),
        )

    def _read_table(self, entry: Entry) -> Clip:
        data = read_bytes(entry, csv_rows.LIMIT_BYTES)
        table = read_table(entry.name, data, self.source.layout, dict(self.source.columns))
        rows = np.arange(len(table.rows.lines))
        one_value(entry.name, table, rows, "clip")  # refused if there are several
        found = clip_arrays(entry.name, table, rows)
        metadata = self.describe(entry.name)
        return build_clip(
            entry.name, metadata, found.joints, self.source, confidence=found.confidence, timing=found.timing
        )


def _timing(name: str, arrays: Mapping[str, Array]) -> Timing:
    times, fps = arrays.get("times"), arrays.get("fps")
    if times is not None:
        if times.dtype.kind not in "fiu":
            raise BadClip(name, 0, f"`times` holds {times.dtype}, not seconds")
        seconds = times.astype(np.float64)
        if fps is not None:
            refuse_other_rate(name, seconds.ravel(), _rate(name, fps))
        return Timing(times=seconds)
    if fps is None:
        return Timing()
    return timing_of_rate(name, _rate(name, fps))


def _rate(name: str, fps: Array) -> float:
    if fps.shape != () or fps.dtype.kind not in "fiu":
        raise BadClip(name, 0, f"`fps` should be one number, not {fps.dtype} {fps.shape}")
    return float(fps)


def _load_npz(entry: Entry) -> dict[str, Array]:
    """Return the arrays of a clip by their names."""
    try:
        with Archive(entry.path) as archive:
            names = [name for name in _ARRAYS if archive.find(f"{name}.npy")]
            if _JOINTS not in names:
                there = ", ".join(member.name.removesuffix(".npy")[:40] for member in archive.members[:_SHOWN])
                raise BadClip(entry.name, 0, f"holds {there or 'no array'}; expected an array named `{_JOINTS}`")
            unknown = [member.name for member in archive.members if member.name.removesuffix(".npy") not in _ARRAYS]
            if unknown:
                raise BadClip(entry.name, 0, f"holds {unknown[0][:40]}; known are {', '.join(_ARRAYS)}")
            members = [archive.find(f"{name}.npy") for name in names]
            if sum(member.size for member in members if member) > _LIMIT_BYTES:
                raise BadClip(entry.name, 0, f"holds more than {_LIMIT_BYTES} bytes, too much for one clip")
            read = (archive.read(member, _LIMIT_BYTES) for member in members if member)
            return {name: array_of(data) for name, data in zip(names, read, strict=True)}
    except (OSError, DamagedZip, DamagedArray) as error:
        raise BadClip(
            entry.name, 0, f"is not a readable .npz file: {why_unreadable(entry.path, ZIP, error)}"
        ) from error


def _load(entry: Entry) -> Array:
    if entry.size > _LIMIT_BYTES:
        raise BadClip(entry.name, 0, f"is larger than {_LIMIT_BYTES} bytes, too large for one clip")
    try:
        return map_array(entry.path)
    except (OSError, DamagedArray) as error:
        raise BadClip(
            entry.name, 0, f"is not a readable .npy array: {why_unreadable(entry.path, ARRAY, error)}"
        ) from error
