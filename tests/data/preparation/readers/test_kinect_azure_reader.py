"""The reader of Azure Kinect's bodies."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from last.data.preparation.formats import BadClip, DroppedClip, Source, get_reader
from last.data.store.clip import Clip
from last.skeleton import load_layout

Read = Callable[..., Clip]
Content = dict[str, Any]
MILLIMETRES = np.stack([np.arange(32.0) % 5 * 100, 50.0 * np.arange(32), 2000 + np.arange(32.0) % 3], axis=1)


def body(x: float = 0.0, number: int = 1, **more: Any) -> Content:
    """Return a body, moved to the right by millimetres."""
    return {"body_id": number, "joint_positions": (MILLIMETRES + np.array([x, 0, 0])).tolist(), **more}


def dump(*frames: list[Content], step: int = 40_000) -> Content:
    """Return a dump as offline_processor writes it."""
    listed = [
        {"timestamp_usec": 1_000_000 + step * number, "frame_id": number, "num_bodies": len(bodies), "bodies": bodies}
        for number, bodies in enumerate(frames)
    ]
    return {"k4abt_sdk_version": "1.1.2", "source_file": "a.mkv", "joint_names": [], "bone_list": [], "frames": listed}


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_content(content: object, layout: str = "kinect_azure32") -> Clip:
        (tmp_path / "wave").mkdir(exist_ok=True)
        (tmp_path / "wave" / "take_P7.json").write_text(json.dumps(content, indent=4))
        reader = get_reader("kinect_azure", Source(load_layout(layout), 2, ("wave",)))
        (entry,) = reader.entries(tmp_path)
        return reader.read(entry)

    return read_content


def test_millimetres_become_metres_with_y_up_and_left_on_the_left_and_times_a_rate(read: Read) -> None:
    clip = read(dump([body()], [body(500)], [body(1000)]))
    assert (clip.name, clip.subject, clip.confidence) == ("wave/take_P7", 7, None)
    assert clip.fps == pytest.approx(25)
    expected = (MILLIMETRES - MILLIMETRES[0]) * (-0.001, -0.001, 0.001)
    np.testing.assert_allclose(clip.joints[0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(clip.joints[0, 2], expected + np.array([-1, 0, 0]), atol=1e-6)


def test_bodies_are_told_apart_by_their_numbers_and_a_lost_one_is_found_again(read: Read) -> None:
    clip = read(dump([body(0, 4), body(3000, 1)], [body(3000, 1)], [body(3000, 1), body(0, 9)]))
    assert clip.frame_mask.tolist() == [[True] * 3, [True, False, True]]
    assert clip.joints[1, [0, 2], 0, 0].tolist() == [3.0, 3.0]


def test_levels_of_confidence_are_read_where_there_are_any(read: Read) -> None:
    levels = [2] * 32
    levels[3:6] = [0, 1, 3]
    clip = read(dump([body(confidence_levels=levels)]))
    assert clip.confidence is not None
    assert clip.confidence[0, 0, [2, 3, 4, 5]].tolist() == [255, 1, 128, 255]


def test_a_pause_is_a_gap_and_frames_without_bodies_are_none(read: Read) -> None:
    content = dump([], [body()], [body()], [], [body()])
    content["frames"][4]["timestamp_usec"] += 200_000
    assert read(content).retimed == "1 gap"
    for empty in (dump(), dump([], [])):
        with pytest.raises(DroppedClip, match="no skeleton"):
            read(empty)


WRONG = [
    (dump([body(joint_positions=[[1, 2, 3]] * 25)]), "should have the 32 joints of the layout, not 25"),
    (dump([body(joint_positions=[[1, 2]] * 32)]), "should have 3 numbers, not 2"),
    (dump([body(joint_positions=[["1", 2, 3]] * 32)]), "should hold numbers"),
    (dump([body(joint_positions=None)]), "should be a list, not null"),
    (dump([body(confidence_levels=[4] * 32)]), "whole numbers from 0 to 3"),
    (dump([body(confidence_levels=[1] * 3)]), "should have 32 numbers, not 3"),
    (dump([body(), body()]), "two bodies of the track 1"),
    (dump([body()] * 301), "at most 300 are read"),
    (dump([body()], [body()], step=40), "frames per second"),
    ({"frames": [{"bodies": []}]}, "`timestamp_usec` of frame 1 should be a number, not null"),
    ({"frames": [3]}, "frame 1 should be an object"),
    ({"frames": [{"timestamp_usec": 1}]}, "should hold an object with `frames`"),
    ({"frames": [{"timestamp_ms": 1, "landmarks": []}]}, "it looks like a file of `data.format: mediapipe`"),
    ([], "should hold an object with `frames`"),
]


@pytest.mark.parametrize(("content", "problem"), WRONG, ids=[problem for _, problem in WRONG])
def test_other_content_is_refused(read: Read, content: object, problem: str) -> None:
    with pytest.raises(BadClip, match=problem):
        read(content)


def test_an_impossible_coordinate_is_refused(read: Read) -> None:
    with pytest.raises(BadClip, match="is at"):
        read(dump([body(1e12)]))
