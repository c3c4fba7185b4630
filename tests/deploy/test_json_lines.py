"""Recordings as JSON lines: what a line may hold, and what is said of a line that cannot be used."""

import io
import json
import tracemalloc
from typing import Any

import numpy as np
import pytest

from last.data.preparation.formats import BadClip, DroppedClip, Source
from last.deploy.json_lines import array_of, clip_of_line, numbered_lines
from last.skeleton import load_layout

SOURCE = Source(load_layout("sbu15"), 2, (), unlabelled=True)
JOINTS = np.random.default_rng(0).uniform(0.1, 1, size=(2, 6, 15, 3)).round(4)


def line(**values: Any) -> bytes:
    return json.dumps({"joints": JOINTS.tolist(), **values}).encode()


def test_a_line_is_the_clip_of_its_joints() -> None:
    clip = clip_of_line(line(name="wave", fps=25), 3, SOURCE)
    assert (clip.name, clip.fps, clip.joints.shape) == ("wave", 25, JOINTS.shape)
    np.testing.assert_allclose(clip.joints[0], JOINTS[0] - JOINTS[0, 0, SOURCE.center], atol=1e-5)


def test_one_body_needs_no_axis_and_null_is_a_missing_joint() -> None:
    joints = JOINTS[0].tolist()
    joints[2][4] = [None, None, None]
    clip = clip_of_line(line(joints=joints), 3, SOURCE)
    assert clip.name == "line 3" and clip.joint_mask.sum() == 6 * 15 - 1 and not clip.joint_mask[0, 2, 4]


def test_null_is_a_missing_coordinate_joint_frame_or_body() -> None:
    whole, holes = JOINTS.copy(), JOINTS.tolist()
    whole[0, 2, 4, 1] = whole[0, 3, 5] = whole[0, 4] = np.nan
    holes[0][2][4][1] = holes[0][3][5] = holes[0][4] = None
    expected = clip_of_line(line(joints=np.where(np.isnan(whole), None, whole).tolist()), 1, SOURCE)
    found = clip_of_line(line(joints=holes), 1, SOURCE)
    np.testing.assert_array_equal(found.joints, expected.joints)
    np.testing.assert_array_equal(found.joint_mask, expected.joint_mask)
    assert found.joint_mask[0].sum() == 6 * 15 - 1 - 1 - 15
    alone = clip_of_line(line(joints=[None, JOINTS[1].tolist()]), 1, SOURCE)
    np.testing.assert_array_equal(alone.joints, clip_of_line(line(joints=JOINTS[1].tolist()), 1, SOURCE).joints)
    confidence: list[Any] = np.ones((6, 15)).tolist()
    confidence[2] = None
    uncertain = clip_of_line(line(joints=JOINTS[0].tolist(), confidence=confidence), 1, SOURCE)
    assert uncertain.joints.shape == (1, 5, 15, 3)


@pytest.mark.parametrize("nothing", [[None], [None, None], [[None, None], None], [[[None] * 3] * 15, None]])
def test_a_line_of_nulls_alone_has_no_body(nothing: Any) -> None:
    with pytest.raises(DroppedClip, match="no skeleton"):
        clip_of_line(line(joints=nothing), 1, SOURCE)


def test_nulls_stand_for_no_more_numbers_than_a_recording_may_have() -> None:
    with pytest.raises(BadClip, match="too many for one recording"):
        clip_of_line(line(joints=[[[[0.5] * 3] * 500], *[None] * 40_000]), 1, SOURCE)


@pytest.mark.parametrize(
    "joints",
    [
        [[[0] * 20_000], [None] * 2000],
        [[[0], [0] * 20_000], [None] * 2000],
        [[None] * 2000, [[0] * 20_000]],
        ["a" * 20_000, *[""] * 3000],
    ],
    ids=["of two lengths", "of two lengths at one depth", "nulls first", "texts"],
)
def test_a_line_of_a_few_kilobytes_takes_no_more_memory_than_a_recording_of_its_size(joints: list[Any]) -> None:
    text = line(joints=joints)
    tracemalloc.start()
    try:
        with pytest.raises(BadClip, match=r"nested lists of numbers|too many for one recording"):
            clip_of_line(text, 1, SOURCE)
        assert tracemalloc.get_traced_memory()[1] < 100 * len(text)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("depth", [5, 300, 600, 900, 100_000])
