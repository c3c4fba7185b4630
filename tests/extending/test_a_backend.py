"""An export backend is one file, found by its name: it is offered, written, run, and compared with the model."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from deploy_probes import SharedExport
from patience import PATIENCE_S

from last.deploy import backends
from last.deploy import export as exporting
from last.utils.errors import UserError


@pytest.mark.long
def test_a_backend_in_one_file_is_exported_and_compared(
    plug_in: Callable[[ModuleType, Path], None],
    cli: Callable[..., Any],
    shared_export: SharedExport,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plug_in(backends, Path(__file__).with_name("twice_onnx.py"))
    # The ONNX file that a backend converts takes seconds to write: it is the one that was written for all tests.
    monkeypatch.setattr(exporting, "write_onnx", lambda path, *_: shutil.copyfile(shared_export.model, path))
    flags = ["--format", "twice_onnx", "--out", tmp_path / "files"]
    done = cli("export", "--checkpoint", shared_export.checkpoint, *flags)
    assert done.code == 0, done.err
    written = next((tmp_path / "files").glob("*.twice"))
    assert written.is_file() and written.with_suffix(".copy").is_file()
    assert not list((tmp_path / "files").glob("*.onnx"))


def test_a_broken_backend_does_not_affect_the_others(
    plug_in: Callable[[ModuleType, Path], None],
    cli: Callable[..., Any],
    shared_export: SharedExport,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("a_broken", "torn"):
        (tmp_path / f"{name}.py").write_text("x = 1" if name == "a_broken" else "def convert(:")
        plug_in(backends, tmp_path / f"{name}.py")
    flags = ["--format", "safetensors", "--out", tmp_path / "files"]
    done = cli("export", "--checkpoint", shared_export.checkpoint, *flags)
    assert (done.code, "a_broken.py" in done.err) == (0, False), done.err
    backends.open_exported(shared_export.model)
    skipped = [record.message for record in caplog.records if "It is skipped" in record.message]
    assert ["a_broken.py has no `SUFFIXES`" in each for each in skipped] == [True, False]
    assert "torn.py cannot be imported" in skipped[1]


def test_a_file_that_two_backends_can_run_needs_the_name_of_one(
    plug_in: Callable[[ModuleType, Path], None], tmp_path: Path
) -> None:
    source = Path(__file__).with_name("twice_onnx.py").read_text()
    (tmp_path / "again_onnx.py").write_text(source.replace('".twice"', '".onnx"'))
    plug_in(backends, tmp_path / "again_onnx.py")
    (tmp_path / "model.onnx").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"can be a file of again_onnx or onnx\. Name one"):
        backends.open_exported(tmp_path / "model.onnx")
    with pytest.raises(UserError, match=r"cannot be read by ONNX Runtime"):
        backends.open_exported(tmp_path / "model.onnx", backend="again_onnx")


@pytest.mark.parametrize("name", backends.list_backends())
def test_opening_an_exported_file_imports_no_torch(name: str, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"torn")
    program = f"""
import sys
from pathlib import Path
from last.deploy.backends import get_backend
try:
    get_backend({name!r}).open_file(Path("model"), 1, "f32")
except ValueError as error:
    assert "cannot be read by" in str(error), error
else:
    raise AssertionError("a torn file was opened")
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, timeout=PATIENCE_S)
