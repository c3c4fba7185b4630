"""The store: a folder of memory-mapped arrays with an index, a format version and checksums.

`format` describes the files. Reading writes nothing, unpickles nothing, and refuses anything that could
point outside the arrays.
"""

import hashlib
import json
import operator
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ...skeleton import Layout, layout_facts, layout_from_facts, list_layouts, load_layout
from ...utils.array_files import DamagedArray, map_array
from ...utils.errors import UserError
from ...utils.files import file_checksum, read_json
from ...utils.numbers import counted
from ...utils.program import program
from ...utils.system_errors import reason
from .clip import Clip
from .format import (
    CLIP_NUMBERS,
    CLIPS_FILE,
    CONFIDENCE_FILE,
    CONFIDENCE_TYPE,
    HEADER_FILE,
    JOINTS_FILE,
    JOINTS_TYPE,
    READ_VERSIONS,
    VALID_FILE,
    VALID_TYPE,
    Rows,
    StoreMetadata,
    index_bytes,
    is_index,
    pack,
    present_index,
    rows_problem,
    with_parts,
)
from .recordings import read_recordings, with_recordings
from .writer import StoreWriter

_STORES_NAMED = 5  # stores listed in the message for a folder that contains stores


class Store(Sequence[Clip]):
    """The clips of a prepared data set, read from memory-mapped files that are never modified.

    Attributes:
        path: the folder.
        name, layout, classes: the data set, the name of its joint layout, its class names in the order of their labels.
        skeleton: the joint layout itself.
        joints: (R, V, C) float32, memory-mapped.
        valid: (R,) bool, memory-mapped.
        confidence: (R, V) uint8, memory-mapped; None if every joint was measured with full confidence.
        clips: the index, one structured element per clip.
        source: the origin of the clips, as given to the writer.
        recordings: the long recordings of which the clips are parts; None if each clip is a recording.
        fingerprint: a digest of what a run can see of it: the arrays without the frame rates, the class names, the
            layout and the long recordings. It is the same for every copy of a store, and for every preparation that
            gives the same clips.
        fingerprint_of_files: the same with the frame rates, as version 2 of the format had it at first.
        fingerprint_of_joints: the same without confidences, as of a store in which every joint was measured.
    """

    def __init__(
        self, path: Path, metadata: StoreMetadata, rows: Rows, fingerprints: tuple[str, str, str] = ("", "", "")
    ) -> None:
        self.path = path
        self.fingerprint, self.fingerprint_of_files, self.fingerprint_of_joints = fingerprints
        self.name, self.skeleton, self.classes = metadata.name, metadata.layout, list(metadata.classes)
        self.layout = self.skeleton.name
        self.source, self.recordings = dict(metadata.source), metadata.recordings
        self.clips, self.joints, self.valid, self.confidence = rows

    def __len__(self) -> int:
        return len(self.clips)

    @overload
    def __getitem__(self, number: int) -> Clip: ...
    @overload
    def __getitem__(self, number: slice) -> list[Clip]: ...
    def __getitem__(self, number: int | slice) -> Clip | list[Clip]:
        if isinstance(number, slice):
            return [self._clip(each) for each in range(*number.indices(len(self)))]
        return self._clip(operator.index(number))

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}: {self.name}, {counted(len(self), 'clip')}, layout {self.layout})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only the path: a loader worker maps the files itself instead of receiving their content."""
        return open_store, (self.path, False)

    def _clip(self, number: int) -> Clip:
        row = self.clips[number]
        frames, bodies, offset = int(row["frames"]), int(row["bodies"]), int(row["offset"])
        span = slice(offset, offset + bodies * frames)
        values: dict[str, Any] = {number: int(row[number]) for number in CLIP_NUMBERS}
        if self.confidence is not None:
            values["confidence"] = self.confidence[span].reshape(bodies, frames, -1)
        return Clip(
            name=str(row["name"]),
            joints=self.joints[span].reshape(bodies, frames, *self.joints.shape[1:]),
            frame_mask=self.valid[span].reshape(bodies, frames),
            fps=float(row["fps"]),
            **values,
        )


def write_store(
    path: Path | str,
    clips: Iterable[Clip],
    *,
    name: str,
    layout: str | Layout,
    classes: Sequence[str],
    source: Mapping[str, Any] | None = None,
) -> Store:
    """Write `clips`, one at a time, as the store at `path` and open it.

    Args:
        path: the folder; it may exist, but may not hold a finished store.
        clips: any number of clips; their labels index `classes`.
        name, layout, classes: the data set, its joint layout (or that one's name), its class names.
        source: where the clips came from, as JSON values.

    Raises:
        UserError: there is a store already, a clip does not fit, or the folder cannot be written.
    """
    if (Path(path) / HEADER_FILE).exists():
        raise UserError(f"{path} already holds a store. Choose another folder or delete that one.")
    skeleton = load_layout(layout) if isinstance(layout, str) else layout
    with StoreWriter(path, StoreMetadata(name, skeleton, classes, source or {})) as writer:
        for clip in clips:
            writer.append(pack([clip], skeleton))
    return open_store(path, verify=False)


def open_store(path: Path | str, verify: bool = True) -> Store:
    """Open the store at `path` for reading; its arrays are memory-mapped, nothing is written.

    Args:
        path: the folder that `preprocess` or `write_store` created.
        verify: compare the SHA-256 of every file with the recorded one; sizes and index are checked anyway.

    Raises:
        UserError: there is no finished store, it has another format version, or it is damaged.
    """
    path = Path(path)
    header = _read_header(path)
    has_confidence = CONFIDENCE_FILE in header["files"]
    files = (CLIPS_FILE, JOINTS_FILE, VALID_FILE, *((CONFIDENCE_FILE,) if has_confidence else ()))
    _check_files(path, header["files"], files, verify)
    clips, *arrays = (_map_array(path / name) for name in files)
    if not is_index(clips, header["format_version"]):
        raise _damaged(path, f"{CLIPS_FILE}: the index is not a list of clips")
    rows = Rows(present_index(np.array(clips), header["format_version"]), *arrays)
    layout = _layout(path, header)
    if problem := _arrays_problem(header, rows, layout):
        raise _damaged(path, problem)
    fingerprints = _fingerprints(header, layout, rows.clips)
    try:
        recordings = read_recordings(header.get("recordings"), len(rows.clips), len(header["classes"]))
        clips = with_parts(rows.clips, header.get("protocols", {}))
        rows = rows._replace(clips=with_recordings(clips, recordings))
    except (ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, f"{HEADER_FILE}: {error}") from error
    metadata = StoreMetadata(header["name"], layout, header["classes"], header["source"], recordings=recordings)
    return Store(path, metadata, rows, fingerprints)


def _layout(path: Path, header: Mapping[str, Any]) -> Layout:
    """Return the layout of a store: the one saved in it, or for older stores the one with the saved name."""
    name, facts = header["layout"], header.get("layout_facts")
    if not isinstance(facts, dict):
        return load_layout(name)
    if name in list_layouts():
        if facts != layout_facts(load_layout(name)):
            raise UserError(
                f"The store {path} was prepared with another layout named {name} than this program has. Prepare it "
                "again with --overwrite."
            )
        return load_layout(name)
    drawn = {"extra_edges": header.get("extra_edges", [])}
    layout = layout_from_facts({**facts, **drawn}, str(path / HEADER_FILE))
    if layout.name != name:
        raise _damaged(path, f"{HEADER_FILE} names the layout {name!r} and describes {layout.name!r}")
    return layout


def _arrays_problem(header: Mapping[str, Any], rows: Rows, layout: Layout) -> str:
    """Return how the arrays differ from the header and the layout, or an empty string."""
    found = [(array.dtype, array.shape) for array in (rows.joints, rows.valid)]
    shape = (header["rows"], layout.num_joints, layout.coordinates)
    if found != [(JOINTS_TYPE, shape), (VALID_TYPE, shape[:1])] or not rows.joints.flags.c_contiguous:
        return f"the arrays are not float32 {shape} and bool {shape[:1]}"
    if rows.confidence is not None and (rows.confidence.dtype, rows.confidence.shape) != (CONFIDENCE_TYPE, shape[:2]):
        return f"{CONFIDENCE_FILE} is not uint8 {shape[:2]}"
    if rows.clips.shape != (header["clips"],):
        return f"{CLIPS_FILE} is not an index of {counted(header['clips'], 'clip')}"
    return rows_problem(rows, len(header["classes"]))


def _read_header(path: Path) -> Mapping[str, Any]:
    """Return `store.json`, its fields present and of the right type."""
    how = f"Prepare it with: {program()} preprocess --dataset NAME --raw DIR --out {path}"
    if path.is_file():
        raise UserError(f"{path} is a file; a store is a folder. Name the folder that holds {HEADER_FILE}.")
    if not path.is_dir():
        raise UserError(f"There is no store {path}: no such folder. {how}")
    if not (path / HEADER_FILE).is_file():
        below = ", ".join(str(header.parent) for header in sorted(path.glob(f"*/{HEADER_FILE}"))[:_STORES_NAMED])
        remedy = f"There are stores in it: name one of {below}." if below else how
        raise UserError(f"{path} holds no finished store (there is no {HEADER_FILE} in it). {remedy}")
    header = read_json(path / HEADER_FILE)
    if "format_version" not in header:
        raise UserError(f"{path / HEADER_FILE} is not of a store of LAST: it has no 'format_version'.")
    if header["format_version"] not in READ_VERSIONS or isinstance(header["format_version"], bool | float):
        raise UserError(
            f"{path} has the store format {header['format_version']!r}; this version of LAST reads the formats "
            f"{', '.join(map(str, READ_VERSIONS))}. Prepare it again with --overwrite."
        )
    types = {
        "name": str,
        "layout": str,
        "classes": list,
        "clips": int,
        "rows": int,
        "files": dict,
        "source": dict,
    }
    for key, kind in types.items():
        if not isinstance(header.get(key), kind):
            raise _damaged(path, f"{HEADER_FILE} has no proper {key!r}")
    if not all(isinstance(name, str) for name in header["classes"]):
        raise _damaged(path, f"{HEADER_FILE} has a class name that is no text")
    if not all(isinstance(each, dict) and isinstance(each.get("sha256"), str) for each in header["files"].values()):
        raise _damaged(path, f"{HEADER_FILE} has a file without its checksum")
    return header


def _fingerprints(header: Mapping[str, Any], layout: Layout, clips: NDArray[np.void]) -> tuple[str, str, str]:
    """Return the fingerprints of a store, see `Store`; the recorded checksums represent its large arrays.

    The index is hashed in the form of version 1, which had no frame rates: no run reads them.
    """
    files = {name: recorded["sha256"] for name, recorded in header["files"].items()}
    seen = dict(files)
    if header["format_version"] > 1:
        seen[CLIPS_FILE] = hashlib.sha256(index_bytes(clips, version=1)).hexdigest()
    joints = {name: checksum for name, checksum in seen.items() if name != CONFIDENCE_FILE}

    recordings = [] if header.get("recordings") is None else [header["recordings"]]

    def digest(arrays: Mapping[str, str]) -> str:
        content = [layout_facts(layout), header["classes"], arrays, *recordings]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    return digest(seen), digest(files), digest(joints)


def _check_files(path: Path, recorded: Mapping[str, Any], names: Sequence[str], verify: bool) -> None:
    """Refuse array files whose size, or with `verify` whose SHA-256, differs from the recorded one."""
    for name in names:
        expected = recorded.get(name)
        file = path / name
        if not isinstance(expected, dict) or not file.is_file():
            raise _damaged(path, f"{name} is missing")
        if not isinstance(expected.get("sha256"), str):
            raise _damaged(path, f"{HEADER_FILE} has no checksum of {name}")
        if file.stat().st_size != expected.get("bytes"):
            raise _damaged(path, f"{name} has {file.stat().st_size} bytes instead of {expected.get('bytes')}")
        if verify and _checksum(file) != expected.get("sha256"):
            raise _damaged(path, f"the content of {name} does not match its recorded checksum")


def _checksum(path: Path) -> str:
    try:
        return file_checksum(path)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {reason(error)}. Check its permissions.") from error


def _map_array(path: Path) -> NDArray[Any]:
    """Map one `.npy` file read-only; its header cannot claim more than the size of the file."""
    try:
        return np.asarray(map_array(path, records=path.name == CLIPS_FILE))
    except (OSError, DamagedArray) as error:
        raise _damaged(path.parent, f"{path.name} cannot be read ({reason(error)})") from error


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"The store {path} is damaged: {what}. Copy it again, or prepare it again with --overwrite.")
