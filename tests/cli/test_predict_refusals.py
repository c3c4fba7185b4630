"""What `predict` refuses before it classifies anything, and what it says about recordings that cannot be used."""

import json
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
