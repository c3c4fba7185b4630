"""Chunks of recordings: each is read by one worker and saved as one file until the store is complete.

The file's name contains a hash of everything that determines its content, so a run that was killed and is started
again recognises the chunks that are finished.
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from .intervals.cutting import CutRecordings, cut, cut_of
from .intervals.plans import Plans
from .report import SkippedRecording

# Increase this when a reader or the cleaning is changed to return other clips for the same recordings.
_REVISION = 4
_MAX_ENTRIES, _MAX_BYTES = 64, 64 << 20


@dataclass(frozen=True)
class Chunk:
    """Neighbouring recordings, with the hash of their clips' inputs, and with their intervals if they are long ones."""

    number: int
    entries: tuple[Entry, ...]
    key: str
    plans: Plans | None = None

    @property
    def file_name(self) -> str:
        """Return the name of the file with the chunk's clips."""
        return f"{self.number:06d}-{self.key[:32]}.npz"

    @property
    def size(self) -> int:
        """Return the size of its recordings in bytes."""
        return sum(entry.size for entry in self.entries)


@dataclass(frozen=True)
class Notes:
    """The recordings of a chunk that were left out or read from a copy.

    Attributes:
        left_out: the damaged and the empty recordings.
        unselected: number of recordings outside the data set's `select`.
        copied: a sentence for each recording that was damaged and read from a copy.
        crowded: recordings with more bodies than a clip may have, each with the number of those that were not kept.
        retimed: recordings whose frames were not at equal intervals, each with what was repaired.
        cut: the long recordings, without their clips; None if each recording is a clip.
    """

    left_out: tuple[SkippedRecording, ...]
    unselected: int
    copied: tuple[str, ...]
    crowded: Mapping[str, int]
    retimed: Mapping[str, str]
    cut: CutRecordings | None = None

    @property
    def damaged(self) -> list[SkippedRecording]:
        """Return the recordings that could not be read."""
        return [each for each in self.left_out if each.damaged]


def cut_into_chunks(entries: Sequence[Entry], config: DataConfig, plans: Plans | None = None) -> list[Chunk]:
    """Return all entries in chunks of at most 64 recordings and 64 MiB; a larger recording is a chunk by itself.

    With `plans` they are long recordings, each of which is cut by its plan, and a chunk by itself: its windows overlap
    and take a multiple of its size.
    """
    changed = {path: _changed_ns(path) for path in {each.path for entry in entries for each in _with_copies(entry)}}
    rules = _rules(config)
    parts = _parts(entries, _MAX_ENTRIES if plans is None else 1)
    return [_chunk(number, part, changed, rules, plans) for number, part in enumerate(parts)]


def _chunk(
    number: int, entries: tuple[Entry, ...], changed: Mapping[Path, int], rules: Sequence[Any], plans: Plans | None
) -> Chunk:
    if plans is None:
        return Chunk(number, entries, _key(entries, changed, rules))
    own = plans.only([entry.name for entry in entries])
    return Chunk(number, entries, _key(entries, changed, [*rules, own.facts()]), own)


def read_chunk(chunk: Chunk, config: DataConfig, reader: Reader, folder: Path) -> None:
    """Read a chunk's recordings and save the clips, with notes of the recordings left out, in `folder`.

    Raises:
        UserError: the file cannot be written.
    """
    recordings, left_out, copied = _read_entries(chunk.entries, reader)
    parts = _cut(recordings, chunk.plans, left_out) if chunk.plans is not None else None
    clips = _with_labels(recordings, config, left_out) if parts is None else parts.clips
    selected = select(index_of(clips), config).tolist()
    kept: list[int] = []
    for number in selected:
        if 0 <= clips[number].label < len(config.classes):
            kept.append(number)
        else:
            left_out.append(_no_class(clips[number].name, clips[number].label, len(config.classes), config))
    rows = pack([clips[number] for number in kept], config.skeleton)
    whole = [clips[number] for number in kept] if parts is None else recordings
    notes = {
        "left_out": sorted(left_out),
        "unselected": len(clips) - len(selected),
        "copied": copied,
        "crowded": {clip.name: clip.bodies_left_out for clip in whole if clip.bodies_left_out},
        "retimed": {clip.name: clip.retimed for clip in whole if clip.retimed},
        "cut": None if parts is None else parts.notes(kept),
    }
    with atomic_path(folder / chunk.file_name) as temporary, temporary.open("wb") as file:
        arrays = {name: array for name, array in rows._asdict().items() if array is not None}
        np.savez(file, notes=np.frombuffer(json.dumps(notes).encode(), np.uint8), **arrays)


