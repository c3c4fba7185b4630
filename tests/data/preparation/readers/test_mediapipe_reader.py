"""The reader of MediaPipe's landmarks."""

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
UPRIGHT = np.stack([np.arange(33) % 3 / 10, np.arange(33) / 20 - 0.8, np.arange(33) % 5 / 20], axis=1)  # y is down


def body(x: float = 0.0, joints: int = 33, **more: Any) -> list[Content]:
    """Return the landmarks of a body, moved to the right."""
    points = UPRIGHT[:joints] + np.array([x, 0.0, 0.0])
    keys = {"visibility": 0.9, "presence": 0.99, **more}
    return [{"x": x, "y": y, "z": z, **keys} for x, y, z in points.tolist()]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_content(content: object, layout: str = "mediapipe33", bodies: int = 2) -> Clip:
        (tmp_path / "wave").mkdir(exist_ok=True)
        (tmp_path / "wave" / "take_P7.json").write_text(json.dumps(content))
        reader = get_reader("mediapipe", Source(load_layout(layout), bodies, ("wave",)))
        (entry,) = reader.entries(tmp_path)
        return reader.read(entry)

    return read_content


def path_of(clip: Clip) -> list[list[float]]:
    """Return how far to the left each body is, in tenths."""
    found: list[list[float]] = (clip.joints[:, :, 0, 0] * 10).round().tolist()
    return found


WORLD = ["pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks"]


@pytest.mark.parametrize("key", [*WORLD, "pose_landmarks", "poseLandmarks", "landmarks"])
def test_landmarks_are_read_under_each_of_their_names_with_y_up_and_left_on_the_left(read: Read, key: str) -> None:
    clip = read(
        [
            {key: body()},
            {key: [body()]},
            {key: {"landmark": body()}},
            {key: [{"landmark": body()}]},
            {key: []},
            {key: None},
        ]
    )
    assert (clip.name, clip.subject, clip.joints.shape, clip.fps) == ("wave/take_P7", 7, (1, 4, 33, 3), 0.0)
    turned = (UPRIGHT - UPRIGHT[0]) * (-1, -1, 1)
    np.testing.assert_allclose(clip.joints[0], np.stack([turned] * 4), atol=1e-6)
    assert clip.confidence is not None and set(np.unique(clip.confidence)) == {round(0.9 * 254) + 1}


def test_world_landmarks_are_preferred_to_those_in_the_picture(read: Read) -> None:
    frame = {"pose_landmarks": body(0.3), "pose_world_landmarks": body()}
    later = {"pose_landmarks": body(0.3), "pose_world_landmarks": body(0.2)}
    assert path_of(read({"frames": [frame, later]})) == [[0, -2]]


def test_people_are_told_apart_in_the_picture_since_all_world_landmarks_are_around_their_own_hips(read: Read) -> None:
    def frame(*people: tuple[float, float]) -> Content:
        return {"pose_landmarks": [body(x) for x, _ in people], "pose_world_landmarks": [body(z) for _, z in people]}

    clip = read([frame((0.1, 0.0), (3.0, 0.2)), frame((3.1, 0.2), (0.2, 0.0)), frame((0.3, 0.0), (3.2, 0.2))])
    assert path_of(clip) == [[0, 0, 0], [-2, -2, -2]]


def test_shares_of_the_picture_become_shares_of_its_height(read: Read) -> None:
    frames = [{"landmarks": body()}, {"landmarks": body(0.1)}]
    assert path_of(read({"frames": frames, "width": 1920, "height": 960})) == [[0, -2]]
    assert path_of(read({"frames": frames})) == [[0, -1]]


@pytest.mark.parametrize(
    ("key", "step"), [("timestamp_ms", 40), ("timestampMs", 40.0), ("timestamp", 40), ("timestamp", 0.04)]
)
def test_times_are_read_in_milliseconds_or_in_seconds(read: Read, key: str, step: float) -> None:
    frames = [{"pose_landmarks": body(n / 10), key: n * step} for n in (0, 1, 2, 4)]
    clip = read(frames)
    assert clip.fps == pytest.approx(25) and clip.retimed == "1 gap"
    assert path_of(clip)[0][::2] == [0, -2, -4]


def test_a_frame_rate_is_read(read: Read) -> None:
    assert read({"fps": 30, "frames": [{"pose_landmarks": body()}]}).fps == 30


@pytest.mark.parametrize("visibility", [0.0, None])
def test_landmarks_without_visibilities_are_all_certain(read: Read, visibility: float | None) -> None:
    hand = [{**each, "visibility": visibility} for each in body(joints=21)]
    assert read([{"landmarks": [hand]}], layout="hand21").confidence is None


