"""Valid stores, chunks, caches, configurations, runs and checkpoints for the fuzz campaign, and what reads each.

What is imported for one reader alone is imported where it is used, so that a worker's memory is that reader's.
"""

import hashlib
import io
import json
import random
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import fuzz_changes as changes
import numpy as np
from fuzz_changes import Files
from fuzz_recordings import npy, some_joints

# --- what the program writes itself


def store_seeds(folder: Path) -> list[Files]:
    from last.data.store.clip import Clip
    from last.data.store.format import StoreMetadata, pack
    from last.data.store.reader import write_store
    from last.data.store.recordings import Recording, Recordings
    from last.data.store.writer import StoreWriter
    from last.skeleton import load_layout

    seeds: list[Files] = []
    for layout, joints, confidence in (("ntu25", 25, None), ("kinect20", 20, None), ("sbu15", 15, 128)):
        certain = None if confidence is None else np.full((2, 3, joints), confidence, np.uint8)
        clips = [
            Clip(f"c{i}", some_joints(2, 3, joints).astype(np.float32), np.ones((2, 3), bool), i, confidence=certain)
            for i in range(2)
        ]
        write_store(folder / layout, clips, name="tiny", layout=layout, classes=["a", "b"], source={"key": "x"})
        seeds.append({path.name: path.read_bytes() for path in (folder / layout).iterdir()})
    known = Recording("day", 9, 25.0, ((0, 3, 1), (4, 6, -1)))
    recordings = Recordings((known,), 0, are_windows=True, parts=np.array([[0, 0, 3], [0, 3, 6]]))
    metadata = StoreMetadata("tiny", load_layout("sbu15"), ["a", "b"], recordings=recordings)
    with StoreWriter(folder / "long", metadata) as writer:
        writer.append(pack(clips, metadata.layout))
    seeds.append({path.name: path.read_bytes() for path in (folder / "long").iterdir()})
    return seeds


def read_store(folder: Path) -> None:
    from last.data.store.reader import open_store

    for clip in open_store(folder):
        clip.joints.tobytes()
        clip.joint_mask.tobytes()
        clip.name.encode()


def repair_store(files: dict[str, bytes]) -> None:
    try:
        header = json.loads(files["store.json"])
        for name in (name for name in files if name.endswith(".npy")):
            header["files"][name] = {"bytes": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}
    except (ValueError, TypeError, LookupError):
        return
    files["store.json"] = json.dumps(header).encode()


def report_seeds(_: Path) -> list[Files]:
    from dataclasses import asdict

    from last.data.preparation.report import PreparationReport, SkippedRecording

    report = PreparationReport("tiny", "raw", "out", 3, 100)
    report.left_out, report.ignored = [SkippedRecording("c", True, 3, "is broken")], ["d"]
    report.classes, report.parts = [{"class": "a", "clips": 1}], {"xsub": {"train": 1, "test": 1}}
    return [{"report.json": json.dumps(asdict(report)).encode()}]


def read_report(folder: Path) -> None:
    from last.data.preparation.report import load_report

    report = load_report(folder)
    report.text().encode()
    report.summary()


def _chunk() -> Any:
    from last.data.preparation.chunks import Chunk

    return Chunk(0, (), "0" * 64)


def chunk_seeds(_: Path) -> list[Files]:
    from last.data.store.clip import Clip
    from last.data.store.format import pack
    from last.skeleton import load_layout

    clip = Clip("one", some_joints(2, 3, 25).astype(np.float32), np.ones((2, 3), bool), 0)
    notes = {"left_out": [["two", True, 3, "is broken"]], "unselected": 1, "copied": ["three"]}
    notes |= {"crowded": {"one": 1}, "retimed": {"one": "1 gap"}}
    seeds: list[Files] = []
    for clips in ([clip], []):
        buffer = io.BytesIO()
        rows = pack(clips, load_layout("ntu25"))
        arrays = {name: array for name, array in rows._asdict().items() if array is not None}
        np.savez(buffer, notes=np.frombuffer(json.dumps(notes).encode(), np.uint8), **arrays)
        seeds.append({_chunk().file_name: buffer.getvalue()})
    return seeds


def read_chunk(folder: Path) -> None:
    from last.data.preparation.chunks import is_finished, kept_names, kept_notes, kept_rows

    is_finished(_chunk(), folder)
    str(kept_notes(_chunk(), folder).damaged).encode()
    kept_rows(_chunk(), folder).joints.tobytes()
    kept_names(_chunk(), folder).tolist()


def _cache(folder: Path) -> Any:
    from last.distillation.cache import OutputFolder

    return OutputFolder(folder, {"teachers": ["x"], "draws": 2}, (3, 2, 4))


def cache_seeds(_: Path) -> list[Files]:
    outputs = npy(np.arange(24, dtype=np.float32).reshape(3, 2, 4))
    key, digest = {"teachers": ["x"], "draws": 2}, hashlib.sha256(outputs).hexdigest()
    whole = json.dumps({"key": key, "sha256": digest}).encode()
    begun = json.dumps({"key": key, "batches": 1}).encode()
    return [{"outputs.npy": outputs, "outputs.json": whole}, {"outputs.npy": outputs, "progress.json": begun}]


