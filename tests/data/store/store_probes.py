"""What the tests of stores share: clips, a store of two of them, and how a store is falsified."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from last.data.store.clip import Clip, confidence_bytes
from last.data.store.reader import Store, write_store
from last.utils.files import file_checksum

CLASSES = ["wave", "walk", "sit down"]


def make_clip(name: str = "a", bodies: int = 1, frames: int = 2, label: int = 0, seed: int = 0) -> Clip:
    random = np.random.default_rng(seed)
    valid = random.random((bodies, frames)) < 0.8
    valid[0, 0] = True
    joints = random.normal(size=(bodies, frames, 25, 3)).astype(np.float32) * valid[..., None, None]
    return Clip(name, joints, valid, label, subject=7, camera=2, setup=5, replication=1)


def write(path: Path, *clips: Clip) -> Store:
    return write_store(path, clips, name="tiny", layout="ntu25", classes=CLASSES, source={"raw": "here"})


def assert_same(found: Clip, expected: Clip) -> None:
    for field in ("name", "label", "subject", "camera", "setup", "replication"):
        assert getattr(found, field) == getattr(expected, field)
    np.testing.assert_array_equal(found.joints, expected.joints)
    np.testing.assert_array_equal(found.frame_mask, expected.frame_mask)


@pytest.fixture
def store_folder(tmp_path: Path) -> Path:
    clips = [make_clip("first", 2, 3, label=1), make_clip("second", 1, 4, label=2, seed=1)]
    return write(tmp_path / "store", *clips).path


def with_confidence(clip: Clip, seed: int = 0) -> Clip:
    certain = np.random.default_rng(seed).random(clip.joints.shape[:3])
    confidence = confidence_bytes(np.where(certain < 0.3, np.nan, certain))
    confidence[~clip.frame_mask] = 0
    confidence[..., 0] = np.where(clip.frame_mask, 255, 0)
    return replace(clip, confidence=confidence, joints=np.where(confidence[..., None] > 0, clip.joints, 0), fps=29.97)


def change_header(folder: Path, **values: object) -> None:
    header = json.loads((folder / "store.json").read_text(encoding="utf-8"))
    (folder / "store.json").write_text(json.dumps({**header, **values}), encoding="utf-8")


def forge(folder: Path, file: str, array: np.ndarray, allow_pickle: bool = False) -> None:
    """Replace an array together with its recorded size and checksum, as an attacker would."""
    np.save(folder / file, array, allow_pickle=allow_pickle)
    header = json.loads((folder / "store.json").read_text(encoding="utf-8"))
    header["files"][file] = {"bytes": (folder / file).stat().st_size, "sha256": file_checksum(folder / file)}
    change_header(folder, **header)
