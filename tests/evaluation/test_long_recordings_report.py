"""What an evaluation reports about long recordings."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from last.cli import main
from last.data.store.clip import Clip
from last.data.store.format import StoreMetadata, pack
from last.data.store.reader import Store, open_store
from last.data.store.recordings import LEFT_OUT, Recording, Recordings
from last.data.store.writer import StoreWriter
from last.evaluation.metrics import Predictions, measure
from last.evaluation.recording_report import rows
from last.evaluation.recordings import evaluate_recordings
from last.evaluation.report import write_report
from last.skeleton import load_layout

LAYOUT = load_layout("coco17_2d")
CLASSES = ["background", "wave", "clap"]
SPANS = [(0, 10), (5, 15), (10, 20)]


def a_store(folder: Path, *, are_windows: bool = True, background: int = 0) -> Store:
    """Write two recordings of 20 frames with three windows each."""
    recordings = tuple(Recording(name, 20, 10.0, ((5, 15, 1),)) for name in ("a/day", "b"))
    parts = np.array([[number, *span] for number in (0, 1) for span in SPANS])
    joints = np.random.default_rng(0).normal(size=(1, 10, 17, 2)).astype(np.float32)
    clips = [Clip(f"{a}/{b}", joints, np.ones((1, 10), bool), int(b == 5)) for a, b, _ in parts.tolist()]
    found = Recordings(recordings, background, are_windows, parts)
    with StoreWriter(folder, StoreMetadata("mine", LAYOUT, CLASSES, recordings=found)) as writer:
        writer.append(pack(clips, LAYOUT))
    return open_store(folder)


def predictions(store: Store, chosen: list[int], clips: list[int]) -> Predictions:
    scores = np.full((len(clips), 3), 0.1, np.float32)
    scores[np.arange(len(clips)), chosen] = 0.8
    names = [str(store.clips["name"][clip]) for clip in clips]
    return Predictions(names, store.clips["label"][clips].astype(np.int64), scores)


def test_recordings_are_evaluated_by_their_windows_in_any_order(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    found = evaluate_recordings(predictions(store, [0, 1, 0, 1, 0, 0], [0, 1, 2, 4, 5, 3]), store, 3)
    assert found is not None
    assert [each.recording.name for each in found.each] == ["a/day", "b"]
    # The windows at both ends and the one in the middle have equal means where they overlap: the first class.
    assert [each.predicted.tolist() for each in found.each] == [[0] * 20, [0] * 20]
    one = evaluate_recordings(predictions(store, [1, 1, 1], [0, 1, 2]), store, 3)
    assert one is not None
    assert (one.figures.frames, one.figures.correct, one.figures.true_events) == (20, 10, 1)
    assert one.each[0].probabilities.tolist() == pytest.approx([0.8] * 20)


def test_frames_that_no_window_covers_are_background(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    found = evaluate_recordings(predictions(store, [1], [1]), store, 3)
    assert found is not None
    assert (found.figures.accuracy, found.figures.f1(50)) == (100, 100)


def test_without_a_background_unlabelled_frames_are_not_counted(tmp_path: Path) -> None:
    store = a_store(tmp_path, background=LEFT_OUT)
    found = evaluate_recordings(predictions(store, [2, 1, 2], [0, 1, 2]), store, 3)
    assert found is not None
    assert (found.figures.frames, found.figures.predicted_events) == (10, 1)


def test_clips_that_follow_the_intervals_are_not_evaluated_by_frames(tmp_path: Path) -> None:
    store = a_store(tmp_path, are_windows=False)
    assert evaluate_recordings(predictions(store, [0], [0]), store, 3) is None


def test_the_shortest_event_is_in_seconds(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    chosen, clips = [0, 0, 1], [0, 1, 2]
    found = [evaluate_recordings(predictions(store, chosen, clips), store, 3, shortest) for shortest in (0, 0.6)]
    assert [each and each.figures.predicted_events for each in found] == [1, 0]


def test_the_report_has_events_frames_and_a_picture_of_each_recording(tmp_path: Path, coarse_pictures: None) -> None:
    store = a_store(tmp_path / "store")
    scored = predictions(store, [0, 1, 0, 2, 2, 2], [0, 1, 2, 3, 4, 5])
    found = evaluate_recordings(scored, store, 3)
    assert found is not None
    facts = {"model": "nano_e", "dataset": "mine", "split": "own", "subset": "test"}
    files = write_report(tmp_path / "out", measure(scored, 3), scored, CLASSES, facts, pictures=True, recordings=found)
    assert (tmp_path / "out" / "timeline_01_a_day.png").read_bytes()[:4] == b"\x89PNG"
    assert {"events", "frames", "recordings", "timeline_1", "timeline_2"} <= files.keys()
    with files["events"].open() as file:
        events = [*csv.DictReader(file)]
    assert [(each["recording"], each["kind"], each["start"], each["stop"], each["label"]) for each in events] == [
        ("a/day", "true", "0.500", "1.500", "wave"),
        ("b", "true", "0.500", "1.500", "wave"),
        ("b", "predicted", "0.000", "2.000", "clap"),
    ]
    with files["frames"].open() as file:
        by_class = {each["name"]: each for each in csv.DictReader(file)}
    assert (by_class["wave"]["frames"], by_class["wave"]["recall"], by_class["clap"]["predicted"]) == (
        "20",
        "0.0000",
        "20",
    )
    values = json.loads(files["metrics"].read_text())["recordings"]
    assert (values["frames"], values["frame_accuracy"], values["event_f1_at_50"]) == (40, 25.0, 0.0)
    assert values["background"] == "background"
    assert ["frame accuracy", "25.00 %"] in rows(found)


def test_an_evaluation_of_single_clips_has_no_part_about_recordings(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store")
    scored = predictions(store, [0], [0])
    facts = {"model": "nano_e"}
    files = write_report(tmp_path / "out", measure(scored, 3), scored, CLASSES, facts, pictures=False)
    assert "recordings" not in json.loads(files["metrics"].read_text())
    assert "events" not in files


def test_shortest_event_takes_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--checkpoint", "x", "--shortest_event", "-1"]) == 2
    assert "should be a number of seconds from 0 to 3600" in capsys.readouterr().err
