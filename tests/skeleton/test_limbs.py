"""The limbs of a skeleton."""

import pytest

from last.skeleton import LayoutFile, build_layout, list_layouts, load_layout
from last.skeleton.limbs import limbs


def named(name: str) -> list[set[str]]:
    layout = load_layout(name)
    return [{layout.joints[joint] for joint in group} for group in limbs(layout)]


def test_a_body_has_two_arms_and_two_legs() -> None:
    found = named("sbu15")
    assert {"left_shoulder", "left_elbow", "left_hand"} in found
    assert {"right_hip", "right_knee", "right_foot"} in found


def test_a_leg_begins_at_the_hip_even_if_that_is_connected_to_the_shoulder() -> None:
    assert {"left_hip", "left_knee", "left_ankle"} in named("coco17")


@pytest.mark.parametrize("name", list_layouts())
def test_a_joint_is_in_one_limb_at_most(name: str) -> None:
    joints = [joint for group in limbs(load_layout(name)) for joint in group]
    assert len(joints) == len(set(joints)) > 0


@pytest.mark.parametrize("name", list_layouts())
def test_a_limb_has_several_joints_so_that_no_single_joint_of_a_face_is_dropped_as_one(name: str) -> None:
    assert all(len(group) > 1 for group in limbs(load_layout(name)))
    assert len(limbs(load_layout(name))) >= 3


def test_without_sides_each_branch_of_the_root_is_a_limb() -> None:
    own = LayoutFile(joints=["palm", "a1", "a2", "b1"], bones=[[2, 1], [3, 2], [4, 1]], root=1, center=1)
    assert limbs(build_layout("hand", own, "hand.yaml")) == ((1, 2),)
