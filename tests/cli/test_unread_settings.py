"""Settings that a preparation does not read are refused by their names."""

from dataclasses import fields, replace

import pytest

from last.cli.unread_settings import refuse_loading_settings, refuse_unread_intervals
from last.settings.data import LOADING_KEYS, PREPARATION_KEYS, DataConfig
from last.settings.intervals import IntervalsConfig
from last.utils.errors import UserError

# The data set and its parts, which a preparation and a training both read.
OF_BOTH = {
    *("name", "layout", "own_layout", "own_source_layout", "classes"),
    *("split", "protocols", "subset_of", "select", "how_to_get"),
}


def test_every_key_of_a_data_set_is_of_the_preparation_or_of_loading_or_of_both() -> None:
    known = [*PREPARATION_KEYS, *LOADING_KEYS, *OF_BOTH]
    assert sorted(known) == sorted(each.name for each in fields(DataConfig))


@pytest.mark.parametrize(
    ("assignments", "named"),
    [
        (["data.min_confidence=0.3"], "data.min_confidence has no effect on a preparation"),
        (["data.bodies=1", "data.max_gap=2", "data.augment.scale=0.1"], "data.max_gap, data.augment.scale have no"),
        (["data={copies: warn}"], "data.copies has no effect"),
        (["data.normalize.scale=unit"], "data.normalize.scale has no effect"),
        (["data.sampling={}"], "data.sampling has no effect"),
    ],
)
def test_settings_of_loading_are_refused_by_name(assignments: list[str], named: str) -> None:
    with pytest.raises(UserError, match=f"--set {named}"):
        refuse_loading_settings(assignments)


def test_settings_of_the_preparation_are_accepted() -> None:
    refuse_loading_settings(
        ["data.select.actions=[2]", "data.fps=30", "data.class_map={}", "data.protocols.own.test=[1]"]
    )


@pytest.mark.parametrize(
    ("intervals", "key", "why"),
    [
        (IntervalsConfig(), "window", "without a table of intervals: name one with --intervals FILE"),
        (IntervalsConfig(), "background", "without a table of intervals"),
        (IntervalsConfig("a.csv"), "stride", "on clips that follow the intervals"),
        (IntervalsConfig("a.csv", "windows"), "longest_background", "on windows"),
        (IntervalsConfig("a.csv", background=None), "longest_background", "where the background is left out"),
    ],
)
def test_settings_of_intervals_that_change_nothing_are_refused(intervals: IntervalsConfig, key: str, why: str) -> None:
    config = replace(DataConfig(), intervals=intervals)
    with pytest.raises(UserError, match=rf"--set data\.intervals\.{key} has no effect {why}"):
        refuse_unread_intervals([f"data.intervals.{key}=1"], config)


@pytest.mark.parametrize(
    ("intervals", "key"),
    [
        (IntervalsConfig("a.csv"), "file"),
        (IntervalsConfig("a.csv"), "window"),
        (IntervalsConfig("a.csv"), "longest_background"),
        (IntervalsConfig("a.csv", "windows"), "stride"),
        (IntervalsConfig("a.csv", "windows"), "point"),
    ],
)
def test_settings_of_intervals_that_are_read_are_accepted(intervals: IntervalsConfig, key: str) -> None:
    refuse_unread_intervals([f"data.intervals.{key}=1"], replace(DataConfig(), intervals=intervals))
