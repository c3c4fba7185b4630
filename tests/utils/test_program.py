"""How the program is called, in messages."""

import sys

import pytest

from last.utils.program import install_command, naming_program, program


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
