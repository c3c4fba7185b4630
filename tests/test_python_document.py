"""The examples of docs/python.md run as they stand, on fewer clips and epochs."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = Path(__file__).parents[1] / "docs" / "python.md"


@pytest.mark.long
def test_every_example_runs(cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("synthesize", "--out", "raw", "--clips", 24).code == 0
    assert cli("preprocess", "--dataset", "synthetic", "--raw", "raw").code == 0
    text = DOCUMENT.read_text(encoding="utf-8").replace("epochs=15", "epochs=1, **TINY")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    tiny = {"input_frames": 8, "settings": {"hardware.num_workers": 0, "model.blocks": [1, 1, 1]}}
    names: dict[str, Any] = {"TINY": tiny}
    for block in blocks:
        if "model.onnx" in block:
            assert cli("export", "--checkpoint", "latest", "--out", "model.onnx").code == 0
        exec(compile(block, DOCUMENT.name, "exec"), names)  # noqa: S102 - a program of our documents
    assert names["features"].ndim == 1 and names["student"].classifier.out_features == 5
