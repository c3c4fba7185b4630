"""Prepare a data set: read its raw recordings on all cores and write them as one store.

Recordings are read in chunks, each saved as one file in `<out>/.partial` until the store is written. A run
that was killed and is started again reads only the missing chunks. The order of the clips, and so every byte
of the arrays, depends only on the recordings.
"""

import hashlib
import json
import logging
import shutil
import time
from collections import Counter
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ...settings.data import DataConfig
from ...utils.errors import UserError
from ...utils.files import make_folder
from ...utils.locks import sole_writer
from ...utils.machine import usable_cores
from ...utils.names import alike
from ...utils.numbers import counted
from ...utils.program import naming_program
from ...utils.progress import SILENT, Progress
from ...utils.worker_pool import work_in_order
from ..store.format import CHUNK_FOLDER, HEADER_FILE, StoreMetadata, index_type, with_parts
from ..store.protocols import divide
from ..store.reader import open_store
from ..store.recordings import Recordings, with_recordings
from ..store.writer import StoreWriter
from .advice import damaged, left_out, nothing_kept, protocol_hint
from .chunks import (
    Chunk,
    cut_into_chunks,
    is_finished,
    kept_names,
    kept_notes,
    kept_rows,
    read_chunk,
    remove_other_files,
)
from .formats import Entry, ListsProtocols, NamesClasses, Reader, Source, get_reader, reader_of
from .ignore_list import named_recordings
from .intervals.cutting import MERGED, recordings_in_store
from .intervals.plans import Plans, read_plans, table_of, without_plan
from .report import PreparationReport, SkippedRecording, load_report

_logger = logging.getLogger(__name__)
_HALF_WRITTEN = ".*.[0-9]*.tmp"  # temporary files of the store and its report, of any process
_LOST_READER = (
    "A reading process ended unexpectedly, perhaps because there was not enough memory. Run the same command "
    "again with fewer --workers; finished chunks are kept."
)


class OtherRecordings(UserError):
    """The folder holds a store that was made from other recordings, or with other rules."""


