"""Ways alternate fairly, and each figure is what its name says."""

import argparse

import pytest
import torch

from last.benchmarks.measure import Turns, machine, ratio, seconds, spread, take_turns
from last.benchmarks.options import whole

CPU = torch.device("cpu")


def test_each_way_is_first_in_every_other_turn() -> None:
    called: list[str] = []
    ways = {"a": lambda: called.append("a"), "b": lambda: called.append("b")}
    take_turns(ways, Turns(4, warmup_turns=0), CPU)
    assert "".join(called) == "baabbaab"


def test_warm_up_turns_and_runs_do_not_count() -> None:
    called: list[int] = []
    taken = take_turns({"a": lambda: called.append(1)}, Turns(2, warmup_turns=1, runs=3, warmup_runs=1), CPU)
    assert len(called) == 3 * (3 + 1)
    assert len(taken["a"]) == 2 * 3


def test_a_run_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1.0, 3.5])
    monkeypatch.setattr("last.benchmarks.measure.time.perf_counter", lambda: next(clock))
    assert seconds(lambda: None, CPU) == 2.5


def test_a_spread_has_the_middle_and_the_ends() -> None:
    assert spread([3.0, 1.0, 2.0], 10.0) == {"median": 20.0, "least": 10.0, "most": 30.0, "p90": pytest.approx(28.0)}
    assert spread([2.0]) == {"median": 2.0, "least": 2.0, "most": 2.0, "p90": 2.0}


def test_a_ratio_is_taken_within_turns_so_that_a_slow_turn_does_not_count() -> None:
    assert ratio([2.0, 20.0, 4.0], [1.0, 10.0, 1.0]) == 2.0


def test_the_machine_is_described() -> None:
    facts = machine()
    assert facts["threads"] == torch.get_num_threads()
    assert {"cpu", "cores", "gpu", "versions", "git_commit", "date", "load_before"} <= facts.keys()
    assert {"torch", "numpy", "python"} <= facts["versions"].keys()


@pytest.mark.parametrize("text", ["0", "-3", "x", "1.5"])
def test_what_is_no_number_from_one_up_is_refused(text: str) -> None:
    assert whole(1)("7") == 7
    with pytest.raises(argparse.ArgumentTypeError, match="1 or more"):
        whole(1)(text)
