"""Write a store as recordings of a common format: a folder of arrays, a table, or a PYSKL file.

Preparing what was written gives the same joints, frame masks, confidences, labels and, except with PYSKL, frame rates.
Frames without any body survive where the frame rate is known, but not in a PYSKL file.

Legend: M bodies, T frames, V joints, C coordinates.
"""

import csv
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...utils.errors import UserError
from ...utils.files import atomic_path, make_folder
from ...utils.names import file_name
from ...utils.progress import SILENT, Progress
from ..store.clip import FULL, MISSING, Clip
from ..store.format import PART_PREFIX, TEST, TRAIN, full_confidence, listed_protocols
from ..store.reader import Store
from .formats.class_folders import read_marks
from .formats.csv_rows import MOST_NUMBERS
from .formats.table_columns import AXES

_SMALLEST = 0.001  # is stored as a confidence of 0; a joint at zero with the confidence 0 would be a missing one
_MOST_ROWS = MOST_NUMBERS // 8  # which the reader of tables accepts


def convert(store: Store, kind: str, out: Path, progress: Progress = SILENT) -> None:
    """Write the clips of a store.

    Args:
        store: the store.
        kind: a key of `WRITERS`.
        out: the folder (of `folder`) or file to write; it must not exist.
        progress: the progress display.

    Raises:
        UserError: `out` exists or cannot be written, or a clip does not fit the format.
    """
    if kind not in WRITERS:
        raise UserError(f"There is no format {kind!r} to convert to. The formats are: {', '.join(WRITERS)}.")
    if out.exists():
        raise UserError(f"{out} exists already: choose another --out, or remove it.")
    make_folder(out.absolute().parent)
    with progress.task("writing clips", len(store)):
        WRITERS[kind](store, out, lambda: progress.advance(1))


def _write_folder(store: Store, out: Path, advance: Callable[[], None]) -> None:
    for name in store.classes:
        if file_name(name) != name:
            raise UserError(f"The class {name!r} cannot be the name of a folder: convert to a table instead.")
    written: set[str] = set()
    for name in store.classes:
        make_folder(out / name)
    for clip in store:
        class_name = store.classes[clip.label]
        path = _clip_path(clip, class_name)
        if path.casefold() in written:
            raise UserError(f"Two clips would be the file {path}: convert to a table instead.")
        written.add(path.casefold())
        make_folder((out / path).parent)
        joints, confidence = _arrays(clip)
        with atomic_path(out / path) as temporary, temporary.open("wb") as file:
            np.savez(file, joints=joints, confidence=confidence, **_timing(clip))
        advance()


def _clip_path(clip: Clip, class_name: str) -> str:
    """Return the path of a clip's file: its name below its class, with marks for what the name does not tell."""
    rest = clip.name.removeprefix(f"{class_name}/")
    parts = [file_name(part) for part in rest.split("/") if part not in ("", ".", "..")] or ["clip"]
    known = {"S": clip.setup, "C": clip.camera, "P": clip.subject, "R": clip.replication}
    marks = read_marks("/".join(parts))
    added = "".join(f"{letter}{number}" for letter, number in known.items() if marks.get(letter, 0) != number)
    return "/".join([class_name, *parts]) + (f"_{added}" if added else "") + ".npz"


def _write_table(store: Store, out: Path, advance: Callable[[], None]) -> None:
    rows = int(store.valid.sum()) * store.skeleton.num_joints
    if rows > _MOST_ROWS:
        raise UserError(
            f"A table of {store.name} would have {rows} rows, more than the {_MOST_ROWS} that are read again: convert "
            "to folder or pyskl instead."
        )
    axes = AXES[: store.skeleton.coordinates]
    about = ("label", "subject", "camera", "setup", "replication", "fps", "time")
    with atomic_path(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["clip", "frame", "body", "joint", *axes, "confidence", *about])
        for clip in store:
            writer.writerows(_table_rows(clip, store))
            advance()


def _table_rows(clip: Clip, store: Store) -> Iterator[list[Any]]:
    """Yield a row for each joint that was measured, and one without coordinates for each frame without a body."""
    timing, names = _timing(clip), store.skeleton.joints
    times = timing.get("times")
    numbers = (clip.subject, clip.camera, clip.setup, clip.replication)
    about = [store.classes[clip.label], *(number or "" for number in numbers), timing.get("fps", "")]
    joints, confidence = _arrays(clip)
    for frame in range(joints.shape[1]):
        ends = [*about, "" if times is None else repr(float(times[frame]))]
        measured = np.argwhere(clip.joint_mask[:, frame]).tolist()
        for body, joint in measured:
            certain = repr(float(confidence[body, frame, joint]))
            yield [clip.name, frame, body, names[joint], *map(str, joints[body, frame, joint]), certain, *ends]
        if not measured:
            yield [clip.name, frame, 0, names[0], *[""] * joints.shape[3], "", *ends]


def _write_pyskl(store: Store, out: Path, advance: Callable[[], None]) -> None:
    annotations = []
    for clip in store:
        _, confidence = _arrays(clip)
        annotation = {
            "frame_dir": clip.name,
            "label": clip.label,
            "total_frames": clip.joints.shape[1],
            "keypoint": np.array(clip.joints),
            "keypoint_score": np.nan_to_num(confidence).astype(np.float32),
        }
        annotations.append(annotation)
        advance()
    split = {}
    for protocol in listed_protocols(store.clips):
        parts = store.clips[PART_PREFIX + protocol]
        for part, letter in (("train", TRAIN), ("val", TEST)):
            split[f"{protocol}_{part}"] = [str(name) for name in store.clips["name"][parts == letter]]
    with atomic_path(out) as temporary, temporary.open("wb") as file:
        pickle.dump({"split": split, "annotations": annotations}, file, protocol=4)


WRITERS: dict[str, Callable[[Store, Path, Callable[[], None]], None]] = {
    "folder": _write_folder,
    "table": _write_table,
    "pyskl": _write_pyskl,
}


def _arrays(clip: Clip) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return joints (M, T, V, C), NaN where one is missing, and confidences (M, T, V) from 0 to 1, NaN likewise."""
    stored = clip.confidence
    if stored is None:
        stored = full_confidence(clip.frame_mask, clip.joints.shape[2])
    missing = stored == MISSING
    joints = np.where(missing[..., None], np.float32(np.nan), clip.joints)
    confidence = np.where(missing, np.nan, (stored.astype(np.float64) - 1) / (FULL - 1))
    confidence[(confidence == 0) & (clip.joints == 0).all(axis=3)] = _SMALLEST
    return joints, confidence


def _timing(clip: Clip) -> dict[str, Any]:
    """Return the frame rate or, if there are frames without a body, which would be left out, the time of each frame."""
    if not clip.fps:
        return {}
    if clip.frame_mask.any(axis=0).all():
        return {"fps": clip.fps}
    return {"times": np.arange(clip.joints.shape[1]) / clip.fps}
