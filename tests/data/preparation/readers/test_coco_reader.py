"""The reader of key points in COCO's form."""

import json
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
Content = dict[str, Any]


def points(x: float = 100.0, score: float = 0.8, joints: int = 17) -> np.ndarray:
    """Return a body's x, y and score, (V, 3)."""
    return np.stack([x + np.arange(joints) % 3, 50.0 + 4 * np.arange(joints), np.full(joints, score)], axis=1)


def result(image: object, x: float = 100.0, score: float = 0.8, **more: Any) -> Content:
    flat = points(x, score).ravel().tolist()
    return {"image_id": image, "category_id": 1, "bbox": [x, 50.0, 3.0, 68.0], "score": 0.9, "keypoints": flat, **more}


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_content(content: object, bodies: int = 2) -> Clip:
        (tmp_path / "wave").mkdir(exist_ok=True)
        (tmp_path / "wave" / "take_P7.json").write_text(json.dumps(content))
        reader = get_reader("coco", Source(load_layout("coco17_2d"), bodies, ("wave",)))
        (entry,) = reader.entries(tmp_path)
        return reader.read(entry)

    return read_content


def path_of(clip: Clip) -> list[list[float]]:
    """Return how far the first joint of each body is from the origin."""
    found: list[list[float]] = clip.joints[:, :, 0, 0].tolist()
    return found


def test_results_are_read_with_scores_in_the_order_of_their_images(read: Read) -> None:
    clip = read([result(10, 103), result(2, 101), result(1, 100)])
    assert (clip.name, clip.label, clip.subject, clip.fps) == ("wave/take_P7", 0, 7, 0.0)
    assert path_of(clip) == [[0, 1, 3]]
    assert clip.confidence is not None and set(np.unique(clip.confidence)) == {round(0.8 * 254) + 1}


def test_images_that_are_named_are_ordered_by_the_numbers_in_their_names(read: Read) -> None:
    names = ["a_10.jpg", "a_9.jpg", "a_009.jpg.png", "a_1.jpg"]
    clip = read([result(name, 100 + place) for place, name in enumerate(names)])
    assert path_of(clip) == [[0, -2, -1, -3]]


@pytest.mark.parametrize("key", ["track_id", "idx"])
def test_bodies_are_told_apart_by_their_tracks(read: Read, key: str) -> None:
    clip = read(
        [result(1, 100, **{key: 4}), result(1, 900, **{key: 2}), result(2, 100, **{key: 2}), result(2, 900, **{key: 4})]
    )
    assert path_of(clip) == [[0, 800], [800, 0]]


def test_bodies_without_tracks_are_told_apart_by_their_places(read: Read) -> None:
    clip = read([result(1, 100), result(1, 900), result(2, 901), result(2, 101)])
    assert path_of(clip) == [[0, 1], [800, 801]]


def test_annotations_tell_missing_occluded_and_visible_joints(read: Read) -> None:
    first, second = points(100, 2), points(102, 2)
    first[3], second[4, 2] = 0, 1
    annotations = [
        {"image_id": 8, "keypoints": second.ravel().tolist()},
        {"image_id": 9, "keypoints": first.ravel().tolist()},
    ]
    images = [{"id": 8, "file_name": "f2.jpg"}, {"id": 9, "file_name": "f1.jpg"}, {"id": 3, "file_name": "f3.jpg"}]
    clip = read(
        {"images": images, "annotations": [*annotations, {"image_id": 3, "bbox": [1, 2, 3, 4]}], "categories": []}
    )
    assert path_of(clip) == [[0, 2]]
    assert np.argwhere(~clip.joint_mask).tolist() == [[0, 0, 3]]
    assert clip.confidence is not None and clip.confidence[0, 1, 4] == 128 and clip.confidence[0, 1, 5] == 255


def test_flags_of_visibility_are_recognised_in_results_too(read: Read) -> None:
    flagged = points()
    flagged[:, 2] = 2
    flagged[4, 2], flagged[5, 2] = 1, 0
    clip = read([result(1) | {"keypoints": flagged.ravel().tolist()}])
    assert clip.confidence is not None
    assert clip.confidence[0, 0, 3:7].tolist() == [255, 128, 0, 255]


