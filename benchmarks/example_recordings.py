"""Write clips of a prepared data set as the recordings that a user may have, to follow docs/your-data.md with them.

    python benchmarks/example_recordings.py data/synthetic table people.csv
    python benchmarks/example_recordings.py data/synthetic long .

`table` is a CSV table of five people, a row for each joint. `long` is one recording of many actions, `day/day.npy`,
with the pauses between them, and the table of its intervals, `intervals.csv`. Clips of two people are left out.
"""

import argparse
import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from last.data.store.clip import Clip
from last.data.store.reader import Store, open_store

_PEOPLE = 5
_FPS, _PAUSE_S = 30, 1.5
_LONG_CLIPS = 240


def table_rows(store: Store) -> Iterator[list[object]]:
    """Yield the rows of a table of the clips of the first five people, a row for each joint in each frame."""
    yield ["clip", "frame", "joint", "x", "y", "z", "confidence", "label", "subject"]
    for clip in of_one_body(store):
        if not 1 <= clip.subject <= _PEOPLE:
            continue
        confidence = np.ones(clip.joints.shape[1:3]) if clip.confidence is None else clip.confidence[0] / 255
        for frame, joints in enumerate(clip.joints[0]):
            for name, point, sure in zip(store.skeleton.joints, joints, confidence[frame], strict=True):
                position = [f"{value:.4f}" for value in point]
                yield [clip.name, frame, name, *position, f"{sure:.2f}", store.classes[clip.label], clip.subject]


def of_one_body(store: Store) -> Iterator[Clip]:
    """Yield the clips of one body."""
    return (clip for clip in store if clip.joints.shape[0] == 1)


def write_long(store: Store, out: Path) -> None:
    """Write one recording of many clips, between which the body moves from the end of one to the start of the next."""
    clips = list(of_one_body(store))
    order = np.random.default_rng(0).permutation(len(clips))[:_LONG_CLIPS]
    pause = round(_PAUSE_S * _FPS)
    parts = [clips[order[0]].joints[0, :1]]
    rows: list[list[object]] = [["recording", "start", "stop", "label"]]
    frame = 1
    for number in order:
        joints, last = clips[number].joints[0], parts[-1][-1]
        share = np.linspace(0, 1, pause, endpoint=False)[:, None, None]
        between = last + share * (joints[0] - last)
        start, stop = frame + pause, frame + pause + len(joints)
        rows.append(["day", f"{start / _FPS:.2f}", f"{stop / _FPS:.2f}", store.classes[clips[number].label]])
        parts += [between, joints]
        frame = stop
    (out / "day").mkdir(parents=True, exist_ok=True)
    np.save(out / "day" / "day.npy", np.concatenate(parts).astype(np.float32))
    write_rows(out / "intervals.csv", rows)


def write_rows(path: Path, rows: Iterable[list[object]]) -> None:
    """Write a CSV table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def main() -> None:
    """Write the chosen recordings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("kind", choices=["table", "long"])
    parser.add_argument("out", type=Path, help="the table, or the folder of the long recording")
    options = parser.parse_args()
    store = open_store(options.store)
    if options.kind == "table":
        write_rows(options.out, table_rows(store))
    else:
        write_long(store, options.out)


if __name__ == "__main__":
    main()
