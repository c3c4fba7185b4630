"""The host never waits for the device within an epoch."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from distillation_probes import taught_by
from stand_in_runs import READING, RICH
from torch.utils._python_dispatch import TorchDispatchMode

from last.data.loading.loader import Batch, DeviceLoader
from last.data.loading.run_data import TestPart
from last.distillation.recipe import DistillationRecipe
from last.evaluation.scoring import score_batches
from last.experiments import run as experiment
from last.runs.resume import ResumePoint
from last.runtime.async_reader import DelayedReader
from last.runtime.distributed import ALONE
from last.runtime.run_context import RunContext
from last.settings.distillation import METHODS
from last.settings.run import RunConfig
from last.training.epoch_metrics import EpochMetrics
from last.training.step import LocalBatch
from last.training.trainer import Trainer

EAGER = ["amp=true", "hardware.cuda_graphs=false"]


class NoReading(TorchDispatchMode):
    """Refuse every operation that would make the host wait for the device."""

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        name = function.overloadpacket.__name__
        assert name not in READING, f"{name} makes the host wait for the device"
        return function(*arguments, **(options or {}))


def trainer_of(config: RunConfig, device: str = "cpu") -> Trainer:
    recipe = DistillationRecipe()
    config = recipe.prepare(config, ALONE)
    run_context = RunContext(torch.device(device))
    return experiment._build(config, ResumePoint(), recipe, run_context)[0]


@pytest.mark.parametrize("overrides", [[], RICH, ["nan_guard.bn_recovery=restore"]])
@pytest.mark.parametrize("scaled", [False, True])
def test_step_reads_nothing_on_the_host(
    tiny_config: Callable[..., RunConfig], overrides: list[str], scaled: bool
) -> None:
    trainer = trainer_of(tiny_config(*overrides))
    if scaled:
        trainer.state.precision.scaler = torch.amp.GradScaler("cpu", enabled=True)
        trainer.state.accumulation.sums = True
    assert_an_epoch_reads_nothing(trainer)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cached", ["cached=false", "cached=true"])
def test_distilling_step_reads_nothing_on_the_host(
    tiny_config: Callable[..., RunConfig], teacher: Path, method: str, cached: str
) -> None:
    how = (f"distillation.method={method}", "distillation.fixed_augmentations=2", f"distillation.{cached}")
    assert_an_epoch_reads_nothing(trainer_of(tiny_config(taught_by(teacher), *how)))


def assert_an_epoch_reads_nothing(trainer: Trainer) -> None:
    trainer.task.train()
    metrics = EpochMetrics(torch.device("cpu"), terms=len(trainer.task.terms))
    for batch in trainer.data.loader:
        with NoReading():
            streams = trainer.data.pipeline(batch, training=True)
            trainer.step(streams, batch, LocalBatch(len(batch), len(batch)), closes=True, metrics=metrics)
    assert metrics.read(ALONE).loss > 0


def test_a_test_reads_nothing_on_the_host_before_its_end(tiny_config: Callable[..., RunConfig]) -> None:
    trainer = trainer_of(tiny_config())
    part = TestPart([list(loader) for loader in trainer.data.test.loaders], trainer.data.test.num_clips)
    metrics = EpochMetrics(torch.device("cpu"), classes=3)
    trainer.task.eval()
    scored = score_batches(trainer.model, part, trainer.data.pipeline, trainer.device)
    for _ in part.loaders[0]:
        with NoReading():
            batch, scores = next(scored)
            metrics.add_test(trainer.task.test(scores, batch), batch.labels)
    assert next(scored, None) is None
    assert metrics.confusion(ALONE).sum() == 12


def test_measuring_statistics_reads_nothing_on_the_host(tiny_config: Callable[..., RunConfig]) -> None:
    population = trainer_of(tiny_config()).tests.population
    population.sample = list(population.sample)
    with NoReading():
        assert population.measure()


def test_batches_of_resident_clips_come_into_being_without_reading_on_the_host(
    tiny_config: Callable[..., RunConfig],
) -> None:
    loader = trainer_of(tiny_config("hardware.data_placement=device", "batch_size=4")).data.loader
    batches = iter(loader)
    next(batches)  # which bodies are there is read once, for the whole epoch
    with NoReading():
        assert len(list(batches)) == 2


def test_probe_notices_a_value_that_is_read() -> None:
    with pytest.raises(AssertionError, match="makes the host wait"), NoReading():
        bool(torch.ones(()) > 0)


def test_delayed_values_arrive_in_order_and_all_at_the_end() -> None:
    reader: DelayedReader[int] = DelayedReader(torch.device("cpu"), lag=2)
    arrived = []
    for number in range(5):
        reader.put(torch.tensor([float(number)]), number)
        arrived += reader.due()
    assert arrived == [([0.0], 0), ([1.0], 1), ([2.0], 2)]
    assert reader.rest() == [([3.0], 3), ([4.0], 4)]
    assert reader.rest() == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("overrides", [[], RICH, ["amp=true"], ["amp=true", "hardware.amp_dtype=bf16"], EAGER])
def test_epoch_on_cuda_never_waits_for_the_device(
    tiny_config: Callable[..., RunConfig], overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(*overrides, "device=cuda", "hardware.pin_memory=true", "epochs=3")
    trainer = trainer_of(config, "cuda")
    train = Trainer._train_epoch

    def watched(trainer: Trainer) -> None:
        # The first epoch allocates memory, loads kernels and sends constants.
        torch.cuda.set_sync_debug_mode("error" if trainer.state.progress.epoch > 0 else "default")
        try:
            train(trainer)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    start = DeviceLoader.__iter__

    def starting(loader: DeviceLoader) -> Iterator[Batch]:
        # Which bodies are there is read once, for the whole epoch, with its first batch.
        mode = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("default")
        batches = start(loader)
        first = next(batches)
        torch.cuda.set_sync_debug_mode(mode)
        yield first
        yield from batches

    monkeypatch.setattr(DeviceLoader, "__iter__", starting)
    monkeypatch.setattr(Trainer, "_train_epoch", watched)
    trainer.fit(None)
    assert trainer.state.progress.epoch == 3
