"""What the system reports about its hardware."""

import os
import platform
from pathlib import Path

import pytest

from last.utils import machine


def test_a_process_counts_the_cores_that_it_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    assert machine.usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.usable_cores() == 1


def test_the_processor_is_named_by_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    assert machine.processor()
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast: 3000\n", encoding="utf-8")
    assert machine.processor() == "Fast: 3000"


def test_the_facts_of_a_machine_do_not_name_it() -> None:
    facts = machine.machine_facts()
    assert set(facts) == {"cpu", "cores", "system"}
    assert platform.node() not in facts.values()
