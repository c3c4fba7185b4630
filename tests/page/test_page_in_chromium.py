"""The page in a browser: it plays and recognises, by keyboard alone too, and lives on after whatever it is given.

The scenarios are in `scenarios.mjs` and run in one browser. Without Chromium the tests skip.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from built_page import browser
from deploy_probes import SharedExport
from node_probes import ROOT, node
from onnx import TensorProto, helper
from serve_probes import running

from last.data.synthetic import synthesize
from last.serve import app
from last.serve.page_files import page_files
from last.serve.workers import SharedRecognizer

pytestmark = pytest.mark.long

FOLDER = Path(__file__).parent
SECONDS = 400.0


def network(path: Path, shape: list[int | str], outputs: dict[str, np.ndarray[Any, Any]]) -> None:
    """Write a network that takes pictures, and gives the same outputs for each."""
    made = [
        helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value.astype(np.float32)))
        for name, value in outputs.items()
    ]
    graph = helper.make_graph(
        made, "constant",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in outputs.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))


def write_pose_models(folder: Path) -> None:
    """Write a model that finds the joints of RTMPose, and one that is no pose model."""
    simcc = {name: np.zeros((1, 17, bins)) for name, bins in (("simcc_x", 384), ("simcc_y", 512))}
    for joint in range(17):
        simcc["simcc_x"][0, joint, 150 + 5 * joint] = simcc["simcc_y"][0, joint, 60 + 20 * joint] = 0.9
    network(folder / "pose.onnx", [1, 3, 256, 192], simcc)
    network(folder / "other_network.onnx", [1, 3, 224, 224], {"y": np.zeros((1, 1000))})


def write_files(folder: Path, export: SharedExport) -> None:
    """Write what the scenarios open."""
    student, facts = export.model.read_bytes(), export.model.with_suffix(".json").read_text(encoding="utf-8")
    (folder / "student.onnx").write_bytes(student)
    (folder / "student.json").write_text(facts, encoding="utf-8")
    (folder / "changed.onnx").write_bytes(student + b" ")
    (folder / "old.json").write_text(json.dumps({**json.loads(facts), "format_version": 1}))
    (folder / "damaged.onnx").write_bytes(b"no network")
    digest = {"files": {"damaged.onnx": "bcd1c1a8a37f1d8d4b9d0a2a"}}
    (folder / "damaged.json").write_text(json.dumps({**json.loads(facts), "exported": [digest], "classes": []}))
    joints = np.random.default_rng(0).normal(2, 1, (1, 30, 25, 3))
    (folder / "recording.json").write_text(json.dumps(joints.tolist()))
    (folder / "flat.json").write_text(json.dumps(joints[..., :17, :2].tolist()))
    (folder / "other.json").write_text('{"a": 1}')
    (folder / "film.mp4").write_bytes(b"\0\0\0")
    (folder / "empty.npy").write_bytes(b"")
    np.save(folder / "flat.npy", np.zeros((3, 4)))
    (skeleton,) = synthesize(folder / "raw", 1)
    (folder / "cut.skeleton").write_text("\n".join(skeleton.read_text().splitlines()[:40]))
    hour = np.tile(np.load(ROOT / "demo/content/clip-sequence.npy")[0], (140, 1, 1))[: 60 * 60 * 30]
    np.save(folder / "hour.npy", hour)
    write_pose_models(folder)


@pytest.fixture(scope="module")
def results(
    built_page: Path,
    shared_export: SharedExport,
    recognizer: SharedRecognizer,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """Return what each scenario returned, or the error that ended it."""
    folder = tmp_path_factory.mktemp("scenarios")
    write_files(folder, shared_export)
    arguments = (browser(), built_page, folder, FOLDER / "scenarios.mjs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "page_files", lambda: page_files(built_page))
        with running(recognizer) as server:
            (folder / "served.txt").write_text(f"http://127.0.0.1:{server.port}/")
            done = node(FOLDER / "chromium.mjs", *arguments, seconds=SECONDS)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def value(results: dict[str, Any], name: str) -> Any:
    """Return what a scenario returned."""
    assert "value" in results[name], results[name]["error"]
    return results[name]["value"]


def test_the_page_plays_and_recognises_its_clips_and_asks_nobody_else(results: dict[str, Any]) -> None:
    found = value(results, "plays")
    assert len(found["whole"]) == 12
    for title, told in found["whole"].items():
        assert told.lower().startswith(f"the whole clip: {title.lower()}, ")
    assert found["events"][:5] == ["raise both arms", "lower both arms", "sit down", "stand up", "kick"]
    assert all(meter.split()[0].isdigit() for meter in found["meters"])
    assert found["drawn"] > 50  # colours
    assert found["blocked"] == "connect-src"
    assert found["faults"] == []


def test_everything_is_reached_with_the_keyboard_alone_and_its_focus_is_seen(results: dict[str, Any]) -> None:
    found = value(results, "keyboard")
    ids = [each["id"] for each in found["seen"]]
    wanted = ["clip", "open-recording", "use-camera", "stage", "play", "scrubber", "speed", "find-events", "events"]
    wanted += ["class-name", "clip-seconds", "person-number", "open-model", "open-pose"]
    assert [each for each in ids if each in wanted] == wanted
    assert [each["id"] for each in found["seen"] if not each["visible"]] == []
    assert len(ids) < 40  # there is a way out
    assert found["startsStill"] and found["plays"]
    assert found["time"].startswith("0.") and found["time"].endswith(" of 26.1 s")
    assert found["classes"] == ["clap"]
    assert found["faults"] == []


def test_axe_has_no_serious_finding_in_light_and_dark_on_wide_and_narrow_screens(results: dict[str, Any]) -> None:
    assert [each for each in value(results, "accessible") if each["impact"] in ("serious", "critical")] == []


def test_what_cannot_be_opened_is_said_and_the_page_lives_on(results: dict[str, Any]) -> None:
    found = value(results, "bad_files")
    wanted = {
        "film.mp4": "not a kind of file that this page reads",
        "empty.npy": "The file is empty",
        "flat.json": "17 joints with 2 coordinates; the model takes 25 with 3",
        "flat.npy": "has the shape (3, 4)",
        "other.json": "of no known kind",
        "cut.skeleton": "the file ends where",
        "several": "Open one recording at a time",
        "old version": "has version 1 of the format; this page runs version 2",
        "other pair": "not of the same export",
        "damaged": "The description of the model is damaged",
        "no description": "not the description of a model",
        "student as a pose model": "student.onnx: The pose model does not fit",
        "no pose model": "The pose model does not fit",
        "neither": "other_network.onnx: The pose model does not fit",
        "no network as a pose model": "film.mp4: It is no ONNX model that runs here, or it is damaged",
        "pose model as a student": "pose.onnx: It is not a model that LAST exported",
    }
    assert found["told"].keys() == wanted.keys()
    for name, told in wanted.items():
        assert told in found["told"][name], name
    assert "synthetic movements" in found["kept"]
    assert found["lives"]
    assert found["faults"] == []


def test_another_model_is_opened_file_after_file_and_recognises(results: dict[str, Any]) -> None:
    found = value(results, "other_model")
    assert found["whole"].startswith("The whole clip: ")
    assert found["lives"]
    assert found["faults"] == []


def test_an_hour_is_played_by_windows(results: dict[str, Any]) -> None:
    assert value(results, "an_hour") == {"lives": True, "faults": []}


def test_a_page_without_a_server_says_so(results: dict[str, Any]) -> None:
    told = value(results, "without_a_server")
    assert "python -m http.server" in told
    assert "defect" not in told


def test_a_browser_without_simd_plays_and_says_what_is_missing(results: dict[str, Any]) -> None:
    found = value(results, "without_simd")
    assert "no WebAssembly with SIMD" in found["told"]
    assert found["faults"] == []


def test_a_missing_or_refused_camera_is_said_and_the_page_lives_on(results: dict[str, Any]) -> None:
    found = value(results, "cameras")
    assert "No camera was found" in found["missing"]
    assert "The camera was refused" in found["refused"]
    assert found["lives"]


def test_clips_are_recorded_from_a_camera_with_a_pose_model(results: dict[str, Any]) -> None:
    found = value(results, "a_camera")
    assert found["isDisabled"]  # without a pose model
    assert found["told"].startswith("A person of the camera has 17 joints with 2 coordinates, the layout coco17_2d; ")
    assert found["lives"]
    assert found["faults"] == []


def test_the_server_of_last_offers_the_same_page_under_its_policy(results: dict[str, Any]) -> None:
    assert value(results, "served_by_last") == []
