"""A store that is written as recordings and prepared again is the same."""

from pathlib import Path

import numpy as np
import pytest

from last.cli import main
from last.data import open_store
from last.data.preparation.convert import WRITERS
from last.data.preparation.preprocess import preprocess
from last.data.store.clip import Clip
from last.data.store.reader import Store, write_store
from last.settings.data import DataConfig, ProtocolConfig

CLASSES = ["clap", "a wave"]


def a_clip(number: int, fps: float = 0.0, gap: bool = False) -> Clip:
    """Return a clip of two bodies with missing and uncertain joints, as a reader would centre it."""
    random = np.random.default_rng(number)
    joints = random.normal(size=(2, 6, 17, 3)).astype(np.float32)
    joints[0, 0, 0] = 0
    confidence = random.integers(1, 256, size=(2, 6, 17)).astype(np.uint8)
    confidence[0, 0, 0] = 1
    confidence[:, 1:, 3:5] = 0
    confidence[1, 2:4] = 0
    if gap:
        confidence[:, 3] = 0
    joints[confidence == 0] = 0
    about = {"subject": 3, "camera": 1, "setup": 2, "replication": 4} if number % 2 else {}
    name = f"{CLASSES[number % 2]}/take{number}_P003"
    return Clip(name, joints, (confidence > 0).any(2), number % 2, fps=fps, confidence=confidence, **about)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    clips = [a_clip(0), a_clip(1, fps=29.97), a_clip(2, fps=29.97, gap=True), a_clip(3, fps=1 / 3 + 1)]
    return write_store(
        tmp_path / "store", sorted(clips, key=lambda clip: clip.name), name="mine", layout="coco17", classes=CLASSES
    )


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_written_is_prepared_to_the_same_bits(kind: str, store: Store, tmp_path: Path) -> None:
    out = tmp_path / {"folder": "raw", "table": "raw.csv", "pyskl": "raw.pkl"}[kind]
    assert main(["convert", str(store.path), "--to", kind, "--out", str(out)]) == 0
    protocols = {"own": ProtocolConfig(by="file")}
    config = DataConfig(name="mine", layout="coco17", format=kind, classes=CLASSES, split="own", protocols=protocols)
    preprocess(config, out, tmp_path / "again", workers=1, strict=True)
    again = {clip.name.partition("_P003")[0]: clip for clip in open_store(tmp_path / "again")}
    assert len(again) == len(store)
    for clip in store:
        found = again[clip.name.partition("_P003")[0]]
        kept = np.ones(clip.joints.shape[1], bool) if kind != "pyskl" else clip.frame_mask.any(axis=0)
        np.testing.assert_array_equal(found.joints, clip.joints[:, kept])
        np.testing.assert_array_equal(found.frame_mask, clip.frame_mask[:, kept])
        np.testing.assert_array_equal(found.confidence, clip.confidence[:, kept])  # type: ignore[index]
        assert found.label == clip.label
        if kind != "pyskl":
            numbers = ("subject", "camera", "setup", "replication", "fps")
            assert [getattr(found, each) for each in numbers] == [getattr(clip, each) for each in numbers]


def test_an_unknown_person_stays_unknown_in_a_table(tmp_path: Path) -> None:
    joints = np.ones((1, 2, 17, 3), np.float32)
    clips = [Clip(f"c{subject}", joints, np.ones((1, 2), bool), 0, subject=subject) for subject in (0, 2)]
    write_store(tmp_path / "store", clips, name="mine", layout="coco17", classes=CLASSES)
    assert main(["convert", str(tmp_path / "store"), "--to", "table", "--out", str(tmp_path / "raw.csv")]) == 0
    protocols = {"own": ProtocolConfig(by="file")}
    config = DataConfig(name="mine", layout="coco17", format="table", classes=CLASSES, split="own", protocols=protocols)
    preprocess(config, tmp_path / "raw.csv", tmp_path / "again", workers=1, strict=True)
    assert [(clip.name, clip.subject) for clip in open_store(tmp_path / "again")] == [("c0", 0), ("c2", 2)]


def test_what_exists_is_not_overwritten(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "raw").mkdir()
    assert main(["convert", str(store.path), "--to", "folder", "--out", str(tmp_path / "raw")]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../../escape", "/root/escape", "a\\..\\b", "x/../../../y", ".hidden", "a:b\n"])
def test_a_name_with_separators_stays_inside_the_folder(name: str, tmp_path: Path) -> None:
    joints = np.ones((1, 2, 17, 3), np.float32)
    clip = Clip(name, joints, np.ones((1, 2), bool), 0)
    write_store(tmp_path / "store", [clip], name="mine", layout="coco17", classes=CLASSES)
    out = tmp_path / "deep" / "out"
    assert main(["convert", str(tmp_path / "store"), "--to", "folder", "--out", str(out)]) == 0
    (written,) = tmp_path.rglob("*.npz")
    assert out / "clap" in written.parents


def test_a_class_that_cannot_be_a_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = Clip("a", np.ones((1, 2, 17, 3), np.float32), np.ones((1, 2), bool), 0)
    write_store(tmp_path / "store", [clip], name="mine", layout="coco17", classes=["sit/stand"])
    assert main(["convert", str(tmp_path / "store"), "--to", "folder", "--out", str(tmp_path / "out")]) == 2
    assert "cannot be the name of a folder: convert to a table" in capsys.readouterr().err
