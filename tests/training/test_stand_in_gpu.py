"""Without a GPU: a run on CUDA has all of its tensors there, and its host never waits within an epoch or a test."""

import json
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny_run
from distillation_probes import taught_by
from filelock import FileLock
from golden_runs import LAST_V2
from stand_in_runs import PLANTS, RICH, Case

from last.runs.folder import RunFolder

pytestmark = pytest.mark.long

# Both batches of this seed have as many bodies, so that torch works out what an operation makes of them but once.
ONE_BATCH, TWO_BATCHES = ("batch_size=12",), ("batch_size=6", "seed=1")
FP16, BF16 = ("amp=true",), ("amp=true", "hardware.amp_dtype=bf16")
RUNS = {
    "plain": (),
    "all of it in fp16": (*RICH, *FP16, "data.augment.jitter_metres=0.01"),
    "restoring statistics in bf16": (*BF16, "nan_guard.bn_recovery=restore"),
    "whole steps": ("hardware.whole_step_graph=true", "ema.decay=0.9", *FP16),
    "uniform frames": ("data.sampling.method=uniform", "data.sampling.test_draws=2"),
    "dropped joints": tuple(f"data.augment.drop_{name}=0.4" for name in ("joints", "limbs", "frames", "axis")),
    "synchronised statistics": ("distributed.sync_batchnorm=true",),
}
DISTILLED = {
    "kl, live": ("distillation.method=kl",),
    "kl, cached": ("distillation.method=kl", "distillation.cached=true", *FP16),
    "dkd, live": ("distillation.method=dkd", *FP16),
    "features, cached": ("distillation.method=features", "distillation.cached=true"),
    "attention, live": ("distillation.method=attention", *BF16),
}
V2 = "LAST-v2 recomputed in fp16"
NAMES = [*RUNS, V2, *DISTILLED]


def cases(data_yaml: Path, folder: Path, teacher: Path) -> dict[str, Case]:
    """Return every run, small, and every fault planted in one."""
    configs = {name: tiny_run(data_yaml, folder, *TWO_BATCHES, *RUNS[name]) for name in RUNS}
    two_stages = {"channels": [4, 6], "blocks": [1, 1], "temporal": ["convolution", "attention"]}
    model = replace(LAST_V2, recompute=True, **two_stages)
    configs[V2] = replace(tiny_run(data_yaml, folder, *ONE_BATCH, *FP16), model=model)
    for name, overrides in DISTILLED.items():
        how = (taught_by(teacher), "distillation.fixed_augmentations=2", *overrides)
        configs[name] = tiny_run(data_yaml, folder, *ONE_BATCH, *how)
    found = {name: Case(config) for name, config in configs.items()}
    return found | {name: Case(tiny_run(data_yaml, folder, *TWO_BATCHES, *RICH), name) for name in PLANTS}


@pytest.fixture(scope="session")
def results(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str, data_yaml: Path, trained_teacher: RunFolder
) -> dict[str, Any]:
    """Return what was wrong with every case, and its operations; several test processes run them once."""
    shared = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    folder = shared / "stand_in_gpu"
    with FileLock(f"{folder}.lock"):
        if not (folder / "results").exists():
            folder.mkdir(exist_ok=True)
            (folder / "cases").write_bytes(pickle.dumps(cases(data_yaml, folder, trained_teacher.last)))
            paths = (_guard(folder), folder / "cases", folder / "results")
            command = [sys.executable, "stand_in_runs.py", *map(str, paths)]
            run = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
            assert run.returncode == 0, run.stderr
    loaded: dict[str, Any] = json.loads((folder / "results").read_text())
    return loaded


def _guard(folder: Path) -> Path:
    """Compile the library with which torch without CUDA accepts fake tensors on a GPU."""
    compiler = shutil.which("c++")
    if compiler is None or sys.platform != "linux" or torch.version.cuda is not None:
        pytest.skip("needs Linux, a C++ compiler, and a torch without CUDA; others have the tests marked gpu")
    torch_folder, library = Path(torch.__file__).parent, folder / "guard.so"
    options = ["-std=c++20", "-O0", "-shared", "-fPIC", f"-I{torch_folder / 'include'}", f"-L{torch_folder / 'lib'}"]
    source = str(Path(__file__).parent / "stand_in_guard.cpp")
    libraries = ["-lc10", "-ltorch_cpu", f"-Wl,-rpath,{torch_folder / 'lib'}"]
    subprocess.run([compiler, *options, source, "-o", str(library), *libraries], check=True)
    return library


@pytest.mark.parametrize("name", NAMES)
def test_a_run_neither_waits_for_the_device_nor_mixes_devices(results: dict[str, Any], name: str) -> None:
    fault, operations = results[name]
    assert not fault
    assert {"_fused_sgd_", "var_mean", "index_select"} <= set(operations)


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found(results: dict[str, Any], name: str) -> None:
    assert results[name][0].startswith("Waits: ")


def test_the_runs_have_what_they_are_to_show(results: dict[str, Any]) -> None:
    shown = {
        "all of it in fp16": "_amp_update_scale_",
        V2: "_amp_foreach_non_finite_check_and_unscale_",
        "synchronised statistics": "allreduce_",
        "kl, cached": "searchsorted",
    }
    assert {name for name, operation in shown.items() if operation not in results[name][1]} == set()
