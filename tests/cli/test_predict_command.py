"""`predict` classifies recordings of every format, as tables, JSON and drawings, and names what it cannot classify."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from deploy_probes import SharedExport, write_checkpoint
from fuzz_libraries import bvh_text
from patience import PATIENCE_S
from written_formats import LAYOUTS, WRITERS, a_recording

import last
from last.cli.predict_output import Output
from last.data.preparation.formats import list_formats
from last.skeleton import load_layout

Command = Callable[..., Any]
Model = Callable[..., Path]
MODEL_CLASSES = ["rise", "fall", "still"]
CLASSES = ["sit down", "wave", "shake hands", "fall"]
NTU = "S001C002P003R002A001"


@pytest.fixture(scope="session")
def checkpoint_of_layout(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Return a function that returns the checkpoint of a small model for a layout."""
    folder = tmp_path_factory.mktemp("models")

    @cache
    def written(layout: str = "ntu25") -> Path:
        described = f"{{name: tiny, layout: {layout}, classes: {CLASSES}, split: x, protocols: {{x: {{by: file}}}}}}"
        (folder / f"{layout}.yaml").write_text(f"data: {described}")
        torch.manual_seed(0)
        return write_checkpoint(folder / f"{layout}.pth", folder / f"{layout}.yaml")

    return written


