"""Writing a store part by part, with bounded memory."""

import os
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from ...skeleton import layout_facts
from ...utils.errors import UserError
from ...utils.files import atomic_path, file_checksum, make_folder, write_json
from ...version import __version__
from .format import (
    ARRAY_FILES,
    CONFIDENCE_FILE,
    CONFIDENCE_TYPE,
    FORMAT_VERSION,
    HEADER_FILE,
    JOINTS_TYPE,
    VALID_TYPE,
    Rows,
    StoreMetadata,
    full_confidence,
    index_bytes,
    index_problem,
    index_type,
)


class StoreWriter:
    """Write a store part by part: `with StoreWriter(path, metadata) as writer: writer.append(rows)`.

    Until the block ends without an error there are only temporary files; then the arrays are renamed into place,
    followed by `store.json`. An existing store is replaced.

    Raises:
        UserError: the folder cannot be written, the disk is full, or the clips do not form a valid store.
    """

    def __init__(self, path: Path | str, metadata: StoreMetadata) -> None:
        layout = metadata.layout
        self._path, self._metadata = Path(path), metadata
        self._shape = (layout.num_joints, layout.coordinates)
        self._parts: list[NDArray[np.void]] = []
        self._rows = 0
        self._confidence: BinaryIO | None = None  # a file only once there is a confidence to write
        self._full: list[NDArray[np.bool_]] = []  # the frame masks of the rows before that

    def __enter__(self) -> Self:
        make_folder(self._path)
        with ExitStack() as files:
            self._joints, self._valid, self._clips = [self._open(name, files) for name in ARRAY_FILES]
            self._write_headers()
            self._files = files.pop_all()
        return self

    def append(self, rows: Rows) -> None:
        """Append clips."""
        assert rows.joints.shape == (len(rows.valid), *self._shape)
        clips = rows.clips.copy()
        clips["offset"] += self._rows
        self._parts.append(clips)
        self._rows += len(rows.valid)
        self._joints.write(np.ascontiguousarray(rows.joints, JOINTS_TYPE).data)
        self._valid.write(np.ascontiguousarray(rows.valid, VALID_TYPE).data)
        self._append_confidence(rows)

    def clips(self) -> NDArray[np.void]:
        """Return the index of the clips appended so far."""
        widest = max((part.dtype["name"].itemsize // 4 for part in self._parts), default=1)
        parts = [part.astype(index_type(widest)) for part in self._parts]
        return np.concatenate([np.zeros(0, index_type(widest)), *parts])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._files.__exit__(kind, error, trace)
            return
        with self._files:
            clips = self._finish_arrays()
        self._write_header(len(clips))

    def _open(self, name: str, files: ExitStack) -> BinaryIO:
        temporary = files.enter_context(atomic_path(self._path / name))
        return files.enter_context(temporary.open("wb"))

    def _append_confidence(self, rows: Rows) -> None:
        joints = self._shape[0]
        full = full_confidence(rows.valid, joints)
        confidence = full if rows.confidence is None else rows.confidence
        if self._confidence is None and np.array_equal(confidence, full):
            self._full.append(rows.valid.copy())
            return
        if self._confidence is None:
            self._confidence = self._open(CONFIDENCE_FILE, self._files)
            _write_header(self._confidence, CONFIDENCE_TYPE, (0, joints))
            for valid in self._full:
                self._confidence.write(full_confidence(valid, joints).data)
            self._full.clear()
        self._confidence.write(np.ascontiguousarray(confidence, CONFIDENCE_TYPE).data)

    def _file_names(self) -> tuple[str, ...]:
        return ARRAY_FILES if self._confidence is None else (*ARRAY_FILES, CONFIDENCE_FILE)

    def _write_headers(self) -> None:
        """Write, or overwrite, the headers of the large arrays; NumPy pads them for any number of rows."""
        _write_header(self._joints, JOINTS_TYPE, (self._rows, *self._shape))
        _write_header(self._valid, VALID_TYPE, (self._rows,))
        if self._confidence is not None:
            _write_header(self._confidence, CONFIDENCE_TYPE, (self._rows, self._shape[0]))

    def _finish_arrays(self) -> NDArray[np.void]:
        clips = self.clips()
        problem = index_problem(clips, self._rows, len(self._metadata.classes)) or _repeated_name(clips)
        if problem:
            raise UserError(f"Cannot make the store {self._path}: {problem}.")
        self._write_headers()
        self._clips.write(index_bytes(clips))
        for file in (self._joints, self._valid, self._clips, self._confidence):
            if file is not None:
                file.flush()
                os.fsync(file.fileno())
        # The disk has space for everything; from here until the new header is written the folder is incomplete.
        (self._path / HEADER_FILE).unlink(missing_ok=True)
        if self._confidence is None:  # the store that is replaced may have had some
            (self._path / CONFIDENCE_FILE).unlink(missing_ok=True)
        return clips

    def _write_header(self, clips: int) -> None:
        header = {
            "format_version": FORMAT_VERSION,
            "name": self._metadata.name,
            "layout": self._metadata.layout.name,
            "layout_facts": layout_facts(self._metadata.layout),
            "extra_edges": [list(edge) for edge in self._metadata.layout.extra_edges],
            "classes": list(self._metadata.classes),
            "clips": clips,
            "rows": self._rows,
            "joints": self._shape[0],
            "coordinates": self._shape[1],
            "files": {name: _fingerprint(self._path / name) for name in self._file_names()},
            "source": dict(self._metadata.source),
            "protocols": dict(self._metadata.protocols),
            **({"recordings": recordings.header()} if (recordings := self._metadata.recordings) else {}),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "last_version": __version__,
        }
        write_json(self._path / HEADER_FILE, header)


def _write_header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    file.seek(0)
    description = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, description)


def _repeated_name(clips: NDArray[np.void]) -> str:
    names, counts = np.unique(clips["name"], return_counts=True)
    return f"two clips have the name {names[counts > 1][0]!r}" if (counts > 1).any() else ""


def _fingerprint(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": file_checksum(path)}