def is_finished(chunk: Chunk, folder: Path) -> bool:
    """Tell whether `folder` has the complete chunk. One with damaged recordings is not: they may be repaired by now."""
    try:
        notes = kept_notes(chunk, folder)
        kept_rows(chunk, folder)
    except UserError:
        return False
    return not notes.damaged


def kept_notes(chunk: Chunk, folder: Path) -> Notes:
    """Return the notes of a chunk saved in `folder`.

    Raises:
        UserError: its file is missing or damaged.
    """
    (written,) = _arrays(chunk, folder, ("notes",))
    try:
        values = parse_json(written.tobytes().decode())
        left_out = [
            SkippedRecording(str(name), bool(damaged), int(line), str(reason))
            for name, damaged, line, reason in values["left_out"]
        ]
        crowded = {str(name): int(number) for name, number in values["crowded"].items()}
        retimed = {str(name): str(repairs) for name, repairs in values["retimed"].items()}
        copied = tuple(map(str, values["copied"]))
        parts = values.get("cut")
        cut_parts = None if parts is None else cut_of(parts)
        return Notes(tuple(left_out), int(values["unselected"]), copied, crowded, retimed, cut_parts)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise _unusable(chunk, folder) from error


def kept_rows(chunk: Chunk, folder: Path) -> Rows:
    """Return the clips of a chunk saved in `folder`.

    Raises:
        UserError: its file is missing or damaged.
    """
    rows = Rows(*_arrays(chunk, folder, ("clips", "joints", "valid"), optional=("confidence",)))
    if rows_problem(rows):
        raise _unusable(chunk, folder)
    return rows


def kept_names(chunk: Chunk, folder: Path) -> NDArray[np.str_]:
    """Return the names of the clips of a chunk saved in `folder`.

    Raises:
        UserError: its file is missing or damaged.
    """
    (clips,) = _arrays(chunk, folder, ("clips",))
    if not is_index(clips):
        raise _unusable(chunk, folder)
    names: NDArray[np.str_] = clips["name"]
    return names


def _arrays(chunk: Chunk, folder: Path, names: Sequence[str], optional: Sequence[str] = ()) -> list[NDArray[Any]]:
    try:
        with Archive(folder / chunk.file_name) as archive:
            there = [name for name in optional if archive.find(f"{name}.npy") is not None]
            return [_array(archive, name) for name in (*names, *there)]
    except (OSError, DamagedZip, DamagedArray) as error:
        raise _unusable(chunk, folder) from error


def _array(archive: Archive, name: str) -> NDArray[Any]:
    member = archive.find(f"{name}.npy")
    if member is None or archive.stored_span(member) is None:
        raise DamagedZip(f"it has no {name} in the form that this program writes")
    return array_of(archive.read(member, member.size), records=name == "clips")


def remove_other_files(folder: Path, chunks: Collection[Chunk]) -> None:
    """Remove the files in `folder` that do not belong to `chunks`: of other input, or of a killed writer."""
    names = {chunk.file_name for chunk in chunks}
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()


def _parts(entries: Sequence[Entry], most: int) -> Iterator[tuple[Entry, ...]]:
    part: list[Entry] = []
    size = 0
    for entry in entries:
        if part and (len(part) == most or size + entry.size > _MAX_BYTES):
            yield tuple(part)
            part, size = [], 0
        part.append(entry)
        size += entry.size
    yield tuple(part)


def _with_copies(entry: Entry) -> tuple[Entry, ...]:
    return entry, *entry.copies


