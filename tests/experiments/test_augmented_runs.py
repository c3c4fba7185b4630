"""Runs with every augmentation, stochastic depth and averaged epochs resume exactly, and distil where they can."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from distillation_probes import taught_by

from last.distillation.recipe import DistillationRecipe
from last.distillation.task import Distillation
from last.experiments import run as experiment
from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder
from last.runs.resume import ResumePoint
from last.runtime.distributed import ALONE
from last.runtime.run_context import RunContext
from last.runtime.stop_requests import Stop, StopWatch
from last.settings.run import RunConfig
from last.training.trainer import Trainer
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]
ALL = [
    *("epochs=3", "batch_size=5", "ema.last_epochs=2", "model.drop_path=0.3", "data.augment.anneal=0.7"),
    *("data.augment.mix_add=0.4", "data.augment.mix_splice=0.3", "data.augment.mix_axes=0.3"),
    *("data.augment.drop_body=0.4", "data.augment.exchange_bodies=0.5", "data.augment.drift_metres=0.03"),
    *("data.augment.time_warp=0.4", "data.augment.mask_crop=0.5", "data.augment.mix_share=0.4"),
]


def state(run: RunFolder) -> dict[str, torch.Tensor]:
    checkpoint = read_checkpoint(run.last)
    averages = {f"averaged {name}": each for name, each in checkpoint.ema.items()}
    return {**checkpoint.model, **averages, **checkpoint.statistics["averaged"]}


@pytest.mark.parametrize("looks", [2, 5, 8])
def test_a_run_stopped_anywhere_ends_like_one_left_alone(
    tiny_config: MakeConfig, train_once: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    config = tiny_config(*ALL)
    seen = iter(range(1, 10_000))
    with monkeypatch.context() as patch:
        patch.setattr(StopWatch, "reason", property(lambda _: Stop.TERMINATE if next(seen) >= looks else None))
        stopped = experiment.train(config)
    assert stopped.stopped is Stop.TERMINATE
    resumed, whole = state(experiment.train(config, resume="auto").run), state(train_once(*ALL))
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], each) for name, each in whole.items())


def test_a_run_does_not_depend_on_where_its_clips_are_or_who_reads_them(
    tiny_config: MakeConfig, train_once: Callable[..., RunFolder]
) -> None:
    whole = state(train_once(*ALL))
    other = state(experiment.train(tiny_config(*ALL, "hardware.data_placement=disk", "hardware.num_workers=1")).run)
    assert all(torch.equal(other[name], each) for name, each in whole.items())


def distillation_of(config: RunConfig) -> Trainer:
    recipe = DistillationRecipe()
    return experiment._build(recipe.prepare(config, ALONE), ResumePoint(), recipe, RunContext(torch.device("cpu")))[0]


def test_teachers_see_the_mixed_clips_and_labels_are_mixed(tiny_config: MakeConfig, trained_teacher: RunFolder) -> None:
    trainer = distillation_of(tiny_config(taught_by(trained_teacher.last), "batch_size=12", "data.augment.mix_add=1"))
    task = trainer.task.train()
    assert isinstance(task, Distillation)
    (batch,) = trainer.data.loader
    batch = trainer.data.pipeline.prepared(batch, training=True)
    assert batch.partners is not None and (batch.partners != torch.arange(12)).any()
    torch.manual_seed(0)
    output = task(batch)
    torch.testing.assert_close(output.terms["labels"], task.mixed_losses(output.predictions, batch).mean())
    outputs = task.source(batch.streams, batch)
    unmixed = trainer.data.pipeline.config
    plain = replace(unmixed, augment=replace(unmixed.augment, mix_add=0.0))
    trainer.data.pipeline.config = plain
    (again,) = trainer.data.loader
    single = task.source(trainer.data.pipeline(again, True), again)
    assert not torch.allclose(outputs.logits, single.logits)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["distillation.fixed_augmentations=2", "distillation.cached=true"],
            "Cached teacher outputs are of single clips",
        ),
        (["distillation.method=dkd"], "distillation.method: dkd needs one label for each clip"),
    ],
)
def test_mixed_clips_that_cannot_be_taught_are_refused(
    tiny_config: MakeConfig, trained_teacher: RunFolder, settings: list[str], message: str, tmp_path: Path
) -> None:
    config = tiny_config(taught_by(trained_teacher.last), "data.augment.mix_splice=0.5", *settings)
    with pytest.raises(UserError, match=message):
        distillation_of(config)
