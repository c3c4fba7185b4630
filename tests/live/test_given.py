"""What a stream is given is checked before anything changes."""

from typing import Any

import numpy as np
import pytest

from last.live.given import ids_of, joints_of, time_of
from last.skeleton import load_layout
from last.utils.errors import UserError

COCO = load_layout("coco17")


def test_joints_that_are_not_finite_or_too_far_are_missing() -> None:
    frame = np.ones((17, 3))
    frame[2, 0], frame[3, 1], frame[4, 2] = np.nan, np.inf, 1e300
    assert np.isnan(joints_of(frame, None, COCO, 0.0)[0]).all(axis=1).nonzero()[0].tolist() == [2, 3, 4]


def test_joints_below_the_lowest_confidence_are_missing_and_bodies_of_zeros_absent() -> None:
    confidence = np.ones((2, 17))
    confidence[0, 5], confidence[0, 6] = 0.2, np.nan
    found = joints_of(np.stack([np.ones((17, 3)), np.zeros((17, 3))]), confidence, COCO, 0.3)
    assert np.isnan(found[0]).all(axis=1).nonzero()[0].tolist() == [5, 6] and np.isnan(found[1]).all()
    assert found.dtype == np.float32


def test_a_joint_at_the_origin_without_confidence_is_missing_where_none_is_wanted() -> None:
    frame, confidence = np.ones((17, 3)), np.ones(17)
    frame[[5, 6]], confidence[[6, 7]] = 0.0, 0.0
    found = joints_of(frame, confidence, COCO, 0.0)
    assert np.isnan(found[0]).all(axis=1).nonzero()[0].tolist() == [6]


@pytest.mark.parametrize(
    ("frame", "confidence", "message"),
    [
        (np.zeros((25, 3)), None, r"shape \(25, 3\); the model takes \(17, 3\), or that for each body: .* coco17"),
        ([["a"]], None, "A frame should be an array of numbers"),
        ([[1.0], [1.0, 2.0]], None, "A frame should be an array of numbers"),
        (np.zeros((17, 3), complex), None, "it has complex numbers"),
        (np.zeros((17, 3)), np.zeros(16), r"confidences have the shape \(1, 16\)"),
        (np.zeros((17, 3)), np.linspace(20, 90, 17), "confidences are from 20 to 90; they should be 0 to 1"),
        (np.zeros((17, 3)), np.linspace(-1, 1, 17), "confidences are from -1 to 1"),
        (np.zeros((17, 3)), "sure", "The confidences should be an array of numbers"),
        (np.zeros((17, 3)), [[1.0], [1.0, 2.0]], "The confidences should be an array of numbers"),
    ],
)
def test_what_is_no_frame_is_refused(frame: Any, confidence: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        joints_of(frame, confidence, COCO, 0.0)


@pytest.mark.parametrize("time", [1, 1.0, np.float32(1.0), np.float64(1.0), np.int64(1)])
def test_a_number_of_any_kind_is_a_time(time: Any) -> None:
    assert time_of(time) == 1.0


@pytest.mark.parametrize("time", [float("nan"), float("inf"), "now", True, None, 1j, np.ones(1)])
def test_what_is_no_time_is_refused(time: Any) -> None:
    with pytest.raises(UserError, match="finite number of seconds, not"):
        time_of(time)


def test_one_id_or_a_list_of_them_names_the_bodies() -> None:
    assert ids_of(None, 2) is None
    assert ids_of("anna", 1) == ["anna"] and ids_of((1, "ben"), 2) == [1, "ben"]


@pytest.mark.parametrize(
    ("given", "bodies", "message"),
    [
        ([1, 1], 2, "2 bodies and needs as many different ids"),
        ("anna", 2, "2 bodies and needs as many different ids"),
        (["anna", "ben"], 1, "1 body and needs"),
        ([["anna"]], 1, "An id should be a text or a number"),
        ({"anna": 1}, 1, "An id should be a text or a number"),
        (["anna", None], 2, "An id should be a text or a number"),
        ([("anna", [])], 1, "An id should be a text or a number"),
    ],
)
def test_ids_that_do_not_fit_are_refused(given: Any, bodies: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ids_of(given, bodies)
