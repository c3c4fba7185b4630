"""The package `last.benchmarks`: found in a checkout of LAST, and nowhere else."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from last import benchmarks

PROJECT = '[project]\nname = "last-har"\n'


def laid_out(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def test_the_benchmarks_of_a_checkout_are_those_beside_its_source(tmp_path: Path) -> None:
    checkout = laid_out(tmp_path, {"pyproject.toml": PROJECT, "benchmarks/parts.py": ""})
    assert benchmarks.folder_beside(checkout / "src") == checkout / "benchmarks"


@pytest.mark.parametrize(
    ("files", "source"),
    [
        ({"pyproject.toml": PROJECT}, "src"),
        ({"pyproject.toml": PROJECT, "benchmarks/own.py": ""}, "src"),
        ({"benchmarks/parts.py": ""}, "src"),
        ({"pyproject.toml": PROJECT.replace("last-har", "last"), "benchmarks/parts.py": ""}, "src"),
        ({"pyproject.toml": PROJECT, "benchmarks/parts.py": ""}, "last"),
    ],
    ids=["none", "another content", "no project", "another project", "an installed package"],
)
def test_a_folder_of_that_name_elsewhere_is_not_taken(files: dict[str, str], source: str, tmp_path: Path) -> None:
    assert benchmarks.folder_beside(laid_out(tmp_path, files) / source) is None


def test_the_message_needs_no_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(benchmarks, "metadata", missing)
    assert benchmarks.where_they_are().startswith("The benchmarks come with the repository, and not ")


def test_help_outside_a_checkout_has_no_example(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks, "__path__", [])
    result = cli("benchmark", "--help")
    assert result.code == 0
    assert "examples:" not in result.out
