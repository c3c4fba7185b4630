"""The times of a search: what is left, and what earlier calls recorded."""

import json
from pathlib import Path

import pytest
from sweep_probes import write_rows

from last.experiments.search.clock import Clock, Times, recorded_times
from last.runs.folder import RunFolder


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Return the folder of a search of which two runs took 300 seconds, and a third one has a damaged logbook."""
    for name, epochs in (("baseline-1", 4), ("c001-1", 1)):
        run = RunFolder(tmp_path / "xsub" / name / "run-2026-11-29")
        run.path.mkdir(parents=True)
        write_rows(run, epochs, 60.0)
    damaged = tmp_path / "xsub" / "c002-1" / "run-2026-11-29"
    damaged.mkdir(parents=True)
    (damaged / "metrics.jsonl").write_text("x\ny\n")
    return tmp_path


def test_earlier_calls_and_this_one_use_up_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("last.experiments.search.clock.time.monotonic", lambda: 130.0)
    clock = Clock(tmp_path, 100.0, Times(20.0, 5.0), began=100.0)
    assert clock.times() == Times(50.0, 5.0)
    assert clock.left_s == 50.0
    assert Clock(tmp_path, 40.0, Times(20.0), began=100.0).left_s == 0.0


def test_what_runs_take_beside_their_epochs_is_that_of_this_call_if_it_is_known(tmp_path: Path) -> None:
    clock = Clock(tmp_path, 100.0, Times(20.0, 5.0))
    clock.overheads_s += [7.0, 9.0]
    assert clock.overhead_s == 8.0


def test_times_are_read_as_they_were_recorded_and_other_facts_are_kept(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("last.experiments.search.clock.time.monotonic", lambda: 130.0)
    (trained / "search.json").write_text('{"best": ["c001", 1], "spent_seconds": 7}')
    Clock(trained, 1000.0, Times(320.0, 6.5), began=100.0).record(2)
    assert json.loads((trained / "search.json").read_text())["best"] == ["c001", 1]
    assert recorded_times(trained, 1) == Times(350.0, 6.5, 300.0)


def test_earlier_calls_took_at_least_as_long_as_their_epochs_side_by_side(trained: Path) -> None:
    assert recorded_times(trained, 2) == Times(150.0, 0.0, 300.0)
    (trained / "search.json").write_text('{"spent_seconds": 20.0, "jobs": 3}')
    assert recorded_times(trained, 2) == Times(100.0, 0.0, 300.0)


def test_epochs_after_the_last_record_are_added_to_it(trained: Path) -> None:
    (trained / "search.json").write_text('{"spent_seconds": 320.0, "epoch_seconds": 240.0, "jobs": 2}')
    assert recorded_times(trained, 1) == Times(350.0, 0.0, 300.0)
