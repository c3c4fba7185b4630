"""From probabilities over time to the starts and ends of actions."""

import numpy as np
import pytest

from last.live.actions import NONE, ActionState, Change
from last.live.settings import LiveSettings

THRESHOLDS = np.array([0.5, 0.5, 0.9], np.float32)
SURE, UNSURE, OTHER = [0.9, 0.1, 0.0], [0.3, 0.3, 0.4], [0.1, 0.8, 0.1]


def changes(course: list[list[float]], settings: LiveSettings, step: float = 0.1) -> list[Change]:
    state = ActionState(THRESHOLDS, settings)
    return [
        change
        for number, each in enumerate(course)
        for change in state.update(number * step, np.array(each, np.float32))
    ]


QUICK = LiveSettings(smoothing=0.0, onset=0.2, offset=0.4)


def test_an_action_starts_after_the_onset_and_began_when_its_probability_rose() -> None:
    (change,) = changes([UNSURE, SURE, SURE, SURE, SURE], QUICK)
    assert (change.starts, change.action) == (True, 0)
    assert (round(change.began, 6), round(change.time, 6)) == (0.1, 0.3)


def test_a_short_rise_starts_nothing_and_a_short_fall_ends_nothing() -> None:
    assert changes([UNSURE, SURE, SURE, UNSURE, UNSURE, UNSURE], QUICK) == []
    assert len(changes([SURE] * 4 + [UNSURE] * 3 + [SURE] * 4, QUICK)) == 1


def test_an_action_ends_when_it_has_been_low_for_the_offset() -> None:
    start, end = changes([SURE] * 4 + [UNSURE] * 6, QUICK)
    assert (start.starts, end.starts, end.action) == (True, False, 0)
    assert round(end.time, 6) == 0.8


def test_a_probability_between_release_and_threshold_keeps_an_action() -> None:
    assert len(changes([SURE] * 4 + [[0.4, 0.3, 0.3]] * 20, QUICK)) == 1


def test_another_sure_action_takes_its_place_at_once() -> None:
    first, end, second = changes([SURE] * 4 + [OTHER] * 4, QUICK)
    assert [first.action, end.action, second.action] == [0, 0, 1] and not end.starts and second.starts
    assert end.time == second.time


def test_what_reaches_no_threshold_is_none_of_the_actions() -> None:
    assert changes([[0.1, 0.1, 0.8]] * 20, QUICK) == []


def test_smoothing_does_not_depend_on_how_often_there_are_probabilities() -> None:
    ends = []
    for step in (0.02, 0.1):
        state = ActionState(THRESHOLDS, LiveSettings(smoothing=0.3))
        for number in range(round(1 / step) + 1):
            list(state.update(number * step, np.array(UNSURE if number == 0 else SURE, np.float32)))
        assert state.smoothed is not None
        ends.append(state.smoothed[0])
    assert ends[0] == pytest.approx(ends[1], abs=0.01) and ends[0] < 0.9


def test_an_action_is_ended_by_force() -> None:
    state = ActionState(THRESHOLDS, QUICK)
    for number in range(4):
        list(state.update(number * 0.1, np.array(SURE, np.float32)))
    change = state.stop(9.0)
    assert (change.starts, change.action, change.time, state.action) == (False, 0, 9.0, NONE)
