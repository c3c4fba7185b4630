"""The weights of a model as a safetensors file."""

import json
from pathlib import Path

import pytest
import torch
from deploy_probes import write_checkpoint

import last
from last.deploy.export import ExportRequest, export


@pytest.mark.parametrize("no_ema", [False, True])
def test_it_holds_the_weights_that_evaluate_uses_under_their_names(
    no_ema: bool, tmp_path: Path, data_yaml: Path
) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    checkpoint = write_checkpoint(tmp_path / "last.pth", data_yaml, ema=True)
    (found,) = export(ExportRequest(checkpoint, ("safetensors",), no_ema=no_ema), tmp_path / "out")
    assert (found.difference, found.latency_ms) == (None, None)
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [
        "nano_e.json", "nano_e.md", "nano_e.safetensors",
    ]  # fmt: skip
    weights = safetensors.load_file(found.files[0])
    expected = last.load_checkpoint(checkpoint, no_ema=no_ema).state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], value) for name, value in expected.items())


def test_its_metadata_says_what_the_weights_are(tmp_path: Path, data_yaml: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    checkpoint = write_checkpoint(tmp_path / "last.pth", data_yaml)
    (found,) = export(ExportRequest(checkpoint, ("safetensors",)), tmp_path / "out")
    with safetensors.safe_open(found.files[0], "np") as file:
        metadata = file.metadata()
    assert metadata["model"] == "nano_e" and json.loads(metadata["classes"]) == ["rise", "fall", "still"]
    assert "load_file" in (tmp_path / "out" / "nano_e.md").read_text(encoding="utf-8")
