"""Joints of a layout among the names of a file: case, punctuation, prefixes, and names that may be the same."""

import pytest

from last.data.preparation.formats import BadClip
from last.data.preparation.formats.named_joints import indices_of, joint_indices
from last.skeleton import LayoutFile, build_layout

LAYOUT = build_layout("two", LayoutFile(joints=["hips", "left_hand"], bones=[[2, 1]], root=1, center=1), "two.yaml")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["left_hand", "hips"], [1, 0]),
        (["Left Hand", "HIPS", "tail"], [1, 0]),
        (["mixamorig:Hips", "mixamorig:LeftHand"], [0, 1]),
        (["one:two:hips", "left-hand"], [0, 1]),
    ],
)
def test_names_are_compared_without_case_punctuation_and_prefix(names: list[str], found: list[int]) -> None:
    assert joint_indices("clip", names, LAYOUT) == found


@pytest.mark.parametrize("names", [["prop:hips", "hips", "left_hand"], ["hips", "prop:hips", "left_hand"]])
def test_a_whole_name_comes_before_one_with_a_prefix(names: list[str]) -> None:
    assert joint_indices("clip", names, LAYOUT) == [names.index("hips"), 2]


def test_a_joint_whose_name_has_a_prefix_in_the_layout_is_found_by_the_whole_name() -> None:
    file = LayoutFile(joints=["a:hips", "b:hips"], bones=[[2, 1]], root=1, center=1)
    assert joint_indices("clip", ["b:hips", "a:hips"], build_layout("two", file, "two.yaml")) == [1, 0]


@pytest.mark.parametrize("names", [["one:hips", "two:hips", "left_hand"], ["hips", "Hips", "left_hand"]])
def test_two_names_that_may_be_the_same_joint_are_refused(names: list[str]) -> None:
    with pytest.raises(BadClip, match=f"'{names[0]}' and '{names[1]}' may both be the joint hips of two"):
        joint_indices("clip", names, LAYOUT)


def test_a_joint_that_no_name_fits_is_refused_with_those_there_are() -> None:
    assert indices_of(["tail"], LAYOUT) == [[], []]
    with pytest.raises(BadClip, match=r"has no joint left_hand of two.*It has hips, left_hnd"):
        joint_indices("clip", ["hips", "left_hnd"], LAYOUT)
