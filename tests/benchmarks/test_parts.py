"""Every part of the suite runs in a tiny setting and writes its documented results."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from last.benchmarks import inference
from last.benchmarks.parts import PARTS
from last.utils.freed_memory import keep_freed_memory

# What a part is run for: these figures have to be in its JSON.
SUMMARIES = {
    "training": {"training_times_as_fast"},
    "inference": {"fastest_ms", "versions"},
    "guards": {"guard_percent", "checkpoint_percent"},
    "allocator": {"times_as_fast"},
    "losses": {"largest_relative_difference"},
    "data": {"percent_of_a_step", "times_as_fast"},
    "preprocess": {"megabytes_per_second", "times_as_fast", "kept", "ids_exact", "peak_memory_mib"},
    "evaluation": {"times_as_fast_as_training", "percent_of_an_epoch"},
    "distillation": {"live_times_plain", "cached_times_plain", "clips_per_second", "building_clips_per_second"},
    "epochs": {
        "seconds",
        "epoch_seconds",
        "clips_per_second",
        "data_wait_percent",
        "peak_memory_mib",
        "batch_size",
        "final_top1",
        "gpu_busy_percent",
        "times_as_fast",
    },
    "roofline": {"times_the_least"},
}
TINY = ("--quick", "--threads", "1", "--quiet")


@pytest.fixture
def found(cli: Callable[..., Any], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Return a function that runs a part and returns its JSON."""

    def run(part: str, *options: object) -> dict[str, Any]:
        result = cli("benchmark", part, *TINY, *options, "--json", tmp_path / "found.json")
        assert result.code == 0, result.err
        assert result.err == ""
        written: dict[str, Any] = json.loads((tmp_path / "found.json").read_text())
        return written

    return run


@pytest.fixture
def two_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `inference` measure two functions instead of models, whose export takes long."""
    logits = np.zeros((1, 60), np.float32)
    monkeypatch.setattr(inference, "measure_starts", lambda *_: [])
    monkeypatch.setattr(inference, "_paths", lambda *_: {"plain": lambda: logits, "folded": lambda: logits + 1})


@pytest.mark.long
@pytest.mark.usefixtures("two_paths")
@pytest.mark.parametrize("part", [part for part in PARTS if part != "gpu"])  # which has parts of its own
def test_a_part_reports_its_results_machine_and_options(part: str, found: Callable[..., Any]) -> None:
    if part == "allocator" and not keep_freed_memory():
        pytest.skip("malloc of this system does not keep freed memory")
    written = found(part, "--seed", 3)
    assert written["part"] == part
    assert written["settings"]["seed"] == 3
    assert written["machine"]["threads"] == 1
    assert written["machine"]["load_after"] is not None
    assert len(written["tables"]["rows"]) >= 2
    assert SUMMARIES[part] <= written["summary"].keys()


@pytest.mark.slow
def test_every_path_of_inference_gives_the_logits_of_the_plain_one(found: Callable[..., Any]) -> None:
    rows = found("inference")["tables"]["rows"]
    of_files = {"core, ONNX Runtime", "core, OpenVINO", "file, ONNX Runtime", "file, OpenVINO"}
    assert {"plain", "eager", "folded"} | of_files <= {row["path"] for row in rows}
    assert max(row["difference"] for row in rows) < 1e-4


def test_training_is_measured_in_float32_and_bfloat16_against_plain_float32(found: Callable[..., Any]) -> None:
    rows = [row for row in found("training", "--amp")["tables"]["rows"] if row["task"] == "training"]
    assert [row["way"] for row in rows] == ["plain float32", "ours float32", "ours bfloat16", "plain bfloat16"]
    assert rows[0]["ratio"] == 1.0


@pytest.mark.long
def test_the_memory_of_a_step_is_measured_in_a_process_of_its_own(found: Callable[..., Any]) -> None:
    (row,) = found("training", "--memory")["tables"]["memory"]
    assert row["model"] == "nano_e"
    assert 0 < row["peak_gib"] < 2


def test_epochs_keep_their_clips_for_the_next_time_and_refuse_others(
    cli: Callable[..., Any], found: Callable[..., Any], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    found("epochs", "--work", work)
    store = work / "data" / "ntu60" / "joints.npy"
    made = store.stat().st_mtime_ns
    assert found("epochs", "--work", work, "--set", "learning_rate=0.1")["summary"]["batch_size"] == 12
    assert store.stat().st_mtime_ns == made
    result = cli("benchmark", "epochs", *TINY, "--work", work, "--clips", 61)
    assert result.code == 2
    assert "has different clips" in result.err
