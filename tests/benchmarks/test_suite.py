"""All parts together: what this machine cannot do is skipped and reported, the rest is measured."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from last.benchmarks import inference, suite
from last.utils.errors import missing_extra

HERE = ("inference", "data")


@pytest.fixture(autouse=True)
def _two_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "PARTS", dict.fromkeys(HERE, "what it measures"))


@pytest.fixture
def no_runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(packages: Sequence[str]) -> None:
        raise missing_extra(packages[0], "deploy", "Exporting a model")

    monkeypatch.setattr(inference, "check_installed", refuse)


@pytest.mark.usefixtures("no_runtimes")
def test_a_part_without_its_packages_is_skipped_and_reported(cli: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "new" / "all.json"
    result = cli("benchmark", "all", "--quick", "--threads", 1, "--seed", 2, "--json", file, "--quiet")
    assert result.code == 0, result.err
    assert "inference is skipped: Exporting a model needs onnx" in result.out
    written = json.loads(file.read_text())
    assert list(written["parts"]) == ["data"]
    assert list(written["left_out"]) == ["inference"]
    assert written["parts"]["data"]["settings"]["seed"] == 2
    assert written["parts"]["data"]["settings"]["clips"] == 8


@pytest.mark.usefixtures("no_runtimes")
def test_a_part_without_its_packages_is_refused_alone(cli: Callable[..., Any]) -> None:
    result = cli("benchmark", "inference", "--quick")
    assert result.code == 2
    assert result.err.startswith("error: Exporting a model needs onnx")
    assert "last-har[deploy]" in result.err