HANDS = ["hand_world_landmarks", "hand_landmarks", "multi_hand_world_landmarks", "multiHandLandmarks"]


@pytest.mark.parametrize("key", [*HANDS, *WORLD, "pose_landmarks", "landmarks"])
def test_hands_are_read_under_each_of_their_names(read: Read, key: str) -> None:
    frames = [{key: [body(x, joints=21)], "handedness": [[{"category_name": "Left"}]]} for x in (0.0, 0.1)]
    clip = read(frames, layout="hand21")
    assert clip.joints.shape == (1, 2, 21, 3) and path_of(clip) == [[0, -1]]


def test_hands_are_told_apart_in_the_picture_since_each_has_its_own_origin(read: Read) -> None:
    apart = [body(joints=21), body(5.0, joints=21)]
    frames = [
        {"hand_landmarks": order(apart), "hand_world_landmarks": order([body(joints=21), body(0.3, joints=21)])}
        for order in (list, lambda hands: hands[::-1])
    ]
    assert path_of(read(frames, layout="hand21")) == [[0, 0], [-3, -3]]


def test_of_a_body_and_its_hands_the_layout_says_which_is_read(read: Read) -> None:
    frame = {"pose_world_landmarks": [body()], "hand_landmarks": [body(joints=21)]}
    assert read([frame]).joints.shape[2] == 33
    assert read([frame], layout="hand21").joints.shape[2] == 21
    with pytest.raises(BadClip, match="has 21 landmarks; mediapipe33 has 33 joints"):
        read([{"hand_landmarks": [body(joints=21)]}])


def test_a_frame_may_be_a_bare_list_of_landmarks(read: Read) -> None:
    assert path_of(read([body(), [], None, [body(0.1)]])) == [[0, -1]]


def test_a_file_without_a_body_is_dropped(read: Read) -> None:
    for content in ([], {"frames": []}, [{"pose_landmarks": None}]):
        with pytest.raises(DroppedClip, match="no skeleton"):
            read(content)


WRONG = [
    ([{"landmarks": body(joints=21)}], "frame 1 has 21 landmarks; mediapipe33 has 33 joints"),
    ([{"landmarks": "x"}], "should be a list, not a text"),
    ([{"landmarks": 3}], "should be a list, not a number"),
    ([{"landmarks": {"x": 1}}], "should be a list, not null"),
    ([{"landmarks": [3] * 33}], "should be a list, not a number"),
    ([{"landmarks": [*body()[:32], 3]}], "a landmark of frame 1 should be an object"),
    ([{"landmarks": body(visibility="x")}], "should hold numbers"),
    ([{"landmarks": body(visibility=True)}], "should hold numbers"),
    ([{"landmarks": body(visibility=90)}], "has the confidence 90; it should be from 0 to 1"),
    ([{"landmarks": body(y=1e400)}], "has an infinite number"),
    ([{"landmarks": [body()] * 301}], "frame 1 has 301 bodies"),
    ([{"landmarks": body()}, 3], "frame 2 should be an object"),
    (
        [{"landmarks": body(), "timestamp_ms": 0}, {"landmarks": body()}],
        "`timestamp_ms` of frame 2 should be a number, not null",
    ),
    ([{"landmarks": body(), "timestamp_ms": n * 1e6} for n in range(3)], "frames per second"),
    ({"frames": [{"landmarks": body()}], "fps": 0}, "`fps` should be a number from"),
    ({"frames": [{"landmarks": body()}], "width": 0, "height": 5}, "no size of a picture"),
    ({"frames": [{"a": 1}]}, "should hold a list of frames with"),
    ([{"people": []}], "it looks like a file of `data.format: openpose`"),
    ([{"image_id": 1, "keypoints": []}], "it looks like a file of `data.format: coco`"),
    (3, "should hold a list of frames"),
]


@pytest.mark.parametrize(("content", "problem"), WRONG, ids=[problem for _, problem in WRONG])
def test_other_content_is_refused(read: Read, content: object, problem: str) -> None:
    with pytest.raises(BadClip, match=problem):
        read(content)


def test_a_landmark_without_coordinates_is_missing(read: Read) -> None:
    landmarks = body()
    landmarks[7] = {"x": None, "y": None, "z": None, "visibility": 0.1}
    assert np.argwhere(~read([{"landmarks": landmarks}]).joint_mask).tolist() == [[0, 0, 7]]
