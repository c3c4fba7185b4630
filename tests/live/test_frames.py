"""Frames as JSON lines."""

import json

import numpy as np
import pytest

from last.live.frames import frame_of_line
from last.utils.errors import UserError


def test_a_frame_has_joints_and_perhaps_a_body_a_time_and_confidences() -> None:
    frame = frame_of_line(b'{"joints": [[1, 2.5], [null, null]], "body": "a", "time": 3, "confidence": [1, null]}')
    np.testing.assert_array_equal(frame.joints, [[1, 2.5], [np.nan, np.nan]])
    whole = frame_of_line(b'{"joints": [null, [3, null]], "confidence": [1, null]}')
    np.testing.assert_array_equal(whole.joints, [[np.nan, np.nan], [3, np.nan]])
    assert (frame.body, frame.time) == ("a", 3.0) and np.isnan(frame.confidence[1])
    several = frame_of_line(b'{"joints": [[[1, 2]], [[3, 4]]], "body": [1, 2]}')
    assert several.joints.shape == (2, 1, 2) and several.body == (1, 2) and several.time is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (None, "has more than 1 MiB"),
        (b"\xff", "is not JSON"),
        (b"[1]", "should be an object such as"),
        (b'{"body": 1}', "should be an object such as"),
        (b'{"joints": [[1, 2]], "Time": 3}', "has 'Time'; known are joints, body, time, confidence"),
        (b'{"joints": [[1], [2, 3]]}', "`joints` should be nested lists of numbers"),
        (b'{"joints": [[true, false]]}', "`joints` should be nested lists of numbers"),
        (b'{"joints": [1, 2]}', "`joints` should be nested lists of numbers"),
        (b'{"joints": [["a", 1]]}', "`joints` should be nested lists of numbers"),
        (b'{"joints": [[1, 2]], "time": "now"}', "`time` should be a finite number of seconds"),
        (b'{"joints": [[1, 2]], "time": 1e400}', "`time` should be a finite number of seconds"),
        (b'{"joints": [[1, 2]], "time": NaN}', "`time` should be a finite number of seconds"),
        (b'{"joints": [[1, 2]], "time": true}', "`time` should be a finite number of seconds"),
        (b'{"joints": [[1, 2]], "body": {"a": 1}}', "`body` should be a text, a whole number, or a list"),
        (b'{"joints": [[1, 2]], "body": "' + b"a" * 101 + b'"}', "`body` should have at most 100 characters"),
        (b'{"joints": [[1, 2]], "confidence": {}}', "`confidence` should be nested lists of numbers"),
        (b'{"joints": ' + b"[" * 100_000, "is not JSON"),
        (b'{"joints": ' + b"[" * 600 + b"null" + b"]" * 600 + b"}", "`joints` should be nested lists of numbers"),
        (b'{"joints": [[[0, 0, 0]], [null, null]]}', "`joints` should be nested lists of numbers"),
    ],
)
def test_what_is_no_frame_is_refused(line: bytes | None, message: str) -> None:
    with pytest.raises(UserError) as refused:
        frame_of_line(line)
    assert message in str(refused.value)


def test_nulls_stand_for_no_more_numbers_than_a_frame_may_have() -> None:
    line = json.dumps({"joints": [[[0.5] * 3] * 100, *[None] * 1000]}).encode()
    with pytest.raises(UserError, match="too many for one frame"):
        frame_of_line(line)
