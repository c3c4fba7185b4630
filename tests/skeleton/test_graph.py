"""The graph: three directed subsets of one normalised adjacency."""

import numpy as np
import pytest

from last.skeleton import Layout, adjacency_subsets, list_layouts, load_layout
from last.utils.errors import UserError

ADDED = ["mirror", "two_hops", "ends"]

# 0 is the root: 0 <- 1 <- 2.
CHAIN = Layout("chain", ("hip", "knee", "foot"), bones=((1, 0), (2, 1)), root=0, center=0, mirror=())
SELF, CENTRIPETAL, CENTRIFUGAL = range(3)


@pytest.fixture(params=list_layouts())
def layout(request: pytest.FixtureRequest) -> Layout:
    return load_layout(request.param)


def test_subsets_have_one_matrix_of_all_joints_each(layout: Layout) -> None:
    subsets = adjacency_subsets(layout)
    assert subsets.shape == (3, layout.num_joints, layout.num_joints)
    assert subsets.dtype == np.float32


def test_every_column_of_the_whole_adjacency_sums_to_one(layout: Layout) -> None:
    columns = adjacency_subsets(layout).sum(axis=(0, 1))
    assert columns == pytest.approx(np.ones(layout.num_joints))


def test_the_subsets_partition_the_normalised_adjacency(layout: Layout) -> None:
    linked = np.eye(layout.num_joints)
    for child, parent in layout.bones:
        linked[child, parent] = linked[parent, child] = 1
    subsets = adjacency_subsets(layout)
    assert ((subsets > 0).sum(axis=0) == linked).all()
    np.testing.assert_allclose(subsets.sum(axis=0), linked / linked.sum(axis=0), rtol=1e-6)


def test_the_self_subset_holds_the_self_loops_alone(layout: Layout) -> None:
    own = adjacency_subsets(layout)[SELF]
    assert (np.diag(own) > 0).all()
    assert (own == np.diag(np.diag(own))).all()


def test_a_chain_of_three_joints_has_the_subsets_worked_by_hand() -> None:
    # Columns are targets: joint 0 has 2 links (itself, 1), joint 1 has 3, joint 2 has 2.
    half, third = 1 / 2, 1 / 3
    expected = np.zeros((3, 3, 3))
    expected[SELF] = np.diag([half, third, half])
    expected[CENTRIPETAL, 1, 0] = half  # the root takes from the knee, which is farther out
    expected[CENTRIPETAL, 2, 1] = third
    expected[CENTRIFUGAL, 0, 1] = third  # the knee takes from the root
    expected[CENTRIFUGAL, 1, 2] = half
    np.testing.assert_allclose(adjacency_subsets(CHAIN), expected, rtol=1e-6)


def test_centripetal_links_carry_what_the_outer_joint_has_towards_the_root() -> None:
    only_the_foot = np.array([0.0, 0.0, 1.0])
    inwards = np.einsum("v,kvw->kw", only_the_foot, adjacency_subsets(CHAIN))
    assert np.flatnonzero(inwards[CENTRIPETAL]).tolist() == [1]
    assert np.flatnonzero(inwards[CENTRIFUGAL]).tolist() == []


def test_a_single_joint_takes_from_itself_alone() -> None:
    dot = Layout("dot", ("dot",), bones=(), root=0, center=0, mirror=())
    np.testing.assert_array_equal(adjacency_subsets(dot), np.array([[[1]], [[0]], [[0]]]))


def test_added_subsets_follow_the_others_in_the_order_of_their_names() -> None:
    layout = load_layout("ntu25")
    found = adjacency_subsets(layout, ["ends", "mirror"])
    np.testing.assert_array_equal(found[:3], adjacency_subsets(layout))
    np.testing.assert_array_equal(found[3], adjacency_subsets(layout, ["ends"])[3])
    np.testing.assert_array_equal(found[4], adjacency_subsets(layout, ["mirror"])[3])


def test_each_added_subset_has_columns_of_sum_one_or_zero_and_no_self_loops(layout: Layout) -> None:
    for matrix in adjacency_subsets(layout, ADDED if layout.mirror else ADDED[1:])[3:]:
        columns = matrix.sum(axis=0)
        np.testing.assert_allclose(columns, columns > 0, rtol=1e-6)
        assert columns.any() and not np.diag(matrix).any()
        np.testing.assert_array_equal(matrix > 0, matrix.T > 0)


def test_the_added_subsets_of_a_small_body_are_those_worked_by_hand() -> None:
    # 0 is the root, with the branches 1 - 2 on the left and 3 - 4 on the right.
    body = Layout("body", tuple("abcde"), ((1, 0), (2, 1), (3, 0), (4, 3)), root=0, center=0, mirror=((1, 3), (2, 4)))
    mirror, two_hops, ends = adjacency_subsets(body, ADDED)[3:]
    assert [(v, w) for v, w in np.argwhere(mirror == 1).tolist()] == [(1, 3), (2, 4), (3, 1), (4, 2)]
    expected = np.zeros((5, 5))
    expected[[2, 4], 0] = 0.5  # the root takes the mean of both ends
    expected[3, 1] = expected[1, 3] = 1.0
    expected[0, [2, 4]] = 1.0
    np.testing.assert_array_equal(two_hops, expected)
    assert np.argwhere(ends).tolist() == [[2, 4], [4, 2]]


def test_the_ends_of_a_body_are_its_hands_head_and_feet() -> None:
    layout = load_layout("kinect20")
    (ends,) = adjacency_subsets(layout, ["ends"])[3:]
    names = {layout.joints[joint] for joint in np.flatnonzero(ends.any(axis=0))}
    assert names == {"head", "left_hand", "right_hand", "left_foot", "right_foot"}


@pytest.mark.parametrize(
    ("name", "problem"), [("mirror", "mirrored pairs"), ("two_hops", "two bones apart"), ("ends", "end of a bone")]
)
def test_a_layout_without_links_of_a_subset_is_refused(name: str, problem: str) -> None:
    dot = Layout("dot", ("dot",), bones=(), root=0, center=0, mirror=())
    with pytest.raises(UserError, match=f"layout dot has no .*{problem}.*leave `{name}` out"):
        adjacency_subsets(dot, [name])
