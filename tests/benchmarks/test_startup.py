"""Programs that classify one recording, from their start."""

from pathlib import Path

import numpy as np
import pytest
import torch
from deploy_probes import SharedExport

import last
from last.benchmarks import startup
from last.utils.errors import UserError


def test_a_program_is_timed_with_its_file_and_its_own_memory(
    shared_export: SharedExport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "_STARTS", 1)
    weights = tmp_path / "weights.pth"
    torch.save(last.create_model("nano_e", 60, "ntu25").state_dict(), weights)
    joints = np.random.default_rng(0).normal(size=(1, 1, 64, 25, 3)).astype(np.float32)
    files = {"file, ONNX Runtime": shared_export.model}
    taken = np.zeros(200 << 17)  # 200 MiB, which are not those of a program that this process starts
    exported, checkpoint = startup.measure_starts("nano_e", files, weights, np.repeat(joints, 2, 1), (60, "ntu25"))
    assert [exported["program"], checkpoint["program"]] == ["file, ONNX Runtime", "weights, PyTorch"]
    assert exported["kib"] == shared_export.model.stat().st_size / 1024
    assert exported["milliseconds"] > 0 and exported["peak_mib"] < taken.nbytes / 2**20
    assert exported["peak_mib"] < checkpoint["peak_mib"]


def test_a_program_that_fails_is_reported_with_its_error() -> None:
    with pytest.raises(UserError, match=r"(?s)one recording failed: .*ZeroDivisionError"):
        startup._start("1 / 0", [])
