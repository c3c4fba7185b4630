"""The command `demo`: what it leaves behind, with pictures and without, and what it proposes next."""

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from last.experiments import run as experiment

SMALL = ("--clips", 16, "--epochs", 1)


@pytest.fixture
def demo(cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that runs a small demo in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda: cli("demo", *SMALL)


def test_it_draws_and_every_command_that_it_proposes_runs(
    demo: Callable[..., Any], cli: Callable[..., Any], tmp_path: Path, coarse_pictures: None
) -> None:
    result = demo()
    assert result.code == 0, result.err
    (run,) = tmp_path.glob("last-demo/runs/run-*")
    assert (run / "training_curve.png").exists()
    assert result.out.splitlines()[-1] == f"The run is in {run.relative_to(tmp_path)}"
    proposed = re.findall(r"^    python -m last (.*)", result.out.partition("Next:")[2], re.MULTILINE)
    commands = {line.split()[0]: shlex.split(line)[1:] for line in proposed}
    assert list(commands) == ["view", "train", "runs", "export", "preprocess"]
    assert cli("view", *commands["view"]).code == 0
    assert (run / "skeleton.gif").exists() and "last-player" in (run / "skeleton.html").read_text(encoding="utf-8")
    assert cli("train", *commands["train"], "--epochs", 1).code == 0
    assert "2 runs in last-demo/runs" in cli("runs", *commands["runs"]).out
    assert (run / "checkpoints" / "best_model.pth") == tmp_path / commands["export"][1]


def test_without_the_extra_deploy_its_installation_is_proposed_before_an_export(
    demo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("matplotlib", "onnxscript"):
        monkeypatch.setitem(sys.modules, package, None)
    lines = demo().out.splitlines()
    (export,) = [number for number, line in enumerate(lines) if " export --checkpoint " in line]
    assert lines[export - 1].endswith("-m pip install 'last-har[deploy]'")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "last-har[plots]"), ('raise ImportError("built for another numpy")', "another numpy")],
)
def test_without_matplotlib_it_goes_the_whole_way_without_pictures(
    demo: Callable[..., Any], tmp_path: Path, replace_package: Callable[..., None], content: str | None, message: str
) -> None:
    replace_package("matplotlib", content or 'raise ModuleNotFoundError("No module", name="matplotlib")')
    result = demo()
    assert (result.code, result.err.count(message)) == (0, 1)
    assert "[4/4] evaluate" in result.out
    assert not list(tmp_path.glob("last-demo/runs/**/*.png"))


def test_missing_matplotlib_is_reported_before_anything_is_trained(
    demo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(experiment, "train", interrupt)
    result = demo()
    assert result.code == 130
    assert result.err.startswith("warning: Drawing the pictures needs matplotlib")


@pytest.mark.long
def test_a_quiet_demo_prints_its_results_only(cli: Callable[..., Any], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("demo", *SMALL, "--quiet")
    assert result.code == 0, result.err
    assert "[1/" not in result.out and "Next:" not in result.out
    assert result.out.startswith("time\n") and result.out.splitlines()[-1].startswith("The run is in ")