def test_lists_in_lists_without_end_are_refused_like_other_lines(depth: int) -> None:
    text = b'{"joints": ' + b"[" * depth + b"[1, 2], null" + b"]" * depth + b"}"
    with pytest.raises(BadClip, match="nested"):
        clip_of_line(text, 1, SOURCE)


def test_confidences_are_read_with_the_axes_of_the_joints() -> None:
    confidence = np.ones(JOINTS.shape[:3])
    confidence[1, 0, 0] = 0.5
    whole = clip_of_line(line(confidence=confidence.tolist()), 1, SOURCE)
    second = clip_of_line(line(joints=JOINTS[1].tolist(), confidence=confidence[1].tolist()), 1, SOURCE)
    assert whole.confidence is not None and second.confidence is not None
    assert whole.confidence[1, 0, 0] == second.confidence[0, 0, 0] == 128


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[1]", "should be an object such as"),
        (b"{}", "should be an object such as"),
        (line(label=3), "has 'label'; known are name, joints, confidence, fps"),
        (line(name=3), "`name` should be a text"),
        (line(fps="30"), "`fps` should be a number"),
        (line(fps=0), "`fps` should be a number from 0.5"),
        (line(joints=[[1, 2], [3]]), "nested lists of numbers"),
        (line(joints=[[["1", "2", "3"]]]), "nested lists of numbers"),
        (line(joints=[[[True, False, True]]]), "nested lists of numbers"),
        (line(joints=None), "nested lists of numbers"),
        (line(joints=[[[1, 2], [3]], None]), "nested lists of numbers"),
        (line(joints=[1, [2], None]), "nested lists of numbers"),
        (line(joints="joints"), "nested lists of numbers"),
        (line(joints=JOINTS[:, :, :9].tolist()), r"has the shape \(2, 6, 9, 3\); sbu15 has 15 joints of 3"),
        (line(confidence=[[1.0]]), "bodies, frames, joints"),
        (line(confidence=np.ones((2, 6, 9)).tolist()), "has the confidences"),
        (None, "has more than 64 MiB"),
    ],
)
def test_a_line_that_is_no_recording_is_named_by_its_number(text: bytes | None, problem: str) -> None:
    with pytest.raises(BadClip, match=problem) as refused:
        clip_of_line(text, 7, SOURCE)
    assert refused.value.name.startswith("line 7")


def test_a_line_without_a_body_is_dropped() -> None:
    with pytest.raises(DroppedClip, match="no skeleton"):
        clip_of_line(line(joints=np.zeros((2, 15, 3)).tolist()), 1, SOURCE)


def test_lines_are_numbered_also_after_empty_ones_and_after_one_that_is_too_long() -> None:
    stream = io.BytesIO(b"one\n\n" + b"x" * 25 + b"\n  \nfive")
    assert list(numbered_lines(stream, longest=8)) == [(1, b"one\n"), (3, None), (5, b"five")]


def test_a_null_in_place_of_a_list_is_as_many_numbers() -> None:
    sizes: list[int] = []
    joint, frame = [1.0, 2.0, 3.0], [[1.0, 2.0, 3.0]] * 2
    found = array_of([[[joint, None], None, [None, [None, 1, 2]]], None], sizes.append)
    assert sizes == [18 * 2]
    assert found is not None and found.shape == (2, 3, 2, 3)
    assert np.isnan(found).sum() == 3 + 6 + 3 + 1 + 18
    np.testing.assert_array_equal(array_of([frame, frame], sizes.append), [frame, frame])
    assert sizes == [18 * 2, 2 * 2 * 3]


@pytest.mark.parametrize("value", ["a", [["a"]], [[1], [2, 3]], [[True]], {}, [[[1]], [[[2]]]]])
def test_what_is_no_array_of_numbers_is_none(value: object) -> None:
    assert array_of(value, lambda numbers: None) is None
