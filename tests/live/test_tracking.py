"""Who is who in frames without ids."""

import numpy as np

from last.live.tracking import assign, mutual_pairs, position_of, size_of


def at(x: float) -> np.ndarray:
    return np.array([x, 0.0, 0.0])


def test_each_body_is_the_one_that_was_nearest() -> None:
    assert assign([at(1.1), at(0.1)], [1.0, 1.0], {7: at(0.0), 8: at(1.0)}) == [8, 7]


def test_a_body_that_is_too_far_from_all_is_new() -> None:
    assert assign([at(0.1), at(5.0)], [1.0, 1.0], {7: at(0.0)}) == [7, None]
    assert assign([at(5.0)], [1.0], {7: at(0.0)}) == [None]


def test_no_two_bodies_are_the_same_person() -> None:
    assert assign([at(0.2), at(0.1)], [1.0, 1.0], {7: at(0.0)}) == [None, 7]


def test_a_body_without_its_central_joint_is_where_its_other_joints_are() -> None:
    joints = np.array([[np.nan] * 3, [1, 0, 0], [3, 0, 2]], np.float32)
    np.testing.assert_array_equal(position_of(joints, 0), [2, 0, 1])
    np.testing.assert_array_equal(position_of(joints, 1), [1, 0, 0])
    assert size_of(joints) == 2
    assert np.isnan(position_of(np.full((3, 3), np.nan, np.float32), 0)).all()
    assert size_of(np.full((3, 3), np.nan, np.float32)) == 0


def test_partners_are_each_others_nearest() -> None:
    places = {"a": at(0.0), "b": at(0.5), "c": at(0.9), "d": at(9.0)}
    assert mutual_pairs(places, dict.fromkeys(places, 1.0)) == {"b": "c", "c": "b"}
    assert mutual_pairs(places, dict.fromkeys(places, 0.1)) == {}
