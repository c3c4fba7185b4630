"""An export backend is one file, found by its name: it is offered, written, run, and compared with the model."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from deploy_probes import write_checkpoint

from last.deploy import backends

BACKEND = Path(__file__).with_name("twice_onnx.py")


def test_the_document_shows_the_backend_as_it_is() -> None:
    document = Path(__file__).parents[2] / "docs" / "extending.md"
    assert BACKEND.read_text() in document.read_text(encoding="utf-8")


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    package = tmp_path / "backends"
    package.mkdir()
    shutil.copy(BACKEND, package)
    monkeypatch.setattr(backends, "__path__", [*backends.__path__, str(package)])
    yield
    sys.modules.pop("last.deploy.backends.twice_onnx", None)


def test_a_backend_in_one_file_is_exported_and_compared(
    added: None, cli: Callable[..., Any], data_yaml: Path, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "last.pth"
    write_checkpoint(checkpoint, data_yaml)
    done = cli("export", "--checkpoint", checkpoint, "--format", "twice_onnx", "--out", tmp_path / "files")
    assert done.code == 0, done.err
    written = next((tmp_path / "files").glob("*.twice"))
    assert written.is_file() and written.with_suffix(".copy").is_file()
    assert not list((tmp_path / "files").glob("*.onnx"))
