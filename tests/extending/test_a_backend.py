"""An export backend is one file, found by its name: it is offered, written, run, and compared with the model."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from deploy_probes import write_checkpoint

from last.deploy import backends


def test_a_backend_in_one_file_is_exported_and_compared(
    plug_in: Callable[[ModuleType, Path], None], cli: Callable[..., Any], data_yaml: Path, tmp_path: Path
) -> None:
    plug_in(backends, Path(__file__).with_name("twice_onnx.py"))
    checkpoint = tmp_path / "last.pth"
    write_checkpoint(checkpoint, data_yaml)
    done = cli("export", "--checkpoint", checkpoint, "--format", "twice_onnx", "--out", tmp_path / "files")
    assert done.code == 0, done.err
    written = next((tmp_path / "files").glob("*.twice"))
    assert written.is_file() and written.with_suffix(".copy").is_file()
    assert not list((tmp_path / "files").glob("*.onnx"))
