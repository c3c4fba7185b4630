"""The times of a search: what is left, and what earlier calls recorded."""

import json
from pathlib import Path

import pytest

from last.experiments.search.clock import Clock, Times, recorded_times


def test_earlier_calls_and_this_one_use_up_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("last.experiments.search.clock.time.monotonic", lambda: 130.0)
    clock = Clock(100.0, Times(20.0, 5.0), began=100.0)
    assert clock.times == Times(50.0, 5.0)
    assert clock.left_s == 50.0
    assert Clock(40.0, Times(20.0), began=100.0).left_s == 0.0


def test_what_runs_take_beside_their_epochs_is_that_of_this_call_if_it_is_known() -> None:
    clock = Clock(100.0, Times(20.0, 5.0))
    clock.overheads_s += [7.0, 9.0]
    assert clock.times.overhead_s == 8.0


def test_times_are_read_as_they_were_recorded(tmp_path: Path) -> None:
    times = Times(120.0, 6.5)
    (tmp_path / "search.json").write_text(json.dumps({**times.facts(), "jobs": 2}))
    assert recorded_times(tmp_path, 1, 0.0) == times


def test_earlier_calls_took_at_least_as_long_as_their_epochs_side_by_side(tmp_path: Path) -> None:
    assert recorded_times(tmp_path, 2, 300.0) == Times(150.0)
    (tmp_path / "search.json").write_text('{"spent_seconds": 20.0, "jobs": 3}')
    assert recorded_times(tmp_path, 2, 300.0) == Times(100.0)
