"""What `predict` refuses before it classifies anything, and what it says about recordings that cannot be used."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deploy_probes import SharedExport
from written_formats import WRITERS, a_recording

import last
from last.data.store.clip import Clip
from last.data.store.reader import open_store, write_store

Command = Callable[..., Any]
NTU = "S001C002P003R002A001"


@pytest.fixture
def model(shared_export: SharedExport) -> Path:
    return shared_export.model


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    WRITERS["ntu"](tmp_path, a_recording("ntu"))
    return tmp_path / f"{NTU}.skeleton"


def copied(model: Path, folder: Path) -> Path:
    """Return a copy of a model with its description."""
    for suffix in (".onnx", ".json", ".md"):
        (folder / f"m{suffix}").write_bytes(model.with_suffix(suffix).read_bytes())
    return folder / "m.onnx"


def test_what_is_written_replaces_no_recording_that_is_named(cli: Command, model: Path, tmp_path: Path) -> None:
    WRITERS["mediapipe"](tmp_path, a_recording("mediapipe"))
    (clip,) = (path for path in tmp_path.rglob("*.json"))
    before = clip.read_bytes()
    for out in (clip, clip.parent / ".." / clip.parent.name / clip.name):
        result = cli("predict", "--model", model, clip, "--layout", "mediapipe33", "--out", out)
        assert result.code == 2 and "is named as an input" in result.err
    folder = cli("predict", "--model", model, tmp_path, "--layout", "mediapipe33", "--out", clip)
    assert folder.code == 2 and folder.out == "" and "is among the recordings" in folder.err
    assert clip.read_bytes() == before


@pytest.mark.parametrize("name", ["m.json", "M.gif/../m.json"])
def test_what_is_written_replaces_no_file_of_the_model(
    name: str, cli: Command, model: Path, recording: Path, tmp_path: Path
) -> None:
    (tmp_path / "M.gif").mkdir()
    own = copied(model, tmp_path)
    before = own.with_suffix(".json").read_bytes()
    result = cli("predict", "--model", own, recording, "--out", tmp_path / name)
    assert result.code == 2 and result.out == "" and "is the model, or a file that belongs to it" in result.err
    assert own.with_suffix(".json").read_bytes() == before


def test_earlier_results_beside_the_recordings_are_replaced(cli: Command, model: Path, recording: Path) -> None:
    out = recording.with_name("out.json")
    for _ in range(2):
        assert cli("predict", "--model", model, recording.parent, "--out", out).code == 0


def test_the_clips_of_a_prepared_data_set_are_classified(cli: Command, model: Path, data_yaml: Path) -> None:
    store = open_store(data_yaml.parent / "data" / "tiny")
    result = cli("predict", "--model", model, store.path, "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)["results"]
    recognizer = last.Recognizer(model)
    assert [each["clip"] for each in found] == [clip.name for clip in store]
    assert [each["label"] for each in found[:3]] == [each.label for each in recognizer(list(store[:3]))]
    part = cli("predict", "--model", model, store.path / "joints.npy")
    assert part.code == 2 and f"is a part of a prepared data set: name its folder, {store.path}." in part.err
    windows = cli("predict", "--model", model, store.path, "--per_body", "--window", "5f", "--quiet")
    assert windows.code == 0, windows.err


def test_a_prepared_data_set_of_another_layout_is_refused(cli: Command, model: Path, tmp_path: Path) -> None:
    clip = Clip("one", np.ones((1, 5, 20, 3), np.float32), np.ones((1, 5), bool), 0)
    write_store(tmp_path / "store", [clip], name="other", layout="kinect20", classes=["a"])
    result = cli("predict", "--model", model, tmp_path / "store")
    assert result.code == 2 and result.out == ""
    assert "is a prepared data set, whose clips have the layout kinect20 with 20 joints" in result.err
    before = (tmp_path / "store" / "store.json").read_bytes()
    own = cli("predict", "--model", model, tmp_path / "store", "--out", tmp_path / "store" / "store.json")
    assert own.code == 2 and "is named as an input, or belongs to one" in own.err
    assert (tmp_path / "store" / "store.json").read_bytes() == before


def test_a_layout_that_no_recording_of_a_folder_has_is_explained_once(
    cli: Command, model: Path, tmp_path: Path
) -> None:
    for take in ("001", "002", "003"):
        folder = tmp_path / "s01s02" / "03" / take
        folder.mkdir(parents=True)
        (folder / "skeleton_pos.txt").write_text(",".join(["1", *["0.5"] * 90]))
    result = cli("predict", "--model", model, tmp_path)
    first, closing = result.err.splitlines()[-2:]
    assert result.err.count("should have 151 numbers, its own and those of 2 bodies of 25 joints, not 91") == 1
    assert f"{tmp_path}: none of its 3 recordings can be classified. The first is s01s02_c03_t001: line 1: " in first
    assert "takes recordings of the layout ntu25" in closing and "name it with --layout" in closing


def test_recordings_that_fail_for_different_reasons_are_named_each(cli: Command, model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 9, 25, 3)))
    np.save(tmp_path / "b.npy", np.ones((2, 9, 17, 3)))
    result = cli("predict", "--model", model, tmp_path)
    assert "error: a: no skeleton" in result.err and "error: b: has the shape (2, 9, 17, 3)" in result.err


def test_a_layout_without_a_map_to_that_of_the_model_says_where_one_is_written(
    cli: Command, model: Path, recording: Path
) -> None:
    result = cli("predict", "--model", model, recording, "--layout", "sbu15")
    assert result.code == 2 and "cannot be mapped to ntu25" in result.err
    assert "under `layout_map` in a data YAML: `predict --dataset` takes one." in result.err


def test_a_damaged_archive_stops_no_recording_beside_it(cli: Command, model: Path, recording: Path) -> None:
    recording.with_name("cut.zip").write_bytes(b"PK\x03\x04 and no more")
    result = cli("predict", "--model", model, recording.parent)
    assert result.code == 2 and NTU in result.out
    assert "cut.zip: is not a readable zip archive (it has no directory" in result.err
    alone = cli("predict", "--model", model, recording.with_name("cut.zip"), "--format", "ntu")
    assert alone.code == 2 and "is not a readable zip archive" in alone.err


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("cut.zip", b"PK\x03\x04 and no more", "is not a readable zip archive (it has no directory"),
        ("empty.json", b"", "is an empty file, so it is damaged"),
        ("cut.json", b'{"skeletons":\n [[', "is not JSON: Expecting value (line 2), so it is damaged or cut short"),
        ("zeros.json", bytes(99), "is a file of zero bytes only"),
        ("other.json", b"{}", "holds no recordings of a recognised kind"),
    ],
)
def test_a_damaged_file_is_called_so(
    name: str, content: bytes, problem: str, cli: Command, model: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    for named in (tmp_path / name, tmp_path):
        result = cli("predict", "--model", model, named)
        assert result.code == 2 and problem in result.err and ("copy it again" in result.err) == (name != "other.json")


@pytest.fixture
def nothing_classified(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("it was classified")

    monkeypatch.setattr("last.cli.predict.classify", refuse)


@pytest.mark.parametrize(("name", "package"), [("a.gif", "PIL"), ("a.gif", "matplotlib"), ("a.mp4", "matplotlib")])
@pytest.mark.usefixtures("nothing_classified")
def test_a_drawing_without_its_package_is_refused_first(
    name: str, package: str, cli: Command, model: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    result = cli("predict", "--model", model, recording, "--out", recording.with_name(name))
    assert result.code == 2 and result.out == "" and "plots" in result.err and name in result.err


@pytest.mark.usefixtures("nothing_classified")
def test_a_film_without_ffmpeg_is_refused_first(
    cli: Command, model: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("PATH", str(recording.parent))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    result = cli("predict", "--model", model, recording, "--out", recording.with_name("a.mp4"))
    assert result.code == 2 and result.out == "" and "a.mp4 needs ffmpeg, which is not installed" in result.err


@pytest.mark.usefixtures("nothing_classified")
def test_an_animation_of_several_recordings_is_refused_first(cli: Command, model: Path, recording: Path) -> None:
    pytest.importorskip("PIL")
    pytest.importorskip("matplotlib")
    recording.with_name("S001C002P003R002A002.skeleton").write_bytes(recording.read_bytes())
    result = cli("predict", "--model", model, recording.parent, "--out", recording.with_name("a.gif"))
    assert result.code == 2 and result.out == "" and "A .gif file shows one clip, and there are 2" in result.err


@pytest.mark.parametrize("name", ["file/a.json", "file/below/a.html", "locked/a.json"])
@pytest.mark.usefixtures("nothing_classified")
def test_a_place_that_cannot_be_written_is_refused_first(
    name: str, cli: Command, model: Path, recording: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "locked").mkdir(mode=0o555)
    if name.startswith("locked") and os.access(tmp_path / "locked", os.W_OK):
        pytest.skip("this user may write everywhere")
    result = cli("predict", "--model", model, recording, "--out", tmp_path / name)
    assert result.code == 2 and result.out == ""
    assert f"Cannot write {tmp_path / name}: " in result.err and len(result.err.splitlines()) == 1


def test_the_place_to_write_is_tried_without_a_trace(cli: Command, model: Path, recording: Path) -> None:
    result = cli("predict", "--model", model, recording, "--window", "1", "--out", recording.with_name("a.html"))
    assert result.code == 2 and "There is nothing to draw" in result.err
    assert [path.name for path in recording.parent.iterdir()] == [recording.name]


@pytest.mark.parametrize("length", ["inf", "0f", "1.5f", "-1s", "s", "two"])
def test_a_length_that_cannot_be_meant_is_quoted_as_it_was_typed(length: str, cli: Command, model: Path) -> None:
    result = cli("predict", "--model", model, "clip.npy", f"--window={length}")
    assert result.code == 2 and f"'{length}' should be seconds above 0" in result.err