@pytest.mark.parametrize("highest", [1, 2], ids=["hidden joints alone", "visible joints"])
def test_a_flag_that_is_null_is_a_missing_joint(read: Read, highest: int) -> None:
    flagged: list[Any] = points(score=highest).ravel().tolist()
    flagged[3 * 4 + 2] = None
    annotated = {"images": [{"id": 1}], "annotations": [{"image_id": 1, "keypoints": flagged}]}
    for content in (annotated, *([[result(1) | {"keypoints": flagged}]] if highest == 2 else [])):
        clip = read(content)
        assert np.argwhere(~clip.joint_mask).tolist() == [[0, 0, 4]]
        assert clip.confidence is not None and clip.confidence[0, 0, 3:6].tolist() == [
            127 * highest + 1,
            0,
            127 * highest + 1,
        ]


def test_frames_of_mmpose_are_read(read: Read) -> None:
    def instance(x: float) -> Content:
        return {
            "keypoints": points(x)[:, :2].tolist(),
            "keypoint_scores": [1.3] * 17,
            "bbox": [[1, 2, 3, 4]],
            "bbox_score": 0.9,
        }

    frames = [
        {"frame_id": 2, "instances": [instance(101)]},
        {"frame_id": 1, "instances": [instance(100)]},
        {"frame_id": 3, "instances": []},
    ]
    for content in ({"meta_info": {}, "instance_info": frames}, frames):
        clip = read(content)
        assert path_of(clip) == [[0, 1]] and clip.confidence is None


def test_frames_of_ultralytics_are_read(read: Read) -> None:
    def detection(x: float, track: int) -> Content:
        axes = points(x)
        keypoints = {"x": axes[:, 0].tolist(), "y": axes[:, 1].tolist(), "visible": axes[:, 2].tolist()}
        return {
            "name": "person",
            "class": 0,
            "confidence": 0.9,
            "box": {"x1": x},
            "track_id": track,
            "keypoints": keypoints,
        }

    assert path_of(read([[detection(100, 1), detection(900, 2)], [], [detection(901, 2), detection(101, 1)]])) == [
        [0, 1],
        [800, 801],
    ]


def test_a_file_without_a_body_is_dropped(read: Read) -> None:
    for content in ([], [[], []], {"images": [], "annotations": []}, {"instance_info": []}):
        with pytest.raises(DroppedClip, match="no skeleton"):
            read(content)


WRONG = [
    ([result(1, keypoints=points(joints=26).ravel().tolist())], "a body of frame 1 has 26 joints; coco17_2d has 17"),
    ([result(1, keypoints=[1.0] * 50)], "should have x, y and score of each joint, not 50 numbers"),
    ([result(1, keypoints=["1"] * 51)], "should hold numbers"),
    ([result(1, keypoints=None)], "should be a list, not null"),
    ([result(1, keypoints=[[1, 2]] * 17)], "the scores of a body of frame 1 should be a list, not null"),
    ([result(1, keypoints=[[1, 2]] * 17, keypoint_scores=[1])], "17 joints and 1 scores"),
    ([result(1, keypoints=[[1, 2, 3]] * 17, keypoint_scores=[1] * 17)], "should have 2 numbers, not 3"),
    ([result(1, keypoints={"x": [1.0], "y": [1.0, 2.0]})], "lists of different lengths"),
    ([result(1, keypoints={})], "`x` of a body of frame 1 should be a list"),
    ([result(1, score=80)], "has the score 80; it should be from 0 to 1"),
    ([result(1, score=-1)], "has the confidence -1"),
    ([result(True)], "a whole number or a text"),
    ([result([1])], "a whole number or a text"),
    ([result(1, track_id=1), result(1, track_id=1)], "two bodies of the track 1"),
    ([result(1)] * 301, "has 301 bodies"),
    ([{"keypoints": []}], "should hold a list of `image_id` and `keypoints`"),
    ({"annotations": [], "images": 3}, "`images` should be a list"),
    ({"annotations": [3], "images": []}, "an item of `annotations` should be an object"),
    ({"annotations": [result(4)], "images": [{"id": 3}]}, "of image 4, which is not in `images`"),
    ({"instance_info": [{"instances": 3}]}, "`instances` should be a list"),
    ({"instance_info": [{"frame_id": 1.5, "instances": []}]}, "a whole number or a text"),
    ({"people": []}, "it looks like a file of `data.format: openpose`"),
    (3, "should hold a list of"),
]


@pytest.mark.parametrize(("content", "problem"), WRONG, ids=[problem for _, problem in WRONG])
def test_other_content_is_refused(read: Read, content: object, problem: str) -> None:
    with pytest.raises(BadClip, match=problem):
        read(content)


def test_a_layout_of_three_coordinates_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    reader = get_reader("coco", Source(load_layout("coco17"), 1, ("wave",)))
    with pytest.raises(UserError, match=r"coco17 has three coordinates.*use layout: coco17_2d"):
        reader.entries(tmp_path)
