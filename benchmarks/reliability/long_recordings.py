"""Join the clips of a prepared store to long recordings with pauses, and write the table of their intervals.

Shows how well clips are found again in recordings whose intervals are known exactly. The clips of a subject and camera
follow each other in random order, twenty to a recording, each after a pause in which the body moves from the last pose
of one clip to the first of the next and stands still. Writes `recordings/`, `intervals.csv` and `long.yaml` into --out.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from last.data import open_store
from last.data.store.reader import Store
from last.utils.errors import UserError
from last.utils.files import make_folder, write_csv, write_text
from last.utils.yaml_text import yaml_of

_NOISE = 0.005  # metres, as that of a depth camera's joints: a pause is not a perfectly straight line
_EXAMPLE = "example: python benchmarks/reliability/long_recordings.py data/nw_ucla --out data/long"

Joints = NDArray[np.float32]


def write_recordings(store: Store, out: Path, options: argparse.Namespace) -> int:
    """Write the recordings, their intervals and a data YAML; return the number of recordings."""
    make_folder(out / "recordings")
    rows: list[list[object]] = []
    written = 0
    for name, clips in _groups(store, options.clips, options.seed):
        joints, intervals = _joined(store, clips, options, written)
        np.savez(out / "recordings" / f"{name}.npz", joints=joints, fps=options.fps)
        for start, stop, label in intervals:
            rows.append([name, f"{start / options.fps:.4f}", f"{stop / options.fps:.4f}", store.classes[label]])
        written += 1
    write_csv(out / "intervals.csv", ["recording", "start", "stop", "label"], rows)
    write_text(out / "long.yaml", yaml_of({"data": _described(store, options)}))
    return written


def _groups(store: Store, size: int, seed: int) -> Iterator[tuple[str, list[int]]]:
    """Yield the name and the clips of each recording: those of one subject and camera in random order."""
    random = np.random.default_rng(seed)
    keys = np.stack([store.clips["subject"], store.clips["camera"]], axis=1)
    for subject, camera in np.unique(keys, axis=0).tolist():
        clips = random.permutation(np.flatnonzero((keys == (subject, camera)).all(axis=1)))
        for number, part in enumerate(np.array_split(clips, max(1, round(len(clips) / size))), start=1):
            yield f"day_P{subject}C{camera}_{number:02d}", part.tolist()


def _joined(
    store: Store, clips: Sequence[int], options: argparse.Namespace, number: int
) -> tuple[Joints, list[tuple[int, int, int]]]:
    """Return the joints (T, V, C) of a recording; first frame, frame after the last, and label of each clip."""
    random = np.random.default_rng((options.seed, number))
    parts: list[Joints] = []
    intervals = []
    frames = 0
    for clip in map(store.__getitem__, clips):
        body = clip.joints[0]
        before = parts[-1][-1] if parts else body[0]
        pause = round(options.fps * random.uniform(options.pause / 2, options.pause))
        share = np.clip(np.linspace(-0.5, 1.5, pause), 0, 1)[:, None, None]  # still, moving, still
        eased = share * share * (3 - 2 * share)
        moved = before + eased * (body[0] - before) + random.normal(0, _NOISE, (pause, *body.shape[1:]))
        parts += [moved.astype(np.float32), body]
        intervals.append((frames + pause, frames + pause + len(body), clip.label))
        frames += pause + len(body)
    return np.concatenate(parts), intervals


def _described(store: Store, options: argparse.Namespace) -> dict[str, object]:
    """Return the data YAML of the recordings: windows, of which those of the last third of the subjects test."""
    subjects = np.unique(store.clips["subject"]).tolist()
    return {
        "name": "long",
        "layout": store.layout,
        "format": "folder",
        "bodies": 1,
        "classes": [*store.classes, "background"],
        "intervals": {"file": "intervals.csv", "cut": "windows", "window": options.window, "stride": options.stride},
        "split": "xsub",
        "protocols": {"xsub": {"by": "subject", "test": subjects[-max(1, len(subjects) // 3) :]}},
        "sampling": {"crop_min": 0.9, "test_crop": 1.0},
        "augment": {"rotation_degrees": [20, 60, 10], "scale": 0.2, "mirror_probability": 0.5},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the recordings; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=_EXAMPLE)
    parser.add_argument("store", type=Path, help="folder of a prepared store of one body, such as data/nw_ucla")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--clips", type=int, default=20, help="clips of a recording (default 20)")
    parser.add_argument("--pause", type=float, default=2.0, help="longest pause in seconds; the shortest is half of it")
    parser.add_argument("--fps", type=float, default=30.0, help="frames per second of the clips (default 30)")
    parser.add_argument("--window", type=float, default=1.0, help="length of a window in seconds (default 1)")
    parser.add_argument("--stride", type=float, default=0.25, help="distance of two windows in seconds (default 0.25)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        written = write_recordings(open_store(options.store), options.out, options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"Wrote {written} recordings, intervals.csv and long.yaml into {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