def _rules(config: DataConfig) -> list[Any]:
    """Return the settings that determine the clips of given recordings, as JSON values."""
    layout = layout_facts(config.skeleton)  # not only its name: a user's own layout file may change
    rules: list[Any] = [_REVISION, FORMAT_VERSION, config.format, layout, config.bodies, list(config.classes)]
    rules += [config.fps, config.source_fps]
    if (joint_map := config.joint_map) is not None:
        rules.append(joint_map.facts())
    if config.class_map or config.source_classes:
        rules += [config.recorded_classes, config.class_labels]
    rules += [sorted(config.columns.items())] if config.columns else []
    selected = [config.select.setups, config.select.actions]
    added = [config.select.cameras, config.select.subjects]
    return [rules, selected + added if any(added) else selected]


def _key(entries: Sequence[Entry], changed_ns: Mapping[Path, int], rules: Sequence[Any]) -> str:
    """Return a hash of everything that determines the clips, without the location of the raw folder."""
    recordings = [[(each.name, each.size, changed_ns[each.path]) for each in _with_copies(entry)] for entry in entries]
    return hashlib.sha256(json.dumps([*rules, recordings]).encode()).hexdigest()


def _changed_ns(path: Path) -> int:
    """Return when a file was changed last; for a recording that is a folder, the newest of its files."""
    try:
        files = [each.stat() for each in os.scandir(path)] if path.is_dir() else []
        return max(each.st_mtime_ns for each in [path.stat(), *files])
    except OSError:
        return 0  # a dangling link or a removed file, which is reported when it is read


def _read_entries(entries: Sequence[Entry], reader: Reader) -> tuple[list[Clip], list[SkippedRecording], list[str]]:
    clips: list[Clip] = []
    left_out: list[SkippedRecording] = []
    copied: list[str] = []
    for entry in entries:
        try:
            clips.append(_read_one(entry, reader, copied))
        except BadClip as problem:
            damaged = not isinstance(problem, DroppedClip)
            left_out.append(SkippedRecording(entry.name, damaged, problem.line, problem.reason))
    return clips, left_out, copied


def _read_one(entry: Entry, reader: Reader, copied: list[str]) -> Clip:
    """Read a recording or, if it is damaged, its first readable copy, which is noted in `copied`.

    Raises:
        BadClip: the recording and all its copies are damaged.
        DroppedClip: the recording is well-formed, but has nothing to learn from; its copies are not read.
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
            copied.append(f"{problem} ({entry.location}; read from {copy.location})")
            return clip
        raise


def _cut(clips: Sequence[Clip], plans: Plans, left_out: list[SkippedRecording]) -> CutRecordings:
    """Cut long recordings; those whose intervals do not fit are left out."""
    into = CutRecordings()
    for clip in clips:
        try:
            cut(clip, plans, into)
        except BadClip as problem:
            left_out.append(SkippedRecording(clip.name, True, problem.line, problem.reason))
    return into


def _with_labels(clips: Sequence[Clip], config: DataConfig, left_out: list[SkippedRecording]) -> list[Clip]:
    """Return clips with the labels of the data set instead of those of the recordings; others are left out."""
    if not config.class_map and not config.source_classes:
        return [*clips]
    labels, recorded = config.class_labels, config.recorded_classes
    kept = []
    for clip in clips:
        if not 0 <= clip.label < len(labels):
            left_out.append(_no_class(clip.name, clip.label, len(labels), config))
        elif (label := labels[clip.label]) is None:
            reason = f"data.class_map leaves the class {recorded[clip.label]!r} out"
            left_out.append(SkippedRecording(clip.name, False, 0, reason))
        else:
            kept.append(replace(clip, label=label))
    return kept


def _no_class(name: str, label: int, classes: int, config: DataConfig) -> SkippedRecording:
    return SkippedRecording(name, True, 0, f"its class is number {label + 1}, but {config.name} has {classes}")


def _unusable(chunk: Chunk, folder: Path) -> UserError:
    return UserError(
        f"{folder / chunk.file_name}, a part that was already finished, is missing or damaged. "
        f"Delete the folder {folder} and run the same command again."
    )
