"""What holds for every format whose recordings are in class folders: the classes are found, merged and left out."""

from pathlib import Path

import numpy as np
import pytest
from written_formats import LAYOUTS, WRITERS, a_recording

from last.data import open_store
from last.data.preparation.discover import discover
from last.data.preparation.formats import FindsClasses, NamesClasses, Source, get_reader, list_formats
from last.data.preparation.formats.class_folders import ClassFolderReader
from last.data.preparation.preprocess import preprocess
from last.settings.data import DataConfig
from last.skeleton import load_layout

READERS = {
    name: get_reader(name, Source(load_layout(LAYOUTS.get(name, "ntu25")), 2, ("first", "second")))
    for name in list_formats()
}
CLASS_FOLDERS = [name for name, reader in READERS.items() if isinstance(reader, ClassFolderReader)]
WRITTEN = [name for name in CLASS_FOLDERS if name in WRITERS]


def write(name: str, raw: Path, classes: list[str]) -> Path:
    """Write a recording of each of two subjects into each class folder."""
    for number, class_name in enumerate(f"{each}/P{subject}" for each in classes for subject in (1, 2)):
        written = raw.parent / f"written{number}"
        written.mkdir()
        WRITERS[name](written, a_recording(name, frames=4))
        (raw / class_name).parent.mkdir(parents=True, exist_ok=True)
        (written / "first").rename(raw / class_name)
    return raw


def config(name: str, **values: object) -> DataConfig:
    return DataConfig(name="mine", format=name, layout=LAYOUTS.get(name, "ntu25"), **values)  # type: ignore[arg-type]


def test_every_reader_of_class_folders_and_of_tables_names_and_finds_its_classes() -> None:
    assert CLASS_FOLDERS == [
        "bvh", "c3d", "coco", "dlc", "folder", "kinect_azure", "mediapipe", "openpose", "sleap", "tao", "zed"
    ]  # fmt: skip
    naming = sorted([*CLASS_FOLDERS, "table"])
    assert [name for name, reader in READERS.items() if isinstance(reader, NamesClasses)] == naming
    assert [name for name, reader in READERS.items() if isinstance(reader, FindsClasses)] == naming


@pytest.mark.parametrize("name", WRITTEN)
def test_recordings_are_prepared_without_a_list_of_their_classes(name: str, tmp_path: Path) -> None:
    raw = write(name, tmp_path / "raw", ["clap", "wave"])
    found, about = discover(config(name), raw)
    assert found.classes == ["clap", "wave"] and found.protocols["xsub"].test == [2]
    assert about[0].startswith("Found: 4 clips of 2 classes")
    report = preprocess(found, raw, tmp_path / "store", workers=1)
    clips = open_store(tmp_path / "store").clips
    assert sorted(zip(clips["label"].tolist(), clips["subject"].tolist(), strict=True)) == [
        (0, 1), (0, 2), (1, 1), (1, 2)
    ]  # fmt: skip
    assert not report.left_out


@pytest.mark.parametrize("name", WRITTEN)
def test_classes_are_merged_and_left_out_by_the_map(name: str, tmp_path: Path) -> None:
    raw = write(name, tmp_path / "raw", ["clap", "wave", "Waving", "junk"])
    found, _ = discover(config(name, class_map={"Waving": "hello", "wave": "hello", "junk": None}), raw)
    report = preprocess(found, raw, tmp_path / "store", workers=1)
    store = open_store(tmp_path / "store")
    assert (store.classes, np.bincount(store.clips["label"]).tolist()) == (["clap", "hello"], [2, 4])
    assert {each.reason for each in report.dropped} == {"data.class_map leaves the class 'junk' out"}
