"""The problems of a layout, all at once."""

import pytest

from last.skeleton.check import MOST_JOINTS, layout_problems

JOINTS = ["hip", "left", "right"]
GOOD = {"joints": JOINTS, "bones": [[2, 1], [3, 1]], "root": 1, "center": 1, "mirror": [[2, 3]]}


def test_a_tree_of_joints_has_no_problem() -> None:
    assert layout_problems(**GOOD) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"joints": []}, "joints should be names"),
        ({"joints": ["a"] * (MOST_JOINTS + 1)}, "at most 500 are possible"),
        ({"joints": ["hip", "left", "left"]}, "joints has 'left' 2 times"),
        ({"joints": ["hip", "", "right"]}, "joints: the name of joint 2 is '': it should be a word, in one line"),
        ({"joints": ["hip", " ", "right"]}, "the name of joint 2"),
        ({"joints": ["hip", "left\nknee", "right"]}, r"the name of joint 2 is 'left\nknee'"),
        ({"joints": ["hip", "left", "\x1b[31mright"]}, "the name of joint 3"),
        ({"root": 0}, "root is missing"),
        ({"center": 4}, "center: there is no joint 4, only 1 to 3"),
        ({"center": "hpi"}, "Did you mean 'hip'?"),
        ({"bones": [[2, 1]]}, "right (3) has no bone to a parent"),
        ({"bones": [[2, 3], [3, 2]]}, "left, right go in a circle"),
        ({"bones": [[2, 1], [3, 1], [3, 2]]}, "right (3) has 2 parents"),
        ({"bones": [[2, 1], [3, 3]]}, "right (3) is its own parent"),
        ({"bones": [[2, 1], [3, 1], [1, 2]]}, "hip (1) is the root and can have no parent"),
        ({"bones": [[2, 1], [3, 1, 2]]}, "[3, 1, 2] should be two joint numbers or names"),
        ({"mirror": [[1, 1], [2, 3]]}, "as its own mirror image"),
        ({"mirror": [[2, 3], [2, 1]]}, "can have only one mirror image"),
        ({"extra_edges": [[3]]}, "[3] should be two joint numbers or names, such as [2, 1]; 3 is right"),
        ({"extra_edges": [[1, 1]]}, "hip (1) has an edge to itself"),
        ({"coordinates": 4}, "coordinates: 4 should be at most 3"),
    ],
)
def test_each_problem_is_named_with_its_joint(changes: dict[str, object], problem: str) -> None:
    assert any(problem in found for found in layout_problems(**{**GOOD, **changes}))  # type: ignore[arg-type]
