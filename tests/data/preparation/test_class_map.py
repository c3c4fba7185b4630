"""Classes of recordings that are merged, renamed or left out."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from last.data import open_store
from last.data.preparation.preprocess import preprocess
from last.settings.data import DataConfig, ProtocolConfig
from last.utils.errors import UserError
from last.utils.names import alike

FORMATS = ["folder", "table", "pyskl"]
RECORDED = ["wave", "Wave", "waving", "junk", "clap"]  # each has two clips


def write(name: str, folder: Path) -> Path:
    folder.mkdir()
    joints = np.random.default_rng(0).normal(size=(1, 4, 25, 3))
    if name == "pyskl":
        annotations = [
            {"frame_dir": f"{label}_{take}", "label": label, "keypoint": joints}
            for label in range(5)
            for take in (0, 1)
        ]
        (folder / "a.pkl").write_bytes(pickle.dumps({"annotations": annotations}))
    elif name == "folder":
        for class_name in RECORDED:
            (folder / class_name).mkdir()
            for take in (0, 1):
                np.save(folder / class_name / f"{take}.npy", joints)
    else:
        rows = [f"{label}_{take},0,{j},1,2,{j},{label}" for label in RECORDED for take in (0, 1) for j in range(25)]
        (folder / "a.csv").write_text("\n".join(["clip,frame,joint,x,y,z,label", *rows]))
    return folder


def config(name: str, **values: object) -> DataConfig:
    settings: dict[str, object] = {
        "classes": ["clap", "wave"],
        "class_map": {"Wave": "wave", "waving": "wave", "junk": None},
        "source_classes": RECORDED if name == "pyskl" else [],
        "protocols": {"own": ProtocolConfig(by="file", test_share=0.5)},
    }
    return DataConfig(name="mine", format=name, split="own", **{**settings, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FORMATS)
def test_classes_are_merged_renamed_and_left_out(name: str, tmp_path: Path) -> None:
    report = preprocess(config(name), write(name, tmp_path / "raw"), tmp_path / "store", workers=1)
    store = open_store(tmp_path / "store")
    assert store.classes == ["clap", "wave"]
    assert np.bincount(store.clips["label"]).tolist() == [2, 6]
    assert {each.reason for each in report.dropped} == {"data.class_map leaves the class 'junk' out"}
    assert not report.damaged


def test_a_class_without_recordings_of_its_own_may_have_those_of_others(tmp_path: Path) -> None:
    raw = write("folder", tmp_path / "raw")
    mapped = {"junk": None, "wave": "hand", "Wave": "hand", "waving": "hand"}
    preprocess(config("folder", classes=["hand", "clap"], class_map=mapped), raw, tmp_path / "store", workers=1)
    assert np.bincount(open_store(tmp_path / "store").clips["label"]).tolist() == [6, 2]


@pytest.mark.parametrize("name", ["folder", "table"])
def test_a_changed_map_reads_the_recordings_again(name: str, tmp_path: Path) -> None:
    raw = write(name, tmp_path / "raw")
    preprocess(config(name), raw, tmp_path / "store", workers=1)
    changed = config(name, class_map={"Wave": "wave", "waving": "clap", "junk": None})
    with pytest.raises(UserError, match="made from other recordings or with other rules"):
        preprocess(changed, raw, tmp_path / "store", workers=1)


WRONG = [
    ({"Wave": "wav"}, [], r"data.class_map.Wave: 'wav' is not in data.classes. Did you mean 'wave'"),
    ({"Wafe": "wave"}, ["wave", "Wave"], r"'Wafe' is not in data.source_classes. Did you mean 'Wave'"),
    ({"junk": None}, ["wave", "clap", "waving", "junk"], r"'waving' is not in data.classes: map it"),
    ({"Wave": "wave"}, None, "the format pyskl have numbers .* needs? data.source_classes"),
]


@pytest.mark.parametrize(("class_map", "source_classes", "message"), WRONG)
def test_a_map_that_cannot_be_meant_is_refused(
    class_map: dict[str, str | None], source_classes: list[str] | None, message: str, tmp_path: Path
) -> None:
    name = "pyskl" if source_classes is None else "folder"
    settings = config(name, class_map=class_map, source_classes=source_classes or [])
    with pytest.raises(UserError, match=message):
        preprocess(settings, write(name, tmp_path / "raw"), tmp_path / "store", workers=1)


def test_a_folder_that_is_in_neither_list_is_refused_with_both_remedies(tmp_path: Path) -> None:
    settings = config("folder", class_map={"Wave": "wave"})
    with pytest.raises(UserError, match=r"'junk' is not listed in data.classes.*data.classes or data.class_map"):
        preprocess(settings, write("folder", tmp_path / "raw"), tmp_path / "store", workers=1)


def test_classes_that_differ_only_in_case_or_accents_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = config("folder", classes=["clap", "wave", "Wave"], class_map={"waving": "wave", "junk": None})
    preprocess(settings, write("folder", tmp_path / "raw"), tmp_path / "store", workers=1)
    assert "class_map: {Wave: wave}" in caplog.text
    assert alike(["été", "Ete", "a", "ETÉ", "b"]) == [("été", "Ete"), ("été", "ETÉ")]
