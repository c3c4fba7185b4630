"""What is averaged at test time, in words and in numbers."""

from last.data.loading.views import PLAIN, View
from last.evaluation.request import TestTime


def test_nothing_is_averaged_by_default() -> None:
    assert TestTime().views == [PLAIN] and not TestTime().averages
    assert not TestTime(crops=1, turns=[0.0]).averages


def test_every_turn_is_seen_plain_and_mirrored_and_the_plain_view_comes_first() -> None:
    how = TestTime(crops=3, turns=[-15.0, 15.0, 15.0], mirror=True)
    assert how.views == [View(turn, mirror) for mirror in (False, True) for turn in (0.0, -15.0, 15.0)]
    assert how.title == "3 crops, turned by -15 and 15 degrees, mirrored"
