"""What the page says and shows while it reads, records and searches, with forced colours, and without JavaScript.

The scenarios are in `states_scenarios.mjs` and run in one browser. Without Chromium the tests skip.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from built_page import browser
from node_probes import ROOT, node
from test_page_in_chromium import write_pose_models

from last.data.synthetic.dataset import skeleton_text
from last.data.synthetic.recording import TRACKED, TrackedBody

pytestmark = pytest.mark.long

FOLDER = Path(__file__).parent
SECONDS = 400.0
CONTENT = ROOT / "demo" / "content"
LONGEST = 60 + len("1: ")  # characters of a name


def write_large(path: Path) -> None:
    """Write key points of somebody over an hour, as a tracker would."""
    rows = ", ".join(f"{100 + joint}.25, {200 + 3 * joint}.5, 0.75" for joint in range(17))
    frames = (f'{{"image_id": {frame}, "category_id": 1, "keypoints": [{rows}]}}' for frame in range(108_000))
    path.write_text(f"[{', '.join(frames)}]")


def write_long_names(folder: Path) -> None:
    """Write the student of the page with names of classes that are too long for it."""
    facts = json.loads((CONTENT / "model.json").read_text(encoding="utf-8"))
    names = {name: f"{number} class {'that does not end ' * 10}" for number, name in enumerate(facts["classes"])}
    facts["classes"] = ["9" * 200, *list(names.values())[1:]]
    facts["calibration"] = {}
    (folder / "long.json").write_text(json.dumps(facts))
    (folder / "long.onnx").write_bytes((CONTENT / "model.onnx").read_bytes())


def write_files(folder: Path) -> None:
    """Write what the scenarios open."""
    write_large(folder / "large.json")
    write_long_names(folder)
    write_pose_models(folder)
    all_crowd = np.load(CONTENT / "clip-crowd.npy").astype(np.float32)
    crowd = all_crowd[:, :30]
    rows = [crowd + np.array([0, 0, 2 * row], np.float32) for row in range(5)]
    np.save(folder / "many.npy", np.concatenate(rows))
    states = np.full((30, 25), TRACKED)
    people = [TrackedBody(n, np.arange(30), body.astype(np.float64), states) for n, body in enumerate(crowd[:3])]
    np.save(folder / "seven.npy", np.concatenate(all_crowd)[:, :7])
    (folder / "three.skeleton").write_text(skeleton_text(people))


@pytest.fixture(scope="module")
def results(built_page: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what each scenario returned, or the error that ended it."""
    folder = tmp_path_factory.mktemp("states")
    write_files(folder)
    arguments = (browser(), built_page, folder, FOLDER / "states_scenarios.mjs")
    done = node(FOLDER / "chromium.mjs", *arguments, seconds=SECONDS)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def value(results: dict[str, Any], name: str) -> Any:
    """Return what a scenario returned, without faults of the page."""
    assert "value" in results[name], results[name]["error"]
    found = results[name]["value"]
    assert not isinstance(found, dict) or found["faults"] == []
    return found


def test_clips_of_a_layout_that_last_does_not_have_are_trained_with_one_that_is_to_be_written(
    results: dict[str, Any],
) -> None:
    found = value(results, "teaches_an_unknown_layout")
    assert found["command"] == "python -m last start ./taught --layout my_layout.yaml --minutes 2"
    assert "no layout of these 7 joints: write my_layout.yaml first" in found["told"]
    assert found["hint"] == "4 clips of 2 classes, layout unknown7_3d."


def test_a_recording_that_begins_again_gives_no_copies(results: dict[str, Any]) -> None:
    found = value(results, "records_no_copies")
    assert found["count"] == ["1 of 10", "0 of 10"]
    assert 'Recording "one" has ended because this part is recorded already' in found["told"][0]
    assert "1 of 10 clips were recorded" in found["told"][0]
    assert "0 of 1 clip was recorded" in found["told"][1]


def test_a_large_file_is_read_while_the_page_plays_on_and_can_be_cancelled(results: dict[str, Any]) -> None:
    found = value(results, "reads_while_it_plays")
    assert found["told"] == "Reading large.json…"
    assert found["isStillReading"]
    assert found["cancelled"] == {"shown": False, "title": "Nine actions in a row"}
    assert found["focus"] == "open-recording"
    assert found["replaced"] == {"shown": False, "chosen": "clip-pair.npy"}
    assert found["after"] == {"shown": False, "chosen": "file"}


def test_people_who_are_not_shown_or_not_recognised_are_said(results: dict[str, Any]) -> None:
    found = value(results, "says_who_is_left_out")
    assert found["many"] == "25 people are shown, and at most 20 at a time are recognised."
    assert not found["few"]
    assert found["three"] == "There are more people in the file than the 2 that are shown."


def test_long_names_of_classes_are_cut_and_overflow_nothing(results: dict[str, Any]) -> None:
    found = value(results, "long_names")
    assert found["overflow"] == found["listed"] == 0
    assert 0 < found["height"] < 250
    named = [text for text in found["texts"] if "class" in text]
    assert len(named) > 10
    assert max(map(len, named)) <= LONGEST


def test_a_second_search_finds_the_same_events_once(results: dict[str, Any]) -> None:
    first, second = value(results, "no_event_twice")["found"]
    assert first == second
    assert len(first) == len(set(first)) >= 8


def test_a_recording_of_clips_that_ends_early_says_so(results: dict[str, Any]) -> None:
    found = value(results, "ends_a_recording_aloud")
    reasons = ["the time was moved", "it was paused", "another recording, camera or model was opened"]
    for told, reason in zip(found["told"], reasons, strict=True):
        assert not told["before"]
        assert told["text"].startswith(f'Recording "wave" has ended because {reason}: ')
        assert told["active"] == 0
    assert found["closed"]


def test_the_focus_is_not_lost_where_a_button_is_disabled_or_a_message_closed(results: dict[str, Any]) -> None:
    found = value(results, "ends_a_recording_aloud")
    assert {told["focus"] for told in found["told"]} == {"Stop recording: wave"}
    assert found["focus"] == "scrubber"


def test_with_forced_colours_everything_is_still_told_apart(results: dict[str, Any]) -> None:
    found = value(results, "forced_colours")
    for scheme in ("light", "dark"):
        wanted = {"bar": True, "playhead": True, "block": "solid", "chosen": "solid", "ground": True}
        assert found["found"][scheme] == wanted
    assert found["serious"] == []


def test_without_javascript_there_is_one_message_and_nothing_else(results: dict[str, Any]) -> None:
    lines = [line for line in value(results, "without_javascript").splitlines() if line.strip()]
    assert len(lines) == 3
    assert "needs JavaScript" in lines[-1]


def test_a_camera_starts_once_and_not_after_something_else_was_opened(results: dict[str, Any]) -> None:
    found = value(results, "a_camera_once")
    assert found["during"].pop("problem").startswith("A person of the camera has 17 joints")
    assert found["during"] == {"streams": 1, "search": True, "menu": "Camera"}
    assert found["after"] == {"search": False, "menu": "Nine actions in a row", "problem": "", "isOff": True}
    assert found["late"] == {"title": "Two people meet", "button": "Start camera"}
    assert not found["problem"]