@pytest.fixture
def model(shared_export: SharedExport) -> Path:
    return shared_export.model


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return a file of two bodies in 30 frames."""
    WRITERS["ntu"](tmp_path, a_recording("ntu"))
    return tmp_path / f"{NTU}.skeleton"


def write_bvh(folder: Path, _joints: np.ndarray) -> None:
    (folder / "one.bvh").write_text(bvh_text(load_layout("coco17")))


WRITTEN = {**WRITERS, "bvh": write_bvh}
NEEDED = {"bvh": "pybvh", "sleap": "h5py"}


def predicted(result: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(result.out)["results"]
    return found


@pytest.mark.parametrize("name", list_formats())
def test_recordings_of_every_format_are_classified(
    name: str, cli: Command, checkpoint_of_layout: Model, tmp_path: Path
) -> None:
    if name in NEEDED:
        pytest.importorskip(NEEDED[name])
    folder = tmp_path / "raw"
    folder.mkdir()
    WRITTEN[name](folder, a_recording(name))
    file = next(path for path in sorted(folder.rglob("*")) if path.is_file())
    program = ("predict", "--model", checkpoint_of_layout(LAYOUTS.get(name, "ntu25")), "--json")
    recognised, named, alone = cli(*program, folder), cli(*program, folder, "--format", name), cli(*program, file)
    assert (recognised.code, named.code, alone.code) == (0, 0, 0), recognised.err + named.err + alone.err
    (of_folder,), (of_named,), (of_file,) = map(predicted, (recognised, named, alone))
    assert of_folder["label"] in CLASSES and len(of_folder["top"]) == 3
    assert of_folder["top"] == of_named["top"] == of_file["top"]


@pytest.mark.parametrize("name", ["ntu", "nw_ucla", "sbu"])
def test_a_recording_of_a_known_data_set_may_have_any_name(
    name: str, cli: Command, checkpoint_of_layout: Model, tmp_path: Path
) -> None:
    WRITERS[name](tmp_path, a_recording(name))
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    program = ("predict", "--model", checkpoint_of_layout(LAYOUTS.get(name, "ntu25")), "--json")
    (before,) = predicted(cli(*program, file))
    other = tmp_path / ("skeleton_pos.txt" if name == "sbu" else f"my own{file.suffix}")
    file.rename(other)
    (after,) = predicted(cli(*program, other))
    assert after["top"] == before["top"] and after["clip"] == other.stem != before["clip"]


@pytest.mark.long
def test_the_numbers_are_those_of_the_recognizer(cli: Command, model: Path, tmp_path: Path) -> None:
    joints = a_recording("folder")
    np.save(tmp_path / "clip.npy", joints)
    (found,) = predicted(cli("predict", "--model", model, "--json", "--top", 9, tmp_path / "clip.npy"))
    expected = last.Recognizer(model)(joints)
    assert [each["label"] for each in found["top"]] == list(expected.probabilities)
    shares = [each["probability"] for each in found["top"]]
    np.testing.assert_allclose(shares, list(expected.probabilities.values()), atol=1e-4)


def test_a_checkpoint_says_what_its_exported_file_says(
    cli: Command, shared_export: SharedExport, recording: Path
) -> None:
    (of_file,) = predicted(cli("predict", "--model", shared_export.model, "--json", recording))
    (of_checkpoint,) = predicted(cli("predict", "--model", shared_export.checkpoint, "--json", recording))
    assert of_checkpoint["label"] == of_file["label"]
    pairs = zip(of_checkpoint["top"], of_file["top"], strict=True)
    assert all(abs(ours["probability"] - theirs["probability"]) < 1e-4 for ours, theirs in pairs)


def test_an_exported_file_is_run_without_torch(model: Path, recording: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from last.cli import main; "
        f"code = main(['predict', '--model', {str(model)!r}, {str(recording)!r}]); print(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.stdout.splitlines()[-1:] == ["0"], done.stderr


def test_a_table_has_the_class_its_probability_and_the_next_ones(cli: Command, model: Path, recording: Path) -> None:
    result = cli("predict", "--model", model, "--top", 2, recording)
    title, heading, row = result.out.splitlines()
    assert title == "nano_e (nano_e.onnx), 3 classes"
    assert heading.split() == ["clip", "class", "probability", "next"]
    assert row.startswith(NTU) and row.count("%") == 2


def test_each_body_is_classified_alone(cli: Command, model: Path, tmp_path: Path) -> None:
    joints = a_recording("folder")
    np.save(tmp_path / "both.npy", joints)
    np.save(tmp_path / "second.npy", joints[1])
    program = ("predict", "--model", model, "--json")
    (both,) = predicted(cli(*program, "--per_body", tmp_path / "both.npy"))
    (alone,) = predicted(cli(*program, tmp_path / "second.npy"))
    assert [body["body"] for body in both["bodies"]] == [1, 2]
    assert both["bodies"][1]["top"] == alone["top"] != both["bodies"][0]["top"]


def test_windows_are_given_with_frames_and_with_seconds_if_the_rate_is_known(
    cli: Command, model: Path, recording: Path
) -> None:
    program = ("predict", "--model", model, "--json", recording)
    (of_frames,) = predicted(cli(*program, "--window", "10f", "--stride", "5f"))
    starts = [(each["start"], each["stop"]) for each in of_frames["windows"]]
    assert starts == [(0, 10), (5, 15), (10, 20), (15, 25), (20, 30)]
    assert "start_s" not in of_frames["windows"][0]
    (of_seconds,) = predicted(cli(*program, "--window", "0.4", "--source_fps", 25))
    assert [each["start_s"] for each in of_seconds["windows"]] == [0, 0.2, 0.4, 0.6, 0.8]
    assert [each["top"] for each in of_seconds["windows"]] == [each["top"] for each in of_frames["windows"]]
    table = cli("predict", "--model", model, recording, "--window", "10f")
    assert re.search(rf"{NTU}  0 to \d+ ", table.out)


def test_a_window_in_seconds_needs_the_frame_rate(cli: Command, model: Path, recording: Path) -> None:
    result = cli("predict", "--model", model, recording, "--window", 1)
    assert result.code == 2
    assert f"error: {NTU}: its frame rate is unknown" in result.err and "--source_fps" in result.err


def lines(monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO("".join(f"{text}\n" for text in texts).encode()))
    monkeypatch.setattr(sys, "stdin", stream)


def test_lines_of_standard_input_are_answered_one_by_one(
    cli: Command, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joints = a_recording("folder")
    lines(monkeypatch, json.dumps({"name": "a", "joints": joints.tolist()}), "no JSON", json.dumps({"joints": []}))
    result = cli("predict", "--model", model, "--json", "-")
    first, second, third = map(json.loads, result.out.splitlines())
    assert result.code == 2
    assert first["clip"] == "a" and first["label"] == last.Recognizer(model)(joints).label
    assert second["clip"] == "line 2" and "is not JSON" in second["error"]
    assert third["clip"] == "line 3" and "frames, joints, coordinates" in third["error"]


def test_lines_are_answered_in_words_without_json(cli: Command, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines(monkeypatch, json.dumps({"joints": a_recording("folder")[0].tolist()}))
    result = cli("predict", "--model", model, "-")
    assert result.code == 0 and re.fullmatch(r"line 1  [a-z ]+  \d+\.\d %  .*\n", result.out)


def test_a_recording_that_cannot_be_classified_stops_no_other(
    cli: Command, model: Path, recording: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "empty.npy", np.zeros((2, 9, 25, 3)))
    np.save(tmp_path / "other.npy", np.ones((2, 9, 17, 3)))
    (tmp_path / "notes.txt").write_text("notes")
    files = [tmp_path / "empty.npy", tmp_path / "other.npy", tmp_path / "notes.txt", tmp_path / "none.npy", recording]
    result = cli("predict", "--model", model, *files)
    assert result.code == 2 and NTU in result.out
    assert "error: empty: no skeleton" in result.err
    assert "error: other: has the shape (2, 9, 17, 3); ntu25 has 25 joints of 3 coordinates" in result.err
    assert "--layout" in result.err and "takes recordings of the layout ntu25" in result.err
    assert f"{tmp_path / 'notes.txt'} holds no recordings of a recognised kind" in result.err
    assert f"There is no file or folder {tmp_path / 'none.npy'}" in result.err


@pytest.mark.parametrize(("frames", "warned"), [(1, True), (2, False)])
def test_recordings_of_one_frame_are_answered_with_a_warning(
    cli: Command, model: Path, tmp_path: Path, frames: int, warned: bool
) -> None:
    WRITERS["ntu"](tmp_path, a_recording("ntu", frames=frames))
    result = cli("predict", "--model", model, tmp_path / f"{NTU}.skeleton", "--json")
    assert result.code == 0 and len(predicted(result)) == 1
    assert ("1 of 1 recording has one frame, and so no movement" in result.err) == warned


def test_joints_of_another_layout_are_mapped_to_that_of_the_model(
    cli: Command, checkpoint_of_layout: Model, tmp_path: Path
) -> None:
    np.save(tmp_path / "clip.npy", np.random.default_rng(0).normal(size=(12, 33, 3)))
    program = ("predict", "--model", checkpoint_of_layout("coco17"), tmp_path / "clip.npy")
    assert "has 17 joints" in cli(*program).err
    result = cli(*program, "--layout", "mediapipe33")
    assert result.code == 0, result.err


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def edit(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"still"', b'"Still"'))


def age(path: Path) -> None:
    import onnx

    graph = onnx.load(path)
    (version,) = (each for each in graph.metadata_props if each.key == "format_version")
    version.value = "1"
    for each in [each for each in graph.metadata_props if each.key == "content_sha256"]:
        graph.metadata_props.remove(each)
    onnx.save(graph, path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("m.onnx", cut_short, "so it is cut short, or is another kind of file"),
        ("m.onnx", edit, "it was cut short or edited"),
        ("m.onnx", age, "has version '1' of the format; this version of LAST runs version 2"),
        ("m.onnx", lambda path: path.unlink(), "There is no file"),
        ("m.pth", lambda _: None, "is neither an exported model nor a checkpoint"),
        ("m.tflite", lambda _: None, "is neither an exported model nor a checkpoint"),
        ("m.pth", lambda path: path.unlink(), "does not exist. Give an exported file (.onnx or .xml), a checkpoint"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused_with_what_is_expected(
    name: str, change: Callable[[Path], object], message: str, cli: Command, model: Path, recording: Path
) -> None:
    pytest.importorskip("onnx")
    path = recording.with_name(name)
    path.write_bytes(model.read_bytes())
    change(path)
    result = cli("predict", "--model", path, recording, "--out", recording.with_name("out.json"))
    assert result.code == 2 and result.out == ""
    assert message in result.err and len(result.err.splitlines()) == 1
    assert not recording.with_name("out.json").exists()


def test_a_checkpoint_under_the_name_of_an_exported_file_is_recognised(
    cli: Command, checkpoint_of_layout: Model, recording: Path
) -> None:
    path = recording.with_name("model.onnx")
    path.write_bytes(checkpoint_of_layout().read_bytes())
    assert "is a checkpoint, or another zip archive, and not an exported" in cli("predict", "--model", path, "-").err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-", "clip.npy"), "give it alone"),
        (("clip.npy", "--stride", "1"), "with --window"),
        (("clip.npy", "--window", "0"), "should be seconds above 0"),
        (("clip.npy", "--window", "2.5f"), "whole frames, such as 60f"),
        (("clip.npy", "--out", "clip.avi"), "should end in .gif, .mp4, .html"),
        (("clip.npy", "--dataset", "ntu60", "--layout", "ntu25"), "omit them, or --dataset"),
        (("clip.npy", "--dataset", "sbu"), "have the layout sbu15"),
        (("clip.npy", "--source_fps", "0"), "frames per second from 0.5"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: Any, message: str, cli: Command, model: Path) -> None:
    result = cli("predict", "--model", model, *options)
    assert result.code == 2 and message in result.err


def test_an_animation_has_its_labels_below(cli: Command, model: Path, recording: Path) -> None:
    images = pytest.importorskip("PIL.Image")
    out = recording.with_name("clip.gif")
    result = cli("predict", "--model", model, recording, "--window", "10f", "--per_body", "--out", out)
    assert result.code == 0, result.err
    with images.open(out) as image:
        assert image.n_frames == 30 and image.size[1] > image.size[0] * 1.3


def test_a_page_has_the_running_labels_of_each_clip(cli: Command, model: Path, recording: Path) -> None:
    out = recording.with_name("clip.html")
    result = cli("predict", "--model", model, recording, "--window", "10f", "--stride", "10f", "--out", out)
    assert result.code == 0, result.err
    content = re.search(r'<script type="application/json">(.*?)</script>', out.read_text(encoding="utf-8"))
    assert content
    (clip,) = json.loads(content[1])["clips"]
    (running,) = clip["running"]
    assert [start for start, _ in running["spans"]] == [0, 10, 20]
    assert all(len(labels) == 3 for _, labels in running["spans"]) and set(running["names"]) <= set(MODEL_CLASSES)


def test_an_animation_of_several_clips_is_refused_and_nothing_written(
    cli: Command, model: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", a_recording("folder"))
    result = cli("predict", "--model", model, tmp_path / "a.npy", tmp_path / "b.npy", "--out", tmp_path / "two.gif")
    assert result.code == 2 and "A .gif file shows one clip, and there are 2" in result.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "b.npy"]


def test_the_json_file_is_what_json_prints(cli: Command, model: Path, recording: Path) -> None:
    out = recording.with_name("out.json")
    printed = cli("predict", "--model", model, recording, "--json", "--out", out)
    assert json.loads(out.read_text(encoding="utf-8")) == json.loads(printed.out)
    assert json.loads(printed.out)["classes"] == MODEL_CLASSES


def test_results_of_an_endless_stream_are_not_kept(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from last.cli.predict_input import Failure

    output = Output(last.Recognizer(model), top=1, as_json=True, at_once=True, out=None)
    output.fail(Failure("-", "line 1", "is not JSON"))
    assert output.results == [] and capsys.readouterr().out.startswith("{")


def test_real_recordings_are_classified(cli: Command, checkpoint_of_layout: Model, real_recordings: Path) -> None:
    for layout, raw, count in (("ntu25", "ntu_samples", 6), ("sbu15", "sbu/s01s02", None)):
        result = cli("predict", "--model", checkpoint_of_layout(layout), real_recordings / raw, "--json")
        assert result.code == 0, result.err
        found = predicted(result)
        assert len(found) == (count or len(found)) > 1 and all(each["label"] in CLASSES for each in found)