def read_cache(folder: Path) -> None:
    cache = _cache(folder)
    if cache.is_complete:
        cache.check()
        cache.open().numpy().tobytes()
    else:
        outputs, _ = cache.begin(3)
        outputs.tobytes()


def repair_cache(files: dict[str, bytes]) -> None:
    try:
        header = json.loads(files["outputs.json"])
        header["sha256"] = hashlib.sha256(files["outputs.npy"]).hexdigest()
    except (ValueError, TypeError, LookupError):
        return
    files["outputs.json"] = json.dumps(header).encode()


def read_ignore_list(folder: Path) -> None:
    from last.data.preparation.ignore_list import read_ignore_list

    read_ignore_list(folder / "names.txt")


# --- configurations, runs, checkpoints


DATA_YAML = b"""data:
  name: tiny
  format: folder
  classes: [first, second, 'no', 010]
  layout: own.yaml
  bodies: 2
  select: {setups: [1, 2], actions: [1]}
  protocols:
    xsub: {by: subject, train: [1, 2]}
    own: {by: file, test_share: 0.25}
"""
LAYOUT_YAML = b"""joints: [hip, neck, left, right]
bones: [[1, 2], [3, 2], [4, 2]]
root: 2
center: 1
mirror: [[3, 4]]
"""
RECIPE_YAML = b"""# a recipe
epochs: 5
batch_size: 16
learning_rate: 1e-2
model: {name: nano_e, family: last_e, channels: [8, 8, 8], blocks: [1, 1, 1], dropout: 0.1}
nan_guard: {max_consecutive: 20, bn_recovery: reset}
data: {split: xsub, augment: {rotation: 0.3}}
checkpoint:
  keep: 2
  every_minutes: 10
"""


def read_data_yaml(folder: Path) -> None:
    from last.cli.preprocess import _data_config

    config = _data_config(str(folder / "d.yaml"), [])
    str(config.skeleton)
    list(config.protocols)


def read_recipe(folder: Path) -> None:
    from last.experiments.config import resolve
    from last.utils.config import to_yaml

    to_yaml(resolve(model="nano_e", dataset="ntu60", environment="local", recipe=str(folder / "r.yaml"))).encode()


def _trained(folder: Path) -> Path:
    """Return the folder of a run that was trained in a second."""
    from faults_runs import ACCUMULATING, arguments, finished_run, prepare_data

    from last.cli import main

    data = prepare_data(folder)
    with redirect_stdout(io.StringIO()):
        main([*arguments(ACCUMULATING, data, folder / "runs"), "--quiet"])
    return finished_run(folder / "runs").path


def run_seeds(folder: Path) -> list[Files]:
    run = _trained(folder)
    names = ("config.yaml", "metrics.jsonl", "summary.json", "confusion.csv")
    files = {name: (run / name).read_bytes() for name in names if (run / name).exists()}
    return [{f"run-2026-11-26/{name}": content for name, content in files.items()}]


def read_run(folder: Path) -> None:
    from last.runs.confusion import read_confusion
    from last.runs.history import find_runs

    for run in find_runs(folder):
        repr(run).encode("utf-8", "backslashreplace")
        "".join(run.problems).encode()
        read_confusion(run.path / "confusion.csv")


def checkpoint_seeds(folder: Path) -> list[Files]:
    return [{"last.pth": (_trained(folder) / "checkpoints" / "last.pth").read_bytes()}]


def read_checkpoint(folder: Path) -> None:
    from last.models import registry  # noqa: F401 - registers the families
    from last.runs.checkpoint import read_checkpoint

    checkpoint = read_checkpoint(folder / "last.pth")
    str(checkpoint.progress)


def checkpoint_value(choice: random.Random, data: bytes) -> bytes:
    """Replace one value in a checkpoint, and correct its checksum."""
    import torch

    from last.runs.checkpoint import _KEYS, _checksum

    try:
        values = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        content = changes.replaced(choice, {name: values[name] for name in _KEYS if name in values})
        if isinstance(content, dict):
            values = {**{name: value for name, value in values.items() if name not in _KEYS}, **content}
            values["checksum"] = _checksum(content)
        else:
            values = content
        buffer = io.BytesIO()
        torch.save(values, buffer)
    except Exception:  # a change that cannot be written is skipped
        return changes.flip(choice, data)
    return buffer.getvalue()


def ignore_list_seeds(_: Path) -> list[Files]:
    """Return a list of names."""
    return [{"names.txt": b"# names\nS001C002P003R002A013\nS001C002P003R002A014.skeleton\n"}]


def data_yaml_seeds(_: Path) -> list[Files]:
    """Return a data set with a layout of its own."""
    return [{"d.yaml": DATA_YAML, "own.yaml": LAYOUT_YAML}]


def recipe_seeds(_: Path) -> list[Files]:
    """Return a recipe."""
    return [{"r.yaml": RECIPE_YAML}]
