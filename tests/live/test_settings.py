"""Settings of recognition in a stream."""

from typing import Any

import pytest

from last.live.settings import LiveSettings
from last.utils.errors import UserError


def test_the_defaults_are_possible() -> None:
    assert LiveSettings().window == 2.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window": 0}, "window: 0 should be a number from 0.1 to 60"),
        ({"every": 2.5}, "every: 2.5 should be a whole number"),
        ({"threshold": float("nan")}, "threshold: nan should be"),
        ({"most_bodies": 101}, "most_bodies: 101 should be a number from 1 to 100"),
        ({"every": float("inf")}, "every: inf should be a number from 1 to 1000"),
        ({"most_bodies": float("nan")}, "most_bodies: nan should be a number from 1 to 100"),
        ({"rate": "30"}, "rate: '30' should be"),
    ],
)
def test_what_is_impossible_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refused:
        LiveSettings(**values)
    assert message in str(refused.value)


def test_all_problems_are_in_one_message() -> None:
    with pytest.raises(UserError, match=r"window: 0 .*; every: 0 "):
        LiveSettings(window=0, every=0)
