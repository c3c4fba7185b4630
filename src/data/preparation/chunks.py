"""A chunk of recordings: read by one worker, kept as one file until the store is whole.

The file's name carries a key of everything that decides its content, so a run that was killed and is started
again recognises what it has finished already.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...settings.data import DataConfig
from ...skeleton import layout_facts
from ...utils.array_files import DamagedArray, array_of
from ...utils.errors import UserError
from ...utils.files import atomic_path
from ...utils.json_text import parse_json
from ...utils.zip_files import Archive, DamagedZip
from ..store.clip import Clip
from ..store.format import FORMAT_VERSION, Rows, index_of, is_index, pack, rows_problem
from ..store.protocols import select
from .formats import BadClip, DroppedClip, Entry, Reader
from .report import SkippedRecording

# Raise this when a reader or the cleaning gives other clips for the same recordings.
_REVISION = 2
_MOST_ENTRIES, _MOST_BYTES = 64, 64 << 20


@dataclass(frozen=True)
class Chunk:
    """Neighbouring recordings, and the key of what reading them gives."""

    number: int
    entries: tuple[Entry, ...]
    key: str

    @property
    def file_name(self) -> str:
        """Return the name of the file that keeps the chunk's clips."""
        return f"{self.number:06d}-{self.key[:32]}.npz"

    @property
    def size(self) -> int:
        """Return the bytes of its recordings."""
        return sum(entry.size for entry in self.entries)


@dataclass(frozen=True)
class Notes:
    """What reading a chunk left out, and how.

    Attributes:
        left_out: the damaged and the empty recordings.
        unselected: how many recordings lie outside the data set's `select`.
        copied: a sentence for each recording that was damaged and read from a copy.
    """

    left_out: tuple[SkippedRecording, ...]
    unselected: int
    copied: tuple[str, ...]

    @property
    def damaged(self) -> list[SkippedRecording]:
        """Return the recordings that could not be read."""
        return [each for each in self.left_out if each.damaged]


def cut_into_chunks(entries: Sequence[Entry], config: DataConfig) -> list[Chunk]:
    """Return all entries in chunks of at most 64 recordings or, but for a single one, 64 MiB."""
    changed = {path: _changed_ns(path) for path in {each.path for entry in entries for each in _with_copies(entry)}}
    return [Chunk(number, part, _key(part, changed, config)) for number, part in enumerate(_parts(entries))]


def read_chunk(chunk: Chunk, config: DataConfig, reader: Reader, folder: Path) -> None:
    """Read a chunk's recordings and keep the clips, and the notes of what was left out, in `folder`.

    Raises:
        UserError: the file cannot be written.
    """
    clips, left_out, copied = _read_entries(chunk.entries, reader)
    selected = [clips[number] for number in select(index_of(clips), config)]
    kept: list[Clip] = []
    for clip in selected:
        if 0 <= clip.label < len(config.classes):
            kept.append(clip)
        else:
            left_out.append(_no_class(clip, config))
    rows = pack(kept, config.skeleton)
    notes = {"left_out": sorted(left_out), "unselected": len(clips) - len(selected), "copied": copied}
    with atomic_path(folder / chunk.file_name) as temporary, temporary.open("wb") as file:
        np.savez(file, notes=np.frombuffer(json.dumps(notes).encode(), np.uint8), **rows._asdict())


def is_finished(chunk: Chunk, folder: Path) -> bool:
    """Tell whether `folder` keeps the whole chunk; one with damaged recordings is not, they may be whole now."""
    try:
        notes = kept_notes(chunk, folder)
        kept_rows(chunk, folder)
    except UserError:
        return False
    return not notes.damaged


def kept_notes(chunk: Chunk, folder: Path) -> Notes:
    """Return the notes of a chunk that `folder` keeps.

    Raises:
        UserError: its file is gone or damaged.
    """
    (written,) = _arrays(chunk, folder, ("notes",))
    try:
        values = parse_json(written.tobytes().decode())
        left_out = [
            SkippedRecording(str(name), bool(damaged), int(line), str(reason))
            for name, damaged, line, reason in values["left_out"]
        ]
        return Notes(tuple(left_out), int(values["unselected"]), tuple(map(str, values["copied"])))
    except (ValueError, TypeError, LookupError) as error:
        raise _lost(chunk, folder) from error


