"""`preprocess` without a data YAML: what it finds, what it writes, and what it refuses."""

import logging
from pathlib import Path

import numpy as np
import pytest

from last.cli import main
from last.data import open_store
from last.data.store.find_store import find_store
from last.experiments.config import resolve
from last.utils.config import read_yaml


def write(raw: Path, *names: str, coordinates: int = 3) -> Path:
    for number, name in enumerate(names):
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(raw / name, np.random.default_rng(number).normal(size=(5, 17, coordinates)))
    return raw


def prepare(raw: Path, out: Path, *options: str, format_name: str = "folder") -> int:
    command = ["preprocess", "--format", format_name, "--raw", str(raw), "--layout", "coco17", "--out", str(out)]
    return main([*command, "--workers", "1", *options])


SUBJECTS = [f"{name}/a_P{subject}.npy" for name in ("wave", "clap") for subject in range(1, 9)]


def test_classes_and_subjects_are_found_and_the_store_is_trained_by_its_yaml(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert prepare(write(tmp_path / "raw", *SUBJECTS), tmp_path / "else" / "mine") == 0
    data = read_yaml(tmp_path / "else" / "mine.yaml")["data"]
    assert (data["classes"], data["split"]) == (["clap", "wave"], "xsub")
    assert data["protocols"] == {"xsub": {"by": "subject", "test": [7, 8]}}
    assert str(tmp_path / "else" / "mine.yaml") in capsys.readouterr().out
    config = resolve(model="nano_e", dataset=str(tmp_path / "else" / "mine.yaml"))
    store = find_store(config.data, Path(config.data_root), input_roots=[Path(each) for each in config.input_roots])
    assert store.path == tmp_path / "else" / "mine"


def test_what_is_set_is_in_the_yaml_and_reaches_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {
        "data.select.cameras": "[1]", "data.min_confidence": "0.3", "data.normalize.face_camera": "false",
        "data.max_gap": "9", "data.copies": "warn", "data.sampling.method": "uniform", "data.augment.scale": "0.1",
    }  # fmt: skip
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    names = [f"{name}/a_P{subject}C1.npy" for name in ("wave", "clap") for subject in range(1, 9)]
    assert prepare(write(tmp_path / "raw", *names), tmp_path / "mine", *options) == 0
    data = read_yaml(tmp_path / "mine.yaml")["data"]
    assert data["normalize"] == {"face_camera": False, "scale": "none"}
    config = resolve(model="nano_e", dataset=str(tmp_path / "mine.yaml")).data
    found = (config.select.cameras, config.min_confidence, config.max_gap, config.copies)
    assert found == ([1], 0.3, 9, "warn")
    assert (config.sampling.method, config.augment.scale) == ("uniform", 0.1)


def test_a_setting_of_intervals_is_refused_where_no_table_labels_any(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = write(tmp_path / "raw", *SUBJECTS)
    assert prepare(raw, tmp_path / "mine", "--set", "data.intervals.cut=windows") == 2
    assert "data.intervals.cut has no effect without a table of intervals" in capsys.readouterr().err


def test_a_map_from_another_layout_is_in_the_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_layout.yaml").write_text("like: coco17")
    options = ("--set", "data.source_layout=mine_layout.yaml", "--set", "data.layout_map={nose: left_eye}")
    assert prepare(write(tmp_path / "raw", *SUBJECTS), tmp_path / "else" / "mine", *options) == 0
    text = (tmp_path / "else" / "mine.yaml").read_text()
    assert f"source_layout: {tmp_path / 'mine_layout.yaml'}" in text and "own_source_layout" not in text
    assert read_yaml(tmp_path / "else" / "mine.yaml")["data"]["layout_map"] == {"nose": "left_eye"}
    monkeypatch.chdir(tmp_path / "else")
    assert resolve(model="nano_e", dataset="mine.yaml").data.joint_map is not None


def test_the_same_command_again_changes_nothing_and_an_edited_yaml_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = write(tmp_path / "raw", *SUBJECTS)
    assert prepare(raw, tmp_path / "mine") == prepare(raw, tmp_path / "mine") == 0
    with (tmp_path / "mine.yaml").open("a") as file:
        file.write("# mine\n")
    assert prepare(raw, tmp_path / "mine") == 2
    assert "has other content. Use it with --dataset" in capsys.readouterr().err
    assert main(["preprocess", "--dataset", str(tmp_path / "mine.yaml"), "--raw", str(raw), "--out", f"{raw}/s"]) == 0
    assert prepare(raw, tmp_path / "mine", "--overwrite") == 0


PROTOCOLS = {
    "no subject is known": [f"{name}/{take}.npy" for name in ("a", "b") for take in range(4)],
    "some subjects are unknown": [*SUBJECTS, "wave/b.npy"],
    "one subject only": [f"{name}/{take}_P1.npy" for name in ("a", "b") for take in range(4)],
    "no subject can be spared": [f"a/{take}_P1.npy" for take in range(4)] + [f"b/{take}_P2.npy" for take in range(4)],
}


@pytest.mark.parametrize("reason", PROTOCOLS)
def test_clips_are_divided_by_file_where_subjects_do_not_allow_more(
    reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(write(tmp_path / "raw", *PROTOCOLS[reason]), tmp_path / "mine") == 0
    assert read_yaml(tmp_path / "mine.yaml")["data"]["protocols"] == {"file": {"by": "file", "test_share": 0.25}}
    assert reason in capsys.readouterr().out


def test_two_coordinates_are_found_and_scaled(tmp_path: Path) -> None:
    assert prepare(write(tmp_path / "raw", *SUBJECTS, coordinates=2), tmp_path / "mine") == 0
    data = read_yaml(tmp_path / "mine.yaml")["data"]
    assert (data["layout"], data["normalize"]) == ("coco17_2d", {"scale": "unit"})


@pytest.mark.parametrize("setting", ["data.normalize.scale=none", "data={normalize: {scale: none}}"])
def test_a_scale_that_is_set_is_kept_with_two_coordinates(setting: str, tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", *SUBJECTS, coordinates=2)
    assert prepare(raw, tmp_path / "mine", "--set", setting) == 0
    data = read_yaml(tmp_path / "mine.yaml")["data"]
    assert (data["layout"], data["normalize"]) == ("coco17_2d", {"scale": "none"})


def test_other_settings_of_normalisation_leave_the_scale_to_be_found(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", *SUBJECTS, coordinates=2)
    assert prepare(raw, tmp_path / "mine", "--set", "data.normalize.face_camera=false") == 0
    assert read_yaml(tmp_path / "mine.yaml")["data"]["normalize"] == {"face_camera": False, "scale": "unit"}


def test_a_split_that_is_set_is_not_replaced_by_the_one_that_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = write(tmp_path / "raw", *SUBJECTS)
    assert prepare(raw, tmp_path / "mine", "--set", "data.split=xview") == 2
    assert "data.split: xview, does not exist. Write another one as data.split: xsub" in capsys.readouterr().err


def test_classes_that_differ_in_case_are_merged_by_the_remedy_that_the_refusal_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = write(tmp_path / "raw", *SUBJECTS, "Wave/c_P1.npy")
    assert prepare(raw, tmp_path / "mine") == 2
    assert "--set 'data.class_map={wave: Wave}'" in capsys.readouterr().err
    assert prepare(raw, tmp_path / "mine", "--set", "data.class_map={Wave: wave, clap: null, junk: null}") == 2
    assert prepare(raw, tmp_path / "mine", "--set", "data.class_map={Wave: wave}") == 0
    assert np.bincount(open_store(tmp_path / "mine").clips["label"]).tolist() == [8, 9]
    assert read_yaml(tmp_path / "mine.yaml")["data"]["class_map"] == {"Wave": "wave"}


def test_a_table_is_found_with_its_own_columns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rows = [
        f"{label}_{who},0,{joint},1,{joint},2,{label},{who}"
        for label in ("clap", "wave")
        for who in ("Ann", "Bob")
        for joint in range(17)
    ]
    (tmp_path / "a.csv").write_text("\n".join(["footage,frame,joint,x,y,z,class,who", *rows]))
    columns = "data.columns={clip: footage, subject: who}"
    assert prepare(tmp_path / "a.csv", tmp_path / "mine", "--set", columns, format_name="table") == 0
    data = read_yaml(tmp_path / "mine.yaml")["data"]
    assert data["columns"] == {"clip": "footage", "subject": "who"} and data["protocols"]["xsub"]["test"] == [2]
    assert caplog.text.count("1 Ann, 2 Bob") == 1


REFUSED = {
    "are parts, not classes": ["train/wave/a.npy", "test/wave/a.npy"],
    "one class only": ["data/wave/a.npy", "data/clap/a.npy"],
    "has one clip only": ["wave/a_P1.npy", "clap/a_P2.npy"],
    "no class folders": ["a.npy"],
}


@pytest.mark.parametrize("message", REFUSED)
def test_folders_that_are_no_classes_are_refused(
    message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(write(tmp_path / "raw", *REFUSED[message]), tmp_path / "mine") == 2
    assert message in capsys.readouterr().err and not (tmp_path / "mine.yaml").exists()


def test_loose_recordings_are_refused_with_how_to_arrange_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = write(tmp_path / "raw", "a.npy", "b.npy")
    assert prepare(raw, tmp_path / "mine") == 2
    message = capsys.readouterr().err
    assert (
        "Put the recordings of each class into a folder with its name" in message
        and f"{raw / 'wave' / 'a.npy'}" in message
    )


def test_a_table_of_one_class_is_refused_before_it_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"clip{clip},0,{joint},1,{joint},2,wave" for clip in range(3) for joint in range(17)]
    (tmp_path / "a.csv").write_text("\n".join(["clip,frame,joint,x,y,z,label", *rows]))
    assert prepare(tmp_path / "a.csv", tmp_path / "mine", format_name="table") == 2
    assert "one class only" in capsys.readouterr().err and not (tmp_path / "mine.yaml").exists()


def test_more_classes_than_can_be_meant_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("last.data.preparation.discover.MOST_CLASSES", 3)
    raw = write(tmp_path / "raw", *(f"{name}/take{take}.npy" for name in "abcd" for take in range(2)))
    assert prepare(raw, tmp_path / "mine") == 2
    told = capsys.readouterr().err
    assert "There are 4 classes" in told and "name the clips instead of their classes?" in told


def test_one_clip_of_each_class_is_prepared_where_it_is_only_tested(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", "wave/a_P1.npy", "clap/a_P2.npy")
    assert prepare(raw, tmp_path / "mine", "--partial") == 0
    assert len(open_store(tmp_path / "mine")) == 2


def test_options_that_are_missing_or_too_many_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = str(write(tmp_path / "raw", *SUBJECTS))
    assert main(["preprocess", "--raw", raw, "--layout", "coco17"]) == 2
    assert "Name the data set with --dataset; or, to have one described, give --format and --out" in (
        capsys.readouterr().err
    )
    assert main(["preprocess", "--dataset", "ntu60", "--raw", raw, "--layout", "coco17"]) == 2
    assert "omit them, or omit --dataset" in capsys.readouterr().err
    assert prepare(Path(raw), tmp_path / "ntu60") == 2
    assert "--dataset ntu60, or choose another --out" in capsys.readouterr().err
    assert prepare(Path(raw), tmp_path / "mine", format_name="ntu") == 2
    known = "bvh, c3d, coco, dlc, folder, kinect_azure, mediapipe, openpose, sleap, table, tao, zed"
    assert f"these formats can be prepared: {known}" in capsys.readouterr().err


def test_all_problems_of_set_are_in_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = write(tmp_path / "raw", *SUBJECTS)
    assert prepare(raw, tmp_path / "mine", "--set", "fps", "data.bodis=3") == 2
    message = capsys.readouterr().err
    assert "--set 'fps' should look like key=value" in message and "data.bodis: unknown key" in message
