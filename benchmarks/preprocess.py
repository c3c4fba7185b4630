"""Raw NTU text to a store: megabytes per second that preprocessing reads, with all cores.

The recordings are generated, a few dozen of them, in the size of real ones, and copied under the names of NTU RGB+D 60.
They have just been written, so they lie in the system's cache: the work is measured, not the disk. The
reference reads a sample of the same files in one process, line by line, with `float()` for every number.
"""

import statistics
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from last.data.preparation.preprocess import preprocess
from last.data.preparation.report import PreparationReport
from last.data.store.reader import open_store
from last.data.synthetic.dataset import generate, plan, skeleton_text
from last.data.synthetic.recording import TrackedBody
from last.utils.machine import usable_cores
from last.utils.progress import Progress

from .content import ntu60, planned_clips
from .measure import seconds, spread
from .memory import TreeMemory
from .report import Result, Table, spread_columns

_DISTINCT = 36
_KILOBYTES = 300  # of a real recording: 17 GB in 56,880 files
# Generated recordings have no orientations; these are digits as real ones have.
_ORIENTATION, _WRITTEN_OUT = " 1 0 0 0 ", " 0.2059419 -0.05349901 0.9692109 -0.1239193 "
_CPU = torch.device("cpu")
_COLUMNS = {
    "way": "{way}",
    "processes": "{processes}",
    "files": "{files}",
    "MB": "{megabytes:.1f}",
    **spread_columns("s", "seconds"),
    "MB/s": "{megabytes_per_second:.1f}",
    "files/s": "{files_per_second:.1f}",
}


@dataclass(frozen=True)
class Recordings:
    """Raw files in a folder."""

    folder: Path
    names: Sequence[str]
    size: int

    def files(self) -> list[Path]:
        """Return the paths of all files."""
        return [self.folder / f"{name}.skeleton" for name in self.names]


def measure(arguments: Namespace, progress: Progress) -> Result:
    """Read generated recordings with the reference and with ours, alternately."""
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        recordings = write_recordings(Path(folder) / "raw", arguments.files, arguments.seed, progress)
        sample = recordings.files()[: arguments.sample]
        sample_size = sum(path.stat().st_size for path in sample)
        taken: dict[str, list[float]] = {"plain": [], "ours": []}
        reports: list[PreparationReport] = []
        exact, peak = True, None
        for turn in range(arguments.repeats):
            taken["plain"].append(seconds(lambda: [read_plainly(path) for path in sample], _CPU))
            out = Path(folder) / f"store-{turn}"
            with TreeMemory() as memory:
                taken["ours"].append(seconds(lambda: reports.append(_prepare(recordings, out, arguments)), _CPU))  # noqa: B023
            peak = max(filter(None, (peak, memory.peak_mib)), default=None)
            kept = open_store(out).clips["name"].tolist()
            exact &= sorted(kept) == sorted(recordings.names) and reports[-1].kept == arguments.files
    rows = [
        _row("plain", 1, len(sample), sample_size, taken["plain"]),
        _row("ours", arguments.workers or usable_cores(), arguments.files, recordings.size, taken["ours"]),
    ]
    summary = {
        "megabytes_per_second": rows[1]["megabytes_per_second"],
        "times_as_fast": statistics.median(
            theirs / sample_size * recordings.size / ours
            for theirs, ours in zip(taken["plain"], taken["ours"], strict=True)
        ),
        "kept": reports[-1].kept,
        "ids_exact": exact,
        "peak_memory_mib": peak,
    }
    remarks = [
        f"{summary['times_as_fast']:.1f} times as fast as the plain reader, which stores nothing and uses one core.",
        "Every recording was kept under its own name." if exact else "NOT every recording was kept under its own name.",
        f"All processes, including this one, used at most {peak:.0f} MiB."
        if peak
        else "The memory use is not known on this system.",
        "The files had just been written, so they were read from the system's cache.",
    ]
    return Result([Table("rows", "raw NTU text to a store", _COLUMNS, rows)], summary, remarks)


def write_recordings(folder: Path, count: int, seed: int, progress: Progress) -> Recordings:
    """Write `count` recordings of real size, a few dozen of them different, under names of NTU RGB+D 60."""
    folder.mkdir()
    texts = _texts(min(count, _DISTINCT), seed)
    names = [clip.name for clip in planned_clips(count, list(range(1, 41)))]
    with progress.task("writing recordings", count, "files"):
        for number, name in enumerate(names):
            (folder / f"{name}.skeleton").write_bytes(texts[number % len(texts)])
            progress.advance()
    return Recordings(folder, names, sum(len(texts[number % len(texts)]) for number in range(count)))


def _texts(count: int, seed: int) -> list[bytes]:
    """Return recordings as raw text that are as long as real ones on average."""
    scenes = [generate(plan(number), number, seed) for number in range(count)]
    size = sum(len(_written(bodies)) for bodies in scenes) / count
    return [_written(_lengthened(bodies, 1000 * _KILOBYTES / size)) for bodies in scenes]


def _written(bodies: Sequence[TrackedBody]) -> bytes:
    return skeleton_text(bodies).replace(_ORIENTATION, _WRITTEN_OUT).encode("ascii")


def _lengthened(bodies: Sequence[TrackedBody], factor: float) -> list[TrackedBody]:
    """Play a recording backwards from its end until it has `factor` times the frames, at most twice as many."""
    frames = 1 + max(int(body.frames[-1]) for body in bodies)
    lengthened = []
    for body in bodies:
        back = 2 * frames - 1 - body.frames[::-1]
        back = back[back < factor * frames]
        order = np.concatenate([np.arange(len(body.frames)), np.arange(len(body.frames))[::-1][: len(back)]])
        lengthened.append(
            replace(
                body,
                frames=np.concatenate([body.frames, back]),
                joints=body.joints[order],
                states=body.states[order],
            )
        )
    return lengthened


def read_plainly(path: Path) -> dict[int, NDArray[np.float64]]:
    """Return the joints (T, V, 3) of each body of a recording, read in the most direct way."""
    bodies: dict[int, list[list[list[float]]]] = {}
    with path.open(encoding="ascii") as file:
        for _ in range(int(file.readline())):
            for _ in range(int(file.readline())):
                identity = int(file.readline().split()[0])
                rows = [[float(text) for text in file.readline().split()] for _ in range(int(file.readline()))]
                bodies.setdefault(identity, []).append([row[:3] for row in rows])
    return {identity: np.array(frames) for identity, frames in bodies.items()}


def _prepare(recordings: Recordings, out: Path, arguments: Namespace) -> PreparationReport:
    return preprocess(ntu60(), recordings.folder, out, workers=arguments.workers, partial=True)


def _row(way: str, processes: int, files: int, size: int, taken: Sequence[float]) -> dict[str, object]:
    middle = statistics.median(taken)
    return {
        "way": way,
        "processes": processes,
        "files": files,
        "megabytes": size / 1e6,
        "seconds": spread(taken),
        "megabytes_per_second": size / 1e6 / middle,
        "files_per_second": files / middle,
    }
