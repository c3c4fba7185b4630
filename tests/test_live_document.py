"""The example of docs/live.md runs as it stands."""

import re
import shutil
from pathlib import Path

import pytest
from deploy_probes import SharedExport

DOCUMENT = Path(__file__).parents[1] / "docs" / "live.md"


def test_its_example_runs(
    shared_export: SharedExport,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(shared_export.model, "model.onnx")
    (block,) = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    exec(compile(block, DOCUMENT.name, "exec"), {})  # noqa: S102 - a program of our documents
    assert "('anna', " in capsys.readouterr().out
