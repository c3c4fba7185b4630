"""Triton's kernels compute what plain torch computes: interpreted on the CPU, and as they are on a GPU."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
import torch

BOUNDS = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 1.6e-2}  # of the largest value: some roundings of the format

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton, of the extra dev")


def differences(device: str) -> dict[str, float]:
    """Return the largest difference of each case from plain torch in float64."""
    environment = {**os.environ, "TRITON_INTERPRET": "1" if device == "cpu" else "0", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "last.benchmarks.kernel_checks", device]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    found: dict[str, float] = json.loads(run.stdout)
    return found


def assert_close(found: dict[str, float], cases: int) -> None:
    assert len(found) == cases
    assert {name: each for name, each in found.items() if each > BOUNDS[name.rpartition(" ")[2]]} == {}


@pytest.mark.long
@needs_triton
def test_interpreted_kernels_compute_what_torch_computes() -> None:
    assert_close(differences("cpu"), 38)


@pytest.mark.gpu
@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_kernels_compute_on_a_gpu_what_torch_computes() -> None:
    assert_close(differences("cuda"), 39)
