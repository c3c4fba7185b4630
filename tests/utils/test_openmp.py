"""Threads of OpenMP sleep while they wait, where other programs use the cores."""

import os
from pathlib import Path

import pytest

from last import cli
from last.utils import openmp
from last.utils.openmp import cores_in_use, sleep_if_busy, threads_spin


@pytest.mark.parametrize(
    ("of_last_minute", "now", "policy"),
    [
        (1.2, 1.0, {"OMP_WAIT_POLICY": "passive"}),
        (0.1, 1.0, {}),
        (1.9, 0.0, {}),  # the command before this one computed
    ],
)
def test_waiting_threads_sleep_only_beside_programs_that_still_compute(
    monkeypatch: pytest.MonkeyPatch, of_last_minute: float, now: float, policy: dict[str, str]
) -> None:
    monkeypatch.setattr(openmp, "_load", lambda: of_last_minute)
    monkeypatch.setattr(openmp, "cores_in_use", lambda: now)
    environment: dict[str, str] = {}

    sleep_if_busy(environment)

    assert environment == policy
    assert threads_spin(environment) is not bool(policy)


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(openmp, "_load", lambda: 50.0)
    monkeypatch.setattr(openmp, "cores_in_use", lambda: 50.0)
    environment = {name: "12"}

    sleep_if_busy(environment)

    assert environment == {name: "12"}


def test_cores_in_use_are_those_of_the_times_that_are_not_idle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    times = tmp_path / "stat"
    times.write_text("cpu  1000 100 50 9000 70 0 5 5 900 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    ticks = int(0.1 * os.sysconf("SC_CLK_TCK"))  # of one core
    later = f"cpu  {1000 + ticks} {100 + ticks} 50 {9000 + ticks} 99 0 5 5 {900 + ticks} 0\n"
    monkeypatch.setattr(openmp.time, "sleep", lambda _: times.write_text(later))

    assert cores_in_use(times) == pytest.approx(2.0)


@pytest.mark.parametrize("content", ["", "cpu many\n", "cpu  0 0 0 0 0 0 0 0 0 0\n", None])
def test_without_such_times_the_load_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    monkeypatch.setattr(openmp, "_load", lambda: 3.0)
    monkeypatch.setattr(openmp.time, "sleep", lambda _: None)
    if content is not None:
        (tmp_path / "stat").write_text(content)

    assert cores_in_use(tmp_path / "stat") == 3.0


def test_a_command_decides_before_it_imports_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    imported = cli.import_module
    monkeypatch.setattr(cli, "sleep_if_busy", lambda: order.append("decided"))
    monkeypatch.setattr(cli, "import_module", lambda *names: (order.append("imported"), imported(*names))[1])

    cli.main(["doctor", "--help"])

    assert order == ["decided", "imported"]
