"""NVIDIA's body poses, as deepstream-bodypose-3d saves them."""

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


def points() -> np.ndarray:
    """Return joints in millimetres from the camera, y down."""
    return np.stack([np.arange(34) % 5 * 100.0, np.arange(34) * -50.0, 3000 + np.arange(34) % 3 * 100.0], axis=1)


def body(number: int = 0, x: float = 0.0, confidence: float = 0.5, **more: Any) -> Content:
    scores = np.full((34, 1), confidence)
    space = np.concatenate([points() + np.array([x, 0, 0]), scores], axis=1)
    picture = np.concatenate([points()[:, :2] / 2 + np.array([x, 0]), np.zeros((34, 1)), scores], axis=1)
    return {"object_id": number, "pose25d": picture.ravel().tolist(), "pose3d": space.ravel().tolist(), **more}


def saved(frames: dict[int, list[Content]]) -> list[Content]:
    return [
        {
            "num_frames_in_batch": 1,
            "batches": [
                {
                    "batch_id": 0,
                    "frame_num": number,
                    "ntp_timestamp": 1639431716322229000,
                    "num_obj_meta": len(bodies),
                    "objects": bodies,
                }
            ],
        }
        for number, bodies in frames.items()
    ]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_content(content: object, layout: str = "tao34") -> Clip:
        (tmp_path / "wave").mkdir(exist_ok=True)
        (tmp_path / "wave" / "take_P7.json").write_text(json.dumps(content))
        reader = get_reader("tao", Source(load_layout(layout), 2, ("wave",)))
        (entry,) = reader.entries(tmp_path)
        return reader.read(entry)

    return read_content


def test_poses_in_space_are_in_metres_with_y_up(read: Read) -> None:
    clip = read(saved({3: [body()], 4: [body()]}))
    assert (clip.name, clip.subject, clip.fps, clip.joints.shape) == ("wave/take_P7", 7, 0.0, (1, 2, 34, 3))
    expected = points() * [-1, -1, 1] / 1000
    np.testing.assert_allclose(clip.joints[0, 0], expected - expected[0], atol=1e-6)
    assert clip.confidence is not None and (clip.confidence == 1 + 127).all()


def test_poses_in_the_picture_are_in_pixels(read: Read) -> None:
    clip = read(saved({0: [body()]}), "tao34_2d")
    np.testing.assert_allclose(clip.joints[0, 0], points()[:, :2] / 2, atol=1e-6)


def test_objects_are_bodies_and_a_joint_without_confidence_is_missing(read: Read) -> None:
    second = body(9, x=800)
    second["pose3d"][4 * 5 + 3] = 0.0
    clip = read(saved({0: [body(4), second], 1: [second, body(4)]}))
    assert clip.joints.shape[:2] == (2, 2) and clip.confidence is not None
    assert np.argwhere(clip.confidence == 0).tolist() == [[1, 0, 5], [1, 1, 5]]
    np.testing.assert_allclose(clip.joints[1, :, 0], [[-0.8, 0, 0]] * 2, atol=1e-6)


def test_frames_that_are_left_out_have_no_body_in_them(read: Read) -> None:
    clip = read(saved({5: [body()], 7: [body()], 6: [], 9: [body()]}))
    assert clip.joints.shape[1] == 3  # frames without any body are dropped
    both = read(saved({5: [body(1), body(2, 900)], 7: [body(1)], 8: [body(1), body(2, 900)]}))
    np.testing.assert_array_equal(both.frame_mask, [[True] * 3, [True, False, True]])


def test_bodies_without_a_track_are_matched_by_position(read: Read) -> None:
    untracked = 2**64 - 1
    clip = read(saved({0: [body(untracked), body(untracked, 900)], 1: [body(untracked, 900), body(untracked)]}))
    np.testing.assert_allclose(np.ptp(clip.joints[:, :, 0, 0], axis=1), 0, atol=1e-6)


def test_a_file_without_a_body_is_dropped(read: Read) -> None:
    for content in (saved({0: []}), []):
        with pytest.raises(DroppedClip, match="no skeleton"):
            read(content)


def changed(**values: Any) -> list[Content]:
    content = saved({0: [body()]})
    content[0]["batches"][0].update(values)
    return content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"frames": []}, "should hold a list of `num_frames_in_batch` and `batches`"),
        ([{"image_id": 1, "keypoints": [1.0] * 51}], "it looks like a file of `data.format: coco`"),
        (changed(frame_num=None), "should have a whole number as its `frame_num`"),
        (saved({0: [body()]}) + saved({0: [body()]}), "has frame 0 twice: save the poses of each camera"),
        (changed(objects=None), "`objects` of frame 0 should be a list, not null"),
        (changed(objects=[1]), "an object of frame 0 should be an object, not a number"),
        (saved({0: [body(pose3d=[0.0] * 100)]}), "`pose3d` of an object of frame 0 should have 136 numbers, not 100"),
        (saved({0: [{"pose25d": []}]}), "has no `pose3d`, but `pose25d`: use a layout of 2 coordinates"),
        (saved({0: [{"object_id": 1}]}), "an object of frame 0 has no `pose3d`$"),
        (saved({0: [body()], 2**40: [body()]}), "its frames are 0 to 1099511627776; at most"),
        (saved({0: [body(confidence=90)]}), "a joint has the score 90"),
        (saved({0: [body(1), body(1)]}), "frame 1 has two bodies of the track 1"),
    ],
)
def test_what_is_wrong_is_named(content: object, reason: str, read: Read) -> None:
    with pytest.raises(BadClip, match=reason):
        read(content)