@dataclass(frozen=True)
class _Job:
    """The input and output of one preparation."""

    config: DataConfig
    out: Path
    chunks: Sequence[Chunk]
    protocols: Mapping[str, Mapping[str, Collection[str]]]
    may_be_partial: bool
    plans: Plans | None = None

    @property
    def partial(self) -> Path:
        """Return the folder of the finished chunks."""
        return self.out / CHUNK_FOLDER

    def key(self) -> str:
        """Return a hash of the recordings, rules and class names that determine the store."""
        content = [self.config.name, self.config.classes, [chunk.key for chunk in self.chunks]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def preprocess(
    config: DataConfig,
    raw: Path,
    out: Path,
    *,
    workers: int = 0,
    strict: bool = False,
    ignore: Collection[str] = (),
    overwrite: bool = False,
    partial: bool = False,
    elsewhere: Collection[Path] = (),
    tables: Sequence[Path] = (),
    progress: Progress = SILENT,
) -> PreparationReport:
    """Read the recordings below `raw` and write them as the store `out`, with a report beside it.

    Args:
        config: the data set.
        raw: the folder (or archive) of raw recordings.
        out: the store's folder. A finished store of the same input is left unchanged.
        workers: number of reading processes; 0 for one per core, 1 to read in this process.
        strict: stop at the first damaged recording instead of leaving it out.
        ignore: names of recordings to leave out, or the lines of a list; see `ignore_list`.
        overwrite: replace a finished store of any input.
        elsewhere: folders of other stores; if one was made from the same input, no store is written.
        partial: write the store even if no protocol has clips in both parts, such as a sample of a known data set.
        tables: the tables of `data.intervals`; by default its `file`, relative to the current folder.
        progress: the progress display.

    Returns:
        The report: what was kept, what was left out, and why.

    Raises:
        UserError: there is nothing to read, everything is left out, the clips cannot be trained on, `out` holds the
            store of another input or cannot be written, or `strict` is set and a recording is damaged.
    """
    began = time.monotonic()
    _check(config)
    if config.intervals.file and not tables:
        tables = table_of(config)
    found, entries, listed = _find(config, raw, ignore, tables)
    plans = read_plans(config, tables, found) if tables else None
    used, unnamed = _planned(entries, plans)
    job = _Job(config, out, cut_into_chunks(used, config, plans), _listed_protocols(config, raw), partial, plans)
    own = (out / HEADER_FILE).exists()
    same = [] if own else [folder for folder in elsewhere if _has_same_input(job, folder)]
    if (own or same) and not overwrite:
        return _prepared_before(job if own else replace(job, out=same[0]), strict, saves=own)
    report = PreparationReport(config.name, str(raw), str(out), len(found), sum(each.size for each in found))
    report.ignored = sorted({entry.name for entry in found} - {entry.name for entry in entries})
    report.ignore_list, report.left_out = listed, unnamed
    with sole_writer(make_folder(out), _second_writer(out), removes=True):
        if (out / HEADER_FILE).exists() and not overwrite:  # another process has just finished it
            return _prepared_before(job, strict, saves=True)
        _clear_leftovers(job)
        report.read_bytes = _read_missing(job, workers, strict, progress)
        _write(job, report, began, progress)
        # The store is complete; chunks that cannot be removed do no harm.
        shutil.rmtree(job.partial, ignore_errors=True)
    return report


def _planned(entries: Sequence[Entry], plans: Plans | None) -> tuple[list[Entry], list[SkippedRecording]]:
    """Return the recordings that have intervals, and those that have none, for which one warning is given."""
    used = [entry for entry in entries if plans is None or entry.name in plans.of]
    unnamed = sorted({entry.name for entry in entries} - {entry.name for entry in used})
    if unnamed:
        _logger.warning("%s", without_plan(unnamed))
    return used, [SkippedRecording(name, False, 0, "no row of the intervals names it") for name in unnamed]


def _check(config: DataConfig) -> None:
    if not config.classes:
        raise UserError(f"The data set {config.name!r} names no classes: give data.classes.")
    _ = config.joint_map, config.class_labels  # refused if they are wrong
    has_names = bool(config.intervals.file) or not config.class_map or bool(config.source_classes)
    if not has_names and not isinstance(reader_of(config), NamesClasses):
        raise UserError(
            f"Recordings of the format {config.format} have numbers for their classes, so data.class_map also needs "
            "data.source_classes, the names of these classes in the order of their numbers."
        )
    for first, other in alike(config.classes):
        _logger.warning(
            "The classes %r and %r differ only in case or accents. If they are the same, list one of them in "
            "data.classes and map the other: class_map: {%s: %s}.", first, other, other, first,
        )  # fmt: skip
    for protocol in config.protocols:  # before reading, which may take an hour
        divide(np.zeros(0, index_type(1)), config, protocol)


def _find(
    config: DataConfig, raw: Path, ignore: Collection[str], tables: Sequence[Path]
) -> tuple[Sequence[Entry], list[Entry], int]:
    """Return all recordings below `raw`, those that are not on the ignore list, and how many names are on it."""
    if not raw.exists():
        raise UserError(f"There is no raw folder {raw}.\n{naming_program(config.how_to_get)}".strip())
    found = reader_of(config, tables).entries(raw)
    ignored, listed = named_recordings(ignore, [entry.name for entry in found])
    entries = [entry for entry in found if entry.name not in ignored]
    if not found:
        raise UserError(
            f"No recording of the format {config.format} is in {raw}.\n{naming_program(config.how_to_get)}".strip()
        )
    if ignore and not listed:
        raise UserError("No line of the ignore list names a recording. It should have one name per line.")
    if not entries:
        are = "is" if len(found) == 1 else "are"
        raise UserError(f"All {counted(len(found), 'recording')} below {raw} {are} on the ignore list.")
    return found, entries, listed


def _has_same_input(job: _Job, folder: Path) -> bool:
    """Tell whether a folder holds a finished store of the same input."""
    try:
        return bool(open_store(folder, verify=False).source.get("key") == job.key())
    except UserError:
        return False


def _prepared_before(job: _Job, strict: bool, saves: bool) -> PreparationReport:
    """Return the report of a finished store of the same input; with `saves`, save it if it has changed.

    Raises:
        OtherRecordings: the store was made from another input.
    """
    store = open_store(job.out)
    if store.source.get("key") != job.key():
        raise OtherRecordings(
            f"{job.out} holds a finished store made from other recordings or with other rules. Choose another "
            "folder with --out, or replace that store with --overwrite."
        )
    report = load_report(job.out)
    before = report.text()
    report.count(store.clips, job.config, _hint(job))  # protocols can change while the store stays the same
    _refuse_useless(job, report)
    if saves and report.text() != before:
        try:
            report.save(job.out)
        except UserError as error:
            _logger.warning("The report in the store's folder is not updated. %s", error)
    if strict and report.damaged:
        raise damaged(str(report.damaged[0]))
    report.out = str(job.out)  # its present location, since stores are moved and mounted
    return report


def _second_writer(out: Path) -> str:
    return (
        f"Another process is preparing {out}, and two processes cannot write one store. Wait until it has ended "
        "and run the same command again, or choose another folder with --out."
    )


def _clear_leftovers(job: _Job) -> None:
    """Remove files of earlier runs that this run does not need; the lock excludes other writers."""
    make_folder(job.partial)
    remove_other_files(job.partial, job.chunks)
    for path in job.out.glob(_HALF_WRITTEN):
        path.unlink()


def _read_missing(job: _Job, workers: int, strict: bool, progress: Progress) -> int:
    """Read the missing chunks and return the size of their recordings in bytes."""
    missing = [chunk for chunk in job.chunks if not is_finished(chunk, job.partial)]
    total = sum(len(chunk.entries) for chunk in job.chunks)
    before = total - sum(len(chunk.entries) for chunk in missing)
    if before:
        _logger.info("%d of %s were read by an earlier run.", before, counted(total, "recording"))
    left_out = 0
    with (
        closing(_read_in_order(job, missing, workers)) as chunks,
        progress.task("reading recordings", total, before=before),
    ):
        for chunk in chunks:
            notes = kept_notes(chunk, job.partial)
            if strict and notes.damaged:
                raise damaged(str(min(notes.damaged)))
            left_out += len(notes.left_out)
            progress.advance(len(chunk.entries), f"{left_out} left out" if left_out else "")
    return sum(chunk.size for chunk in missing)


def _read_in_order(job: _Job, chunks: Sequence[Chunk], workers: int) -> Generator[Chunk, None, None]:
    """Read chunks in this process or in workers; yield each chunk once it and all chunks before it are done."""
    workers = min(workers or usable_cores(), len(chunks))
    if workers <= 1:
        reader = reader_of(job.config)
        for chunk in chunks:
            read_chunk(chunk, job.config, reader, job.partial)
            yield chunk
        return
    work = partial(_work, config=job.config, folder=job.partial)
    yield from work_in_order(work, chunks, workers, _LOST_READER)


def _write(job: _Job, report: PreparationReport, began: float, progress: Progress) -> None:
    """Write the chunks as one store, and complete and save the report."""
    recordings = _gather(job, report)
    joint_map = job.config.joint_map
    if joint_map is not None:
        report.mapped, report.missing_joints = f"{joint_map.source.name} to {job.config.layout}", [*joint_map.missing]
    for remark in report.remarks(expected=job.config.layout_map):
        _logger.warning("%s", remark)
    names = [str(name) for chunk in job.chunks for name in kept_names(chunk, job.partial)]
    if not names:
        raise nothing_kept(report, job.config)
    if recordings is not None:  # the parts of a protocol are lists of recordings
        names = [recordings.all[number].name for number in recordings.parts[:, 0]]
    source: dict[str, Any] = {"raw": report.raw, "format": job.config.format, "key": job.key()}
    if joint_map is not None:
        source["joint_map"] = joint_map.facts()
    protocols = _letters(job.protocols, names)
    metadata = StoreMetadata(job.config.name, job.config.skeleton, job.config.classes, source, protocols, recordings)
    total = sum(len(chunk.entries) for chunk in job.chunks)
    with StoreWriter(job.out, metadata) as writer, progress.task("writing the store", total):
        for chunk in job.chunks:
            rows = kept_rows(chunk, job.partial)
            writer.append(rows)
            report.count_joints(rows)
            progress.advance(len(chunk.entries))
        clips = with_recordings(with_parts(writer.clips(), metadata.protocols), recordings)
        report.count(clips, job.config, _hint(job))
        _refuse_useless(job, report)
        report.seconds = round(time.monotonic() - began, 3)
        report.save(job.out)


def _gather(job: _Job, report: PreparationReport) -> Recordings | None:
    """Add what was noted of the chunks to the report, and return the long recordings, if they are such."""
    copied: list[str] = []
    parts = []
    for chunk in job.chunks:
        notes = kept_notes(chunk, job.partial)
        report.left_out += notes.left_out
        report.unselected += notes.unselected
        copied += notes.copied
        report.crowded |= notes.crowded
        report.retimed |= notes.retimed
        parts += [notes.cut] if notes.cut is not None else []
    if copied:
        _logger.warning("%d damaged recordings were read from a copy. The first: %s.", len(copied), copied[0])
    if job.plans is None:
        return None
    counts = sum((each.counts for each in parts), Counter({MERGED: job.plans.merged}))
    report.cut = {what: number for what, number in sorted(counts.items()) if number}
    are_windows = job.config.intervals.cut == "windows"
    found = recordings_in_store(parts, job.plans.background, are_windows=are_windows)
    report.recordings = len(found.all)
    return found


def _listed_protocols(config: DataConfig, raw: Path) -> Mapping[str, Mapping[str, Collection[str]]]:
    """Return the protocols listed in the recordings, as names of entries.

    A protocol with the name of one of the data set is renamed to NAME_file.
    """
    reader = reader_of(config)
    listed = reader.protocols(raw) if isinstance(reader, ListsProtocols) else {}
    return {f"{name}_file" if name in config.protocols else name: parts for name, parts in listed.items()}


def _letters(protocols: Mapping[str, Mapping[str, Collection[str]]], names: Sequence[str]) -> dict[str, str]:
    """Return each protocol as one letter per clip, in the order of `names`."""
    return {
        protocol: "".join("T" if name in parts["train"] else "E" if name in parts["test"] else "-" for name in names)
        for protocol, parts in protocols.items()
    }


def _refuse_useless(job: _Job, report: PreparationReport) -> None:
    """Refuse clips on which the default protocol, or no protocol at all, can be trained."""
    problem = report.untrainable(job.config.split)
    if problem and not job.may_be_partial:
        stays = f" The finished store in {job.out} is left unchanged." if (job.out / HEADER_FILE).exists() else ""
        refusal = f"{problem} No store is written. To write it anyway, use --partial.{stays}"
        raise UserError("\n".join([*report.warnings, *left_out(report), refusal]))


def _hint(job: _Job) -> str:
    return protocol_hint(reader_of(job.config), (entry.name for chunk in job.chunks for entry in chunk.entries))


def _work(chunk: Chunk, config: DataConfig, folder: Path) -> None:
    read_chunk(chunk, config, _worker_reader(config.format, Source.of(config)), folder)


@cache
def _worker_reader(format_name: str, source: Source) -> Reader:
    """Return the reader of this worker, which may keep an archive open."""
    return get_reader(format_name, source)
