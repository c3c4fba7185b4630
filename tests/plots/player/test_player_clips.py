"""Clips as the player gets them: small, exact enough, and without what is missing."""

from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from last.plots.drawing import DARK, LIGHT, lines_of
from last.plots.player import PlayedClip, Version, bytes_of, encode, largest_error
from last.plots.running_labels import LabelledFrames, RunningLabels
from last.skeleton import Layout, list_layouts, load_layout
from last.utils.errors import UserError

LAYOUT = load_layout("sbu15")
PAIR = Layout("pair", ("one", "other"), ((1, 0),), 0, 0, ())


def joints_of(layout: Layout = LAYOUT, bodies: int = 1, frames: int = 5) -> NDArray[np.float32]:
    shape = (bodies, frames, layout.num_joints, layout.coordinates)
    return np.random.default_rng(0).uniform(-0.8, 0.8, shape).astype(np.float32)


def encoded(version: Version, layout: Layout = LAYOUT) -> dict[str, Any]:
    found: dict[str, Any] = encode([PlayedClip("clip", layout, [version])])["clips"][0]["versions"][0]
    return found


def decoded(version: dict[str, Any], layout: Layout = LAYOUT) -> NDArray[np.float64]:
    """Return what the player computes: joints (M, T, V, C), NaN where one is missing."""
    numbers = np.frombuffer(b64decode(version["joints"]), "<i2")
    numbers = numbers.reshape(version["bodies"], version["frames"], layout.num_joints, layout.coordinates)
    values = numbers * version["step"] + np.array(version["offset"])
    return np.where(numbers == -32768, np.nan, values)


@pytest.mark.parametrize("name", list_layouts())
def test_joints_of_every_layout_come_back_within_the_stated_error(name: str) -> None:
    layout = load_layout(name)
    joints = joints_of(layout, bodies=2)
    version = encoded(Version(joints), layout)
    upwards = np.array([1, -1] if layout.flat else [1, 1, 1])  # in a picture y points down
    assert np.abs(decoded(version, layout) - joints * upwards).max() <= largest_error(version["scene"]["radius"]) * 1.01


def test_the_error_is_at_most_a_quarter_of_a_millimetre_in_a_scene_of_a_metre() -> None:
    assert largest_error(1.0) <= 0.00025


def test_the_error_does_not_grow_with_the_unit_or_one_joint_that_is_far_away() -> None:
    joints = joints_of(frames=80)
    outlier = joints.copy()
    outlier[0, 3, 2] = 1e5
    plain, far = encoded(Version(joints)), encoded(Version(outlier))
    assert far["step"] == pytest.approx(plain["step"], rel=0.05)
    assert encoded(Version(joints * 1000))["step"] == pytest.approx(1000 * plain["step"])
    assert decoded(far)[0, 3, 2].max() > 5  # it is still far away


def test_the_bytes_of_a_clip_are_those_stated() -> None:
    version = encoded(Version(joints_of(bodies=2), confidence=np.full((2, 5, 15), 0.5)))
    assert len(version["joints"]) + len(version["confidence"]) == bytes_of(5, 2, LAYOUT, with_confidence=True)


@pytest.mark.parametrize("how", ["NaN", "infinite", "mask"])
def test_a_missing_joint_is_missing_in_the_player(how: str) -> None:
    joints, mask = joints_of(), np.ones((1, 5, 15), bool)
    if how == "mask":
        mask[0, 2, 3] = False
    else:
        joints[0, 2, 3, 1] = np.nan if how == "NaN" else np.inf
    missing = np.isnan(decoded(encoded(Version(joints, joint_mask=mask))))
    assert missing[0, 2, 3].all() and missing.sum() == 3


def test_a_body_that_is_never_present_takes_no_room_and_keeps_the_floor_of_the_other() -> None:
    joints = joints_of(bodies=2)
    joints[0] = 0
    version = encoded(Version(joints, confidence=np.stack([np.ones((5, 15)), np.zeros((5, 15))])))
    assert version["bodies"] == 1
    assert len(version["scene"]["floors"]) == 1 and version["scene"]["floors"][0] is not None
    assert set(b64decode(version["confidence"])) == {0}


def test_a_body_keeps_its_number_and_so_its_colours_if_another_is_never_present() -> None:
    joints = joints_of(bodies=2)
    alone = joints.copy()
    alone[0] = 0
    clips = [PlayedClip("clip", LAYOUT, [Version(each)]) for each in (joints, alone)]
    both, second = encode(clips)["clips"]
    assert [clip["versions"][0]["numbers"] for clip in (both, second)] == [[0, 1], [1]]
    assert [entry["body"] for entry in both["legend"]] == [0, 1]
    assert second["legend"] == [{"body": 1, "words": (("left", "left"), ("right", "right"))}]


