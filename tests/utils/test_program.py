"""How the program is called, in messages."""

import sys
from pathlib import Path

import pytest

from last.utils.program import command_line, install_command, naming_program, program


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("/usr/bin/last-har", "last-har"),
        ("last-har.exe", "last-har"),
        ("src/__main__.py", "python -m last"),
        ("scripts/train.py", "python -m last"),
    ],
)
def test_messages_name_the_command_that_was_called(called: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [called])
    assert program() == name
    assert naming_program("{program} demo {a}") == f"{name} demo {{a}}"


def test_packages_are_installed_for_the_python_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/my python/bin/python")
    assert install_command("last-har[plots]") == "'/my python/bin/python' -m pip install 'last-har[plots]'"


SOURCE = Path(__file__).parents[2] / "src"


@pytest.mark.parametrize(
    ("called", "command"),
    [
        ("/usr/bin/last-har", "last-har train --set 'data.split=my split'"),
        (str(SOURCE / "__main__.py"), "python -m last train --set 'data.split=my split'"),
        (str(SOURCE.parent / "scripts" / "train.py"), "python scripts/train.py train --set 'data.split=my split'"),
        ("/home/me/my_experiment.py", ""),
        ("", ""),
    ],
)
def test_a_command_is_recorded_as_it_can_be_typed_again(
    called: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [called, "train", "--set", "data.split=my split"])
    assert command_line() == command


def test_a_recorded_command_does_not_name_the_folder_of_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["last-har", "train", "--output_root", str(Path.home() / "my runs")])
    assert command_line() == "last-har train --output_root ~/'my runs'"
