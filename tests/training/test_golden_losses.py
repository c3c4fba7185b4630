"""The loss of every step of tiny runs equals its record: no change may alter it unnoticed, on any processor.

If a change alters it on purpose, `LAST_RECORD_GOLDEN=1 pytest tests/training/test_golden_losses.py` rewrites the file,
and the commit says why.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import golden_runs
import pytest
import torch
from golden_runs import CASES, CPU, LAST_E, LAST_V2, Case
from torch import Tensor

from last.data.loading.loader import Batch
from last.data.loading.run_data import TrainingData, training_data
from last.data.store.find_store import find_store
from last.experiments import run as experiment
from last.experiments.config import resolve
from last.models import cpu_kernels
from last.runs.folder import RunFolder
from last.runtime.run_context import RunContext
from last.settings.model import ModelConfig
from last.settings.run import RunConfig
from last.tasks.task import TaskOutput
from last.training.classification import Classification
from last.training.trainer import Trainer

FILE = Path(__file__).with_name("golden_losses.json")
EXACT = 1e-9  # what processors differ by in float64 is a hundred thousand times smaller

UNTRAINED = {
    "last_e": ("base_e", ["model.channels=[8,12,16]", "model.blocks=[1,1,1]"]),
    "last_v2": ("small", ["model.channels=[8,8,16]", "model.blocks=[1,1,1]", "model.heads=4"]),
}

MakeConfig = Callable[..., RunConfig]


def recorded(name: str, found: Any) -> Any:
    """Return what is recorded under a name; if LAST_RECORD_GOLDEN is set, record it first."""
    golden = json.loads(FILE.read_text()) if FILE.exists() else {}
    if os.environ.get("LAST_RECORD_GOLDEN"):
        golden[name] = found
        FILE.write_text(json.dumps(golden, indent=1) + "\n")
    return golden[name]


def assert_alike(found: Mapping[str, list[float]], golden: Mapping[str, list[float]]) -> None:
    assert found.keys() == golden.keys()
    for name, values in golden.items():
        assert found[name] == pytest.approx(values, rel=EXACT, abs=0, nan_ok=True), name


@pytest.mark.parametrize("name", CASES)
def test_every_step_has_the_loss_that_was_recorded(name: str) -> None:
    with golden_runs.float64():
        found = golden_runs.run(CASES[name])
    assert_alike(found, recorded(name, found))


@pytest.mark.long
def test_a_processor_of_another_kind_has_the_same_losses() -> None:
    # Between them these compute all that the others do.
    names = ["last_e with dropout", "average with guard and accumulation", "last_v2 with dropout"]
    names += ["distilled by dkd", "distilled by attention", "distilled with few labels", "distilled with everything"]
    own = torch.backends.cpu.get_cpu_capability()
    kind = {"DEFAULT": "avx2"}.get(own, "default")  # torch reads it when it is loaded
    command = [sys.executable, golden_runs.__file__, *names]
    done = subprocess.run(
        command, env={**os.environ, "ATEN_CPU_CAPABILITY": kind}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["processor"] != own or own == "DEFAULT"
    golden = json.loads(FILE.read_text())
    for name in names:
        assert_alike(result["runs"][name], golden[name])


@pytest.mark.parametrize(
    "change",
    [{"momentum": 0.8999}, {"weight_decay": 0.0101}, {"label_smoothing": 0.10001}, {"seed": 4}],
    ids=str,
)
def test_a_small_change_moves_the_losses(change: dict[str, float]) -> None:
    case = CASES["last_e with dropout"]
    with golden_runs.float64():
        found = golden_runs.run(Case(case.model, change))
    golden = json.loads(FILE.read_text())["last_e with dropout"]
    assert found["losses"] != pytest.approx(golden["losses"], rel=100 * EXACT)


def tiny_run(make: MakeConfig, *overrides: str, model: ModelConfig) -> tuple[RunConfig, TrainingData]:
    config = replace(make("epochs=3", "batch_size=5", "learning_rate=0.05", *overrides), model=model)
    return config, training_data(config, find_store(config.data, Path(config.data_root)))


class FixedStreams:
    """Stand in for the pipeline with streams that depend on the clips alone."""

    def __call__(self, batch: Batch, training: bool) -> dict[str, Tensor]:
        return golden_runs.streams_of(batch.indices)

    def prepared(self, batch: Batch, training: bool) -> Batch:
        return batch.with_streams(self(batch, training))


@pytest.mark.parametrize("model", [LAST_E, LAST_V2], ids=["last_e", "last_v2"])
def test_a_whole_run_has_the_losses_that_were_recorded(tiny_config: MakeConfig, model: ModelConfig) -> None:
    config, data = tiny_run(tiny_config, "gradient_accumulation_steps=2", "ema.decay=0.5", model=model)
    data = replace(data, pipeline=FixedStreams())
    task = Classification(golden_runs.formula_model(model), config.label_smoothing)
    losses: list[float] = []
    task.register_forward_hook(lambda _task, _arguments, output: losses.append(output.loss.item()))
    with golden_runs.float64():
        run = RunFolder.create(Path(config.output_root))
        Trainer(config, task, data, run=run, run_context=RunContext(CPU)).fit(None)
    assert len(losses) == 9
    found = {"losses": losses}
    assert_alike(found, recorded(f"whole run of {model.family}", found))


def test_every_batch_has_the_clips_and_streams_that_were_recorded(tiny_config: MakeConfig) -> None:
    _, data = tiny_run(tiny_config, model=LAST_E)
    found: dict[str, list[Any]] = {"indices": [], "rng_keys": [], "labels": [], "bodies": [], "streams": []}
    for data.sampler.epoch in range(2):
        for batch in data.loader:
            for name, values in (("indices", batch.indices), ("rng_keys", batch.rng_keys), ("labels", batch.labels)):
                found[name].append(values.tolist())
            found["bodies"].append(batch.body_slots.tolist())
            found["streams"].append([weighed(each) for each in data.pipeline(batch, training=True).values()])
    golden = recorded("batches", found)
    for name in ("indices", "rng_keys", "labels", "bodies"):
        assert found[name] == golden[name]
    for streams, wanted in zip(found["streams"], golden["streams"], strict=True):
        assert streams == pytest.approx(wanted, rel=0, abs=1e-3)  # of thousands of numbers in float32, each some metres


def weighed(stream: Tensor) -> float:
    """Return one number that depends on every value of a stream and on its position."""
    return float((stream.double() * golden_runs.numbers_like("weights", tuple(stream.shape))).sum())


@pytest.mark.parametrize("family", UNTRAINED)
def test_the_first_loss_of_a_run_is_the_one_that_was_recorded(
    data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    """Compare in float32, with torch's initialisation, the data path and dropout, before steps make roundings grow."""
    losses: list[float] = []
    forward = Classification.forward

    def forward_and_record(task: Classification, *arguments: Any) -> TaskOutput:
        output = forward(task, *arguments)
        losses.append(output.loss.item())
        return output

    monkeypatch.setattr(Classification, "forward", forward_and_record)
    monkeypatch.setattr(cpu_kernels, "fast_kernels", lambda: None)  # whose dropout draws other numbers
    name, sizes = UNTRAINED[family]
    settings = ["input_frames=16", "tensorboard=false", "batch_size=12", "epochs=1", *sizes]
    roots = {"data_root": str(data_yaml.parent / "data"), "output_root": str(tmp_path), "device": "cpu"}
    experiment.train(resolve(model=name, dataset=str(data_yaml), environment="local", overrides=settings, flags=roots))
    assert losses == pytest.approx(recorded(f"first loss of {family}", losses), rel=1e-5)