def test_full_confidence_of_all_joints_that_are_there_takes_no_room() -> None:
    joints, confidence = joints_of(), np.ones((1, 5, 15))
    joints[0, 0, 0], confidence[0, 0, 0] = np.nan, 0.0
    assert encoded(Version(joints, confidence=confidence))["confidence"] is None
    confidence[0, 1, 1] = 0.9
    assert encoded(Version(joints, confidence=confidence))["confidence"] is not None


@pytest.mark.parametrize("frames", [0, 1, 5])
def test_a_clip_without_any_joint_is_marked_as_empty(frames: int) -> None:
    version = encoded(Version(np.full((1, frames, 15, 3), np.nan)))
    assert version["empty"] and version["bodies"] == 0 and version["joints"] == ""


def test_a_clip_of_one_frame_and_a_layout_of_two_joints_are_encoded() -> None:
    values = encode([PlayedClip("pair", PAIR, [Version(joints_of(PAIR, frames=1))])])
    assert values["skeletons"][0]["lines"] == [(1, 0, "trunk")]
    assert values["clips"][0]["legend"] == [] and values["skeletons"][0]["head"] == []
    assert values["clips"][0]["versions"][0]["frames"] == 1


def test_versions_of_similar_size_share_their_scale_and_others_do_not() -> None:
    joints = joints_of()
    for factor, shares in ((0.8, True), (100.0, False)):
        versions = encode([PlayedClip("a", LAYOUT, [Version(joints), Version(joints * factor)])])["clips"][0][
            "versions"
        ]
        assert (versions[0]["scene"]["radius"] == versions[1]["scene"]["radius"]) == shares


def test_a_layout_is_described_once_for_all_of_its_clips() -> None:
    pair = PlayedClip("pair", PAIR, [Version(joints_of(PAIR))])
    values = encode([PlayedClip(str(number), LAYOUT, [Version(joints_of())]) for number in range(3)] + [pair])
    assert [clip["skeleton"] for clip in values["clips"]] == [0, 0, 0, 1]
    assert values["skeletons"][0]["lines"] == lines_of(LAYOUT)


def test_a_clip_of_another_shape_is_refused_with_its_name() -> None:
    with pytest.raises(UserError, match=r"wrong one: Cannot draw an array of shape \(1, 5, 25, 3\) as sbu15"):
        encode([PlayedClip("wrong one", LAYOUT, [Version(joints_of(load_layout("ntu25")))])])


def test_both_palettes_have_a_colour_for_each_side_of_each_body() -> None:
    for palette in (LIGHT, DARK):
        colours = [colour for body in palette.bodies for colour in body.values()]
        assert len(set(colours)) == len(colours) == 6 and palette.background not in colours


@pytest.mark.parametrize(
    ("marked", "kept"), [((1, 3), [1, 3]), ((-2, 1), [0, 1]), ((3, 90), [3, 4]), ((5, 9), None), (None, None)]
)
def test_marked_frames_and_joints_are_those_that_the_clip_has(
    marked: tuple[int, int] | None, kept: list[int] | None
) -> None:
    clip = PlayedClip("clip", LAYOUT, [Version(joints_of())], marked_frames=marked, marked_joints=(14, -1, 15))
    values = encode([clip])["clips"][0]
    assert (values["marked_frames"], values["marked_joints"]) == (kept, [14])


def test_the_title_of_a_version_is_printable() -> None:
    assert encoded(Version(joints_of(), title="copy\x1b[31m"))["title"] == "copy?[31m"


def test_labels_over_time_are_the_first_three_with_each_name_once() -> None:
    labels = [("wave", 0.7), ("fall", 0.2), ("rise\x1b", 0.06), ("sit", 0.04)]
    running = RunningLabels("body 1", [LabelledFrames(0, labels), LabelledFrames(2, labels[1:2])])
    (values,) = encode([PlayedClip("clip", LAYOUT, [Version(joints_of())], running=[running])])["clips"][0]["running"]
    assert values["title"] == "body 1" and values["names"] == ["wave", "fall", "rise?"]
    assert values["spans"] == [[0, [[0, 0.7], [1, 0.2], [2, 0.06]]], [2, [[1, 0.2]]]]
