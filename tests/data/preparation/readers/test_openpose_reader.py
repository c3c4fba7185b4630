"""The reader of OpenPose's folders of frames."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from last.data.preparation.formats import BadClip, DroppedClip, Source, get_reader
from last.data.store.clip import Clip
from last.skeleton import load_layout
from last.utils.errors import UserError

Read = Callable[..., Clip]


def a_person(x: float = 100.0, joints: int = 25, coordinates: int = 2, **more: Any) -> dict[str, Any]:
    """Return a person as OpenPose writes one: a column of joints, sure of each."""
    points = np.zeros((joints, coordinates + 1))
    points[:, 0], points[:, 1], points[:, -1] = x + np.arange(joints) % 3, 50.0 + 4 * np.arange(joints), 0.9
    empty = {"face_keypoints_2d": [], "hand_left_keypoints_2d": [], "pose_keypoints_3d": []}
    return {"person_id": [-1], **empty, f"pose_keypoints_{coordinates}d": points.ravel().tolist(), **more}


def write_frame(path: Path, *people: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 1.3, "people": people}))


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_frames(*frames: list[Any], layout: str = "body25_2d", bodies: int = 2) -> Clip:
        for number, people in enumerate(frames):
            write_frame(tmp_path / "wave" / "take" / f"take_{number:012}_keypoints.json", *people)
        reader = get_reader("openpose", Source(load_layout(layout), bodies, ("wave",)))
        (entry,) = reader.entries(tmp_path)
        return reader.read(entry)

    return read_frames


def test_pixels_and_confidences_are_read_and_a_joint_of_zeros_is_missing(read: Read) -> None:
    person = a_person()
    person["pose_keypoints_2d"][3 * 4 : 3 * 4 + 3] = [0, 0, 0]
    clip = read([person], [a_person(102.0)])
    assert (clip.name, clip.label, clip.fps) == ("wave/take", 0, 0.0)
    assert np.argwhere(~clip.joint_mask).tolist() == [[0, 0, 4]]
    assert clip.confidence is not None and clip.confidence.max() == round(0.9 * 254) + 1
    points = np.array(a_person()["pose_keypoints_2d"]).reshape(25, 3)[:, :2]
    np.testing.assert_allclose(clip.joints[0, 1], points + np.array([2, 0]) - points[1], atol=1e-4)


def test_the_models_of_18_joints_and_three_coordinates_are_read(read: Read) -> None:
    assert read([a_person(joints=18)], layout="openpose18_2d").joints.shape == (1, 1, 18, 2)
    assert read([a_person(coordinates=3)], layout="body25").joints.shape == (1, 1, 25, 3)


def test_people_keep_their_places_though_openpose_orders_them_anew_in_every_frame(read: Read) -> None:
    clip = read([a_person(100), a_person(900)], [a_person(901), a_person(101)], [a_person(102), a_person(902)])
    assert clip.joints[:, :, 1, 0].tolist() == [[0, 1, 2], [800, 801, 802]]


def test_frames_are_ordered_by_their_numbers(tmp_path: Path) -> None:
    for number in (2, 10, 0):
        write_frame(tmp_path / "wave" / "take" / f"v_{number}_keypoints.json", a_person(100.0 + number))
    reader = get_reader("openpose", Source(load_layout("body25_2d"), 1, ("wave",)))
    clip = reader.read(reader.entries(tmp_path)[0])
    assert clip.joints[0, :, 1, 0].tolist() == [0, 2, 10]


def test_a_face_alone_is_no_body_and_a_recording_without_bodies_is_dropped(read: Read) -> None:
    face = a_person(pose_keypoints_2d=[], face_keypoints_2d=[1.0] * 210)
    with pytest.raises(DroppedClip, match="no skeleton"):
        read([face], [])
    assert read([face], [a_person()]).joints.shape == (1, 1, 25, 2)


def test_recordings_are_named_after_their_folder_or_their_video(tmp_path: Path) -> None:
    for name in ("wave/P3/take1/a_0", "wave/two/b_0", "wave/two/c_0", "wave/two/c_1", "wave/d2_0", "wave/0"):
        write_frame(tmp_path / f"{name}_keypoints.json", a_person())
    (tmp_path / "wave" / "two" / "b.mp4").write_text("video")
    (tmp_path / "wave" / "two" / "._c_1_keypoints.json").write_text("macOS")
    reader = get_reader("openpose", Source(load_layout("body25_2d"), 1, ("wave",)))
    entries = {entry.name: entry for entry in reader.entries(tmp_path)}
    assert sorted(entries) == ["wave/P3/take1", "wave/d2", "wave/frames", "wave/two/b", "wave/two/c"]
    assert reader.read(entries["wave/P3/take1"]).subject == 3
    assert reader.read(entries["wave/two/c"]).joints.shape[1] == 2


WRONG = [
    ({"people": [a_person(joints=18)]}, "54 numbers; body25_2d needs 75: use layout: openpose18_2d"),
    ({"people": [a_person(joints=15)]}, "45 numbers; body25_2d needs 75$"),
    ({"people": [{"pose_keypoints_3d": [1.0]}]}, "but `pose_keypoints_3d`: use a layout of 3 coordinates"),
    ({"people": [{}]}, "has no `pose_keypoints_2d`$"),
    ({"people": [3]}, "a person should be an object, not a number"),
    ({"people": {}}, "`people` should be a list, not an object"),
    ({"people": [a_person(pose_keypoints_2d=["1"] * 75)]}, "should hold numbers"),
    ({"people": [a_person(pose_keypoints_2d=[1e400] * 75)]}, "has an infinite number"),
    ({"people": [a_person(pose_keypoints_2d=[90.0] * 75)]}, "has the score 90; it should be from 0 to 1"),
    ({"people": [a_person(pose_keypoints_2d=[-0.5] * 75)]}, "has the confidence -0.5"),
    ({"people": [a_person()] * 301}, "has 301 bodies"),
    ({"persons": []}, "should hold an object with `people`$"),
    ({"skeletons": [], "label": 1}, "it looks like a file of `data.format: nw_ucla`"),
    ([1, 2], "should hold an object with `people`$"),
]


@pytest.mark.parametrize(("content", "problem"), WRONG, ids=[problem for _, problem in WRONG])
def test_a_frame_of_other_content_is_refused_with_its_name(tmp_path: Path, content: object, problem: str) -> None:
    path = tmp_path / "wave" / "take" / "v_000000000007_keypoints.json"
    write_frame(path, a_person())
    path.write_text(json.dumps(content))
    reader = get_reader("openpose", Source(load_layout("body25_2d"), 2, ("wave",)))
    with pytest.raises(BadClip, match=problem) as caught:
        reader.read(reader.entries(tmp_path)[0])
    assert "bodies" in problem or "confidence" in problem or "score" in problem or path.name in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"people": [' + "9" * 5000 + "]}", '"\\ud800"', "\xff"])
def test_a_frame_that_is_no_json_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wave" / "take" / "v_1_keypoints.json"
    write_frame(path)
    path.write_bytes(text.encode("latin-1"))
    reader = get_reader("openpose", Source(load_layout("body25_2d"), 2, ("wave",)))
    with pytest.raises(BadClip, match="v_1_keypoints"):
        reader.read(reader.entries(tmp_path)[0])


def test_a_folder_without_frames_is_refused_with_what_lies_there(tmp_path: Path) -> None:
    (tmp_path / "wave" / "take").mkdir(parents=True)
    (tmp_path / "wave" / "take" / "one.json").write_text("{}")
    reader = get_reader("openpose", Source(load_layout("body25_2d"), 2, ("wave",)))
    with pytest.raises(UserError, match=r"1 \.json \(.*one\.json\): expected files class_name/recording/NAME_0"):
        reader.entries(tmp_path)


def test_a_changed_frame_changes_what_its_recording_is_known_by(tmp_path: Path) -> None:
    from last.data.preparation.chunks import _changed_ns

    write_frame(tmp_path / "wave" / "take" / "v_1_keypoints.json", a_person())
    before = _changed_ns(tmp_path / "wave" / "take")
    os.utime(tmp_path / "wave" / "take" / "v_1_keypoints.json", ns=(before + 5, before + 5))
    assert _changed_ns(tmp_path / "wave" / "take") == before + 5