def kept_rows(chunk: Chunk, folder: Path) -> Rows:
    """Return the clips of a chunk that `folder` keeps.

    Raises:
        UserError: its file is gone or damaged.
    """
    rows = Rows(*_arrays(chunk, folder, Rows._fields))
    if rows_problem(rows):
        raise _lost(chunk, folder)
    return rows


def kept_names(chunk: Chunk, folder: Path) -> NDArray[np.str_]:
    """Return the names of the clips of a chunk that `folder` keeps.

    Raises:
        UserError: its file is gone or damaged.
    """
    (clips,) = _arrays(chunk, folder, ("clips",))
    if not is_index(clips):
        raise _lost(chunk, folder)
    names: NDArray[np.str_] = clips["name"]
    return names


def _arrays(chunk: Chunk, folder: Path, names: Sequence[str]) -> list[NDArray[Any]]:
    try:
        with Archive(folder / chunk.file_name) as archive:
            return [_array(archive, name) for name in names]
    except (OSError, DamagedZip, DamagedArray) as error:
        raise _lost(chunk, folder) from error


def _array(archive: Archive, name: str) -> NDArray[Any]:
    member = archive.find(f"{name}.npy")
    if member is None or archive.stored_span(member) is None:
        raise DamagedZip(f"it holds no {name} as this program writes it")
    return array_of(archive.read(member, member.size), records=name == "clips")


def remove_strangers(folder: Path, chunks: Collection[Chunk]) -> None:
    """Remove from `folder` what belongs to none of `chunks`: other input, or a writer that was killed."""
    names = {chunk.file_name for chunk in chunks}
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()


def _parts(entries: Sequence[Entry]) -> Iterator[tuple[Entry, ...]]:
    part: list[Entry] = []
    size = 0
    for entry in entries:
        if part and (len(part) == _MOST_ENTRIES or size + entry.size > _MOST_BYTES):
            yield tuple(part)
            part, size = [], 0
        part.append(entry)
        size += entry.size
    if part:
        yield tuple(part)


def _with_copies(entry: Entry) -> tuple[Entry, ...]:
    return entry, *entry.copies


def _key(entries: Sequence[Entry], changed_ns: Mapping[Path, int], config: DataConfig) -> str:
    """Return a hash of all that decides which clips come out, where the raw folder lies not included."""
    layout = layout_facts(config.skeleton)  # not its name alone: the file of one's own layout may change
    rules = [_REVISION, FORMAT_VERSION, config.format, layout, config.bodies, list(config.classes)]
    selection = [config.select.setups, config.select.actions]
    recordings = [[(each.name, each.size, changed_ns[each.path]) for each in _with_copies(entry)] for entry in entries]
    return hashlib.sha256(json.dumps([rules, selection, recordings]).encode()).hexdigest()


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0  # a dangling link, or a file that has gone; reading it says so


def _read_entries(entries: Sequence[Entry], reader: Reader) -> tuple[list[Clip], list[SkippedRecording], list[str]]:
    clips: list[Clip] = []
    left_out: list[SkippedRecording] = []
    copied: list[str] = []
    for entry in entries:
        try:
            clips.append(_read_whole_one(entry, reader, copied))
        except BadClip as problem:
            damaged = not isinstance(problem, DroppedClip)
            left_out.append(SkippedRecording(entry.name, damaged, problem.line, problem.reason))
    return clips, left_out, copied


def _read_whole_one(entry: Entry, reader: Reader, copied: list[str]) -> Clip:
    """Read a recording or, where it is damaged, the first copy that is not, and note that in `copied`.

    Raises:
        BadClip: the recording is damaged, and so are its copies.
        DroppedClip: the recording is well-formed and holds nothing; its copies are not looked at.
    """
    try:
        return reader.read(entry)
    except DroppedClip:
        raise
    except BadClip as problem:
        for copy in entry.copies:
            try:
                clip = reader.read(copy)
            except BadClip:
                continue
            copied.append(f"{problem} ({entry.place}; read from {copy.place})")
            return clip
        raise


def _no_class(clip: Clip, config: DataConfig) -> SkippedRecording:
    reason = f"its class is number {clip.label + 1}, and {config.name} has {len(config.classes)}"
    return SkippedRecording(clip.name, True, 0, reason)


def _lost(chunk: Chunk, folder: Path) -> UserError:
    return UserError(
        f"{folder / chunk.file_name}, a part that was finished already, is gone or damaged. "
        f"Delete the folder {folder} and run the same command again."
    )
