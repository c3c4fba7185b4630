"""The notebook for Kaggle, run cell by cell over two sessions, in a copy of its folders."""

import json
import shlex
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import TINY

from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder
from last.runtime.stop_requests import Stop, StopWatch

NOTEBOOK = Path(__file__).parents[2] / "docs" / "kaggle.ipynb"
OPTIONS = f"--epochs 2 --set {' '.join(TINY)} hardware.num_workers=0"


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any]) -> Path:
    """Return a copy of /kaggle, with recordings in a zip in its input, and a session's working folder."""
    root = tmp_path / "kaggle"
    recordings = root / "input" / "datasets" / "owner" / "recordings"
    recordings.mkdir(parents=True)
    (root / "working").mkdir()
    assert cli("synthesize", "--out", tmp_path / "raw", "--clips", 16, "--quiet").code == 0
    with zipfile.ZipFile(recordings / "all.zip", "w") as archive:
        for path in (tmp_path / "raw").rglob("*.skeleton"):
            archive.write(path, path.name)
    monkeypatch.setenv("LAST_KAGGLE", str(root))
    monkeypatch.chdir(root / "working")
    return root


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the notebook's display, and return the list of pictures that it shows."""
    pictures: list[str] = []
    module = ModuleType("IPython.display")
    monkeypatch.setattr(module, "Image", str, raising=False)
    monkeypatch.setattr(module, "display", pictures.append, raising=False)
    parent = ModuleType("IPython")
    monkeypatch.setattr(parent, "version_info", (9, 0), raising=False)  # matplotlib looks at it
    monkeypatch.setitem(sys.modules, "IPython", parent)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return pictures


def run_notebook(cli: Callable[..., Any], raw: Path) -> str:
    """Run every cell except the installation, with parameters for a small set, and return the commands' output."""
    names: dict[str, Any] = {}
    output = ""
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        tags, text = cell["metadata"].get("tags", []), "".join(cell["source"])
        if cell["cell_type"] != "code" or "install" in tags:
            continue
        if text.startswith("!python -m last "):
            result = cli(*shlex.split(text.removeprefix("!python -m last ").format(**names)))
            assert result.code == 0, result.err
            output += result.out + result.err
        else:
            exec(compile(text, "cell", "exec"), names)  # noqa: S102 - our own notebook
        if "parameters" in tags:
            names |= {"DATASET": "synthetic", "RAW": shlex.quote(str(raw)), "MODEL": "nano_e", "OPTIONS": OPTIONS}
    return output


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.long
def test_a_run_is_carried_from_raw_zips_over_two_sessions(
    kaggle: Path, shown: list[str], cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    raw, working = kaggle / "input" / "datasets" / "owner" / "recordings", kaggle / "working"
    with monkeypatch.context() as patch:  # the time is over within the second epoch
        looks = iter(range(100))
        patch.setattr(StopWatch, "reason", property(lambda _: Stop.TIME if next(looks) > 5 else None))
        output = run_notebook(cli, raw)
    assert "There is no run to resume of nano_e on synthetic xsub" in output
    assert "its time is over" in output

    session = kaggle / "input" / "notebooks" / "owner" / "session-1"
    shutil.copytree(working, session)
    for path in working.iterdir():
        shutil.rmtree(path)
    before = contents(kaggle / "input")
    output = run_notebook(cli, raw)
    assert f"{session / 'data' / 'synthetic'} was already prepared from the same recordings" in output
    assert f"{next(session.glob('run-*'))} is copied to" in output
    assert contents(kaggle / "input") == before
    (run,) = working.glob("run-*")
    assert RunFolder(run).finished
    assert len(list((run / "export").rglob("*.onnx"))) == 1

    settings = shlex.split(OPTIONS)
    whole = cli("train", "--model", "nano_e", "--dataset", "synthetic", "--output_root", tmp_path / "whole", *settings)
    assert whole.code == 0, whole.err
    (uninterrupted,) = (tmp_path / "whole").glob("run-*")
    ours, theirs = (read_checkpoint(RunFolder(each).last).model for each in (run, uninterrupted))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_the_notebook_has_no_output_and_names_no_folder_but_kaggles() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    text = "".join("".join(cell["source"]) for cell in cells)
    assert all(part.startswith(("/kaggle/input", "/kaggle/working")) for part in text.split() if part.startswith("/"))
