"""The reader of ZED's bodies."""

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
START = 1_700_000_000_123_456_789  # nanoseconds, with more digits than a float has


def points(joints: int = 38) -> np.ndarray:
    return np.stack([np.arange(joints) % 5 / 10, np.arange(joints) / 20, -2 - np.arange(joints) % 3 / 10], axis=1)


def body(x: float = 0.0, number: int = 0, joints: int = 38, **more: Any) -> Content:
    """Return a body, moved to the right."""
    moved = (points(joints) + np.array([x, 0, 0])).tolist()
    return {"id": number, "tracking_state": "OK", "keypoint": moved, "keypoint_confidence": [80.0] * joints, **more}


def dump(*frames: list[Content], step: int = 40_000_000) -> dict[str, Content]:
    """Return a dump as the sample in Python writes it."""
    times = [START + step * number for number in range(len(frames))]
    return {
        str(time // 1_000_000): {"is_new": True, "is_tracked": True, "timestamp": time, "body_list": bodies}
        for time, bodies in zip(times, frames, strict=True)
    }


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_content(content: object, layout: str = "zed38") -> Clip:
        (tmp_path / "wave").mkdir(exist_ok=True)
        (tmp_path / "wave" / "take_P7.json").write_text(json.dumps(content))
        reader = get_reader("zed", Source(load_layout(layout), 2, ("wave",)))
        (entry,) = reader.entries(tmp_path)
        return reader.read(entry)

    return read_content


def test_joints_confidences_and_times_in_nanoseconds_are_read(read: Read) -> None:
    clip = read(dump([body()], [body(0.5)], [body(1.0)]))
    assert (clip.name, clip.subject) == ("wave/take_P7", 7)
    assert clip.fps == pytest.approx(25)
    turned = (points() - points()[0] + np.array([1, 0, 0])) * [-1, 1, -1]
    np.testing.assert_allclose(clip.joints[0, 2], turned, atol=1e-6)
    assert clip.confidence is not None and set(np.unique(clip.confidence)) == {round(0.8 * 254) + 1}


@pytest.mark.parametrize(("layout", "joints"), [("zed18", 18), ("zed34", 34), ("zed38", 38)])
def test_each_of_its_body_formats_is_read(read: Read, layout: str, joints: int) -> None:
    assert read(dump([body(joints=joints)]), layout=layout).joints.shape == (1, 1, joints, 3)


def test_a_joint_of_nan_or_null_is_missing(read: Read) -> None:
    lost = body()
    lost["keypoint"][4], lost["keypoint"][5] = [float("nan")] * 3, [None] * 3
    lost["keypoint_confidence"][6] = None
    assert np.argwhere(~read(dump([lost])).joint_mask)[:, 2].tolist() == [4, 5, 6]


def test_frames_are_ordered_by_their_times_and_may_be_a_list_or_lack_bodies(read: Read) -> None:
    frames = list(dump([body(0.0)], [body(0.1)], [body(0.2)]).values())
    clip = read([frames[2], frames[0], frames[1]])
    assert (clip.joints[0, :, 0, 0] * 10).round().tolist() == [0, -1, -2]
    del frames[1]["body_list"]
    assert read(frames).frame_mask.tolist() == [[True, False, True]]


def test_bodies_are_told_apart_by_their_numbers(read: Read) -> None:
    clip = read(dump([body(0, 4), body(3, 1)], [body(3, 1), body(0, 4)]))
    assert clip.joints[:, :, 0, 0].tolist() == [[0, 0], [-3, -3]]


def test_a_dump_without_bodies_is_dropped(read: Read) -> None:
    for content in ({}, [], dump([], [])):
        with pytest.raises(DroppedClip, match="no skeleton"):
            read(content)


WRONG = [
    (dump([body(joints=34)]), "should have the 38 joints of the layout, not 34"),
    (dump([body(keypoint=None)]), "should be a list, not null"),
    (dump([body(keypoint=[3] * 38)]), "should be a list, not a number"),
    (dump([body(keypoint_confidence=[101.0] * 38)]), "should hold numbers from 0 to 100"),
    (dump([body(keypoint_confidence=[-1.0] * 38)]), "should hold numbers from 0 to 100"),
    (dump([body(keypoint_confidence=[1.0])]), "should have 38 numbers, not 1"),
    (dump([body(), body()]), "two bodies of the track 0"),
    (dump([body()], [body()], step=4_000_000_000_000), "frames per second"),
    ({"1": {"timestamp": "x", "body_list": []}}, "`timestamp` of frame 1 should be a number, not a text"),
    ({"1": {"timestamp": 1, "body_list": 3}}, "`body_list` of frame 1 should be a list"),
    ({"1": {"timestamp": 1, "body_list": [3]}}, "a body of frame 1 should be an object"),
    ({"1": 3}, "should hold frames with `timestamp`"),
    (3, "should hold frames with `timestamp`"),
    ({"k4abt_sdk_version": "1", "frames": []}, "it looks like a file of `data.format: kinect_azure`"),
]


@pytest.mark.parametrize(("content", "problem"), WRONG, ids=[problem for _, problem in WRONG])
def test_other_content_is_refused(read: Read, content: object, problem: str) -> None:
    with pytest.raises(BadClip, match=problem):
        read(content)
