"""Threads of OpenMP sleep while they wait, where other programs use the cores."""

import pytest

from last import cli
from last.utils.openmp import sleep_if_busy, threads_spin


def test_waiting_threads_sleep_beside_other_programs() -> None:
    environment: dict[str, str] = {}

    sleep_if_busy(environment, load=1.2)

    assert environment == {"OMP_WAIT_POLICY": "passive"}
    assert not threads_spin(environment)


def test_waiting_threads_spin_on_a_quiet_machine() -> None:
    environment: dict[str, str] = {}

    sleep_if_busy(environment, load=0.1)

    assert environment == {}
    assert threads_spin(environment)


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_what_the_user_set_stays(name: str) -> None:
    environment = {name: "12"}

    sleep_if_busy(environment, load=50)

    assert environment == {name: "12"}


def test_a_command_decides_before_it_imports_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    imported = cli.import_module
    monkeypatch.setattr(cli, "sleep_if_busy", lambda: order.append("decided"))
    monkeypatch.setattr(cli, "import_module", lambda *names: (order.append("imported"), imported(*names))[1])

    cli.main(["doctor", "--help"])

    assert order == ["decided", "imported"]
