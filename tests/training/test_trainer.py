"""The training loop on a model without BatchNorm or dropout, whose steps can be followed by hand."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from noted_progress import NotedProgress
from torch import Tensor, nn

from last.data.loading.loader import ClipDataset
from last.data.loading.run_data import training_data
from last.data.loading.samplers import BatchIndices
from last.data.store.find_store import find_store
from last.experiments import run as experiment
from last.models.classifier import SkeletonClassifier
from last.runs.checkpoint import read_checkpoint, save_checkpoint
from last.runs.folder import RunFolder
from last.runs.logbook import Logbook, Row
from last.runtime.run_context import RunContext
from last.runtime.stop_requests import Stop, StopWatch
from last.settings.run import RunConfig
from last.tasks.task import TaskOutput
from last.training.classification import Classification
from last.training.trainer import Trainer
from last.utils.errors import TrainingDiverged

MakeConfig = Callable[..., RunConfig]
# Every epoch shows the same clips, unvaried.
STILL = ["data.sampling.crop_min=1", "data.augment.rotation_degrees=[]"]


class Plain(nn.Module):
    """A linear map of the mean joint in each frame; it refuses numbers that are not finite."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3 * 8, 3)

    def features(self, streams: Mapping[str, Tensor]) -> Tensor:
        assert all(torch.isfinite(stream).all() for stream in streams.values())
        return streams["joint"].mean(dim=(3, 4)).flatten(1)  # (N, C*T)

    def forward(self, streams: Mapping[str, Tensor], valid: Tensor, rows: Tensor) -> Tensor:
        return self.linear(self.features(streams))


def plain_trainer(config: RunConfig) -> Trainer:
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    run = RunFolder.create(Path(config.output_root))
    return Trainer(
        config,
        Classification(Plain(), config.label_smoothing),
        data,
        run=run,
        run_context=RunContext(torch.device("cpu")),
    )


def fitted(trainer: Trainer) -> list[Row]:
    logbook = Logbook(trainer.run.path, tensorboard=False)
    trainer.fit(logbook)
    return logbook.rows()


def test_only_every_nth_epoch_and_the_last_are_tested(tiny_config: MakeConfig) -> None:
    trainer = plain_trainer(tiny_config("epochs=5", "test_every=2", "validation=split", "validation_fraction=0.3"))
    rows = fitted(trainer)
    tested = [row["epoch"] for row in rows if not math.isnan(float(row["test_top1"]))]
    assert tested == [row["epoch"] for row in rows if not math.isnan(float(row["val_loss"]))] == [1, 3, 4]
    assert trainer.state.progress.best_epoch in tested


def plain_losses(config: RunConfig, model: Plain, features: Tensor, labels: Tensor) -> list[float]:
    """Return the loss of each epoch of one step, by the textbook and in float64: (N, D), (N,)."""
    weight, bias = (each.detach().double().requires_grad_() for each in (model.linear.weight, model.linear.bias))
    momenta = [torch.zeros_like(weight), torch.zeros_like(bias)]
    losses = []
    for epoch in range(config.epochs):  # too short for a warm-up
        share = (1 + torch.cos(torch.tensor(torch.pi * epoch / config.epochs))) / 2
        rate = config.min_learning_rate + (config.learning_rate - config.min_learning_rate) * share
        targets = torch.eye(3, dtype=torch.float64)[labels] * (1 - config.label_smoothing) + config.label_smoothing / 3
        loss = -(targets * (features @ weight.T + bias).log_softmax(dim=1)).sum(dim=1).mean()
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, (weight, bias))
        norm = torch.cat([each.flatten() for each in gradients]).norm()
        with torch.no_grad():
            for each, gradient, momentum, decay in zip(
                (weight, bias), gradients, momenta, (config.weight_decay, 0.0), strict=True
            ):
                step = gradient * min(1.0, config.grad_clip / norm) + decay * each
                momentum.mul_(config.momentum).add_(step)
                each -= rate * (step + config.momentum * momentum)
    return losses


def test_losses_are_those_of_a_plain_reference(tiny_config: MakeConfig) -> None:
    values = ["epochs=6", "batch_size=12", "grad_clip=0.5", "weight_decay=0.1", "learning_rate=0.3", *STILL]
    trainer = plain_trainer(tiny_config(*values))
    model = Plain()
    (batch,) = trainer.data.loader
    features = model.features(trainer.data.pipeline(batch, training=False)).double()
    expected = plain_losses(trainer.config, model, features, batch.labels)
    rows = fitted(trainer)
    assert [row["train_loss"] for row in rows] == pytest.approx(expected, rel=1e-5)
    assert float(str(rows[0]["grad_norm"])) > 0.5, "the gradient was not long enough to be clipped"


@pytest.mark.parametrize("steps", [2, 3])
def test_accumulated_batches_step_like_one_large_batch_and_so_does_a_short_window(
    tiny_config: MakeConfig, steps: int
) -> None:
    # 12 clips: windows of 10 or 9, then of 2 or 3.
    size = {2: 5, 3: 3}[steps]
    whole = plain_trainer(tiny_config("epochs=2", f"batch_size={size * steps}"))
    parts = plain_trainer(tiny_config("epochs=2", f"batch_size={size}", f"gradient_accumulation_steps={steps}"))
    norms = [[row["grad_norm"] for row in fitted(each)] for each in (whole, parts)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-5)
    torch.testing.assert_close(parts.model.state_dict(), whole.model.state_dict())


def test_batch_with_bad_values_never_reaches_the_model(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ClipDataset.__getitem__

    def read_with_fault(clips: ClipDataset, draw: BatchIndices) -> object:
        batch = read(clips, draw)
        if clips.training and 0 in batch.indices:
            batch.joints[0, 0, 0, 0, 0] = float("inf")
        return batch

    monkeypatch.setattr(ClipDataset, "__getitem__", read_with_fault)
    trainer = plain_trainer(tiny_config("epochs=1"))
    assert fitted(trainer)[0]["skipped_batches"] == trainer.state.guard.skips.inputs == 1


def test_skipped_batches_that_are_not_in_a_row_never_end_a_training_with_a_scaler(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = plain_trainer(tiny_config("epochs=3", "batch_size=6", "nan_guard.max_consecutive=2"))
    trainer.state.precision.scaler = torch.amp.GradScaler("cpu", enabled=True)
    trainer.state.accumulation.sums = True
    accepts = iter([False, True] * 3)
    monkeypatch.setattr(trainer.task, "forward", _with_bad_losses(trainer.task.forward, accepts))
    assert sum(int(row["skipped_batches"]) for row in fitted(trainer)) == 3


def test_the_scale_of_gradients_does_not_grow_by_refused_batches(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = plain_trainer(tiny_config("epochs=2", "nan_guard.max_consecutive=4"))
    trainer.state.precision.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=1)
    trainer.state.accumulation.sums = True
    accepts = iter([False, False, True] * 2)
    monkeypatch.setattr(trainer.task, "forward", _with_bad_losses(trainer.task.forward, accepts))
    fitted(trainer)
    assert trainer.state.precision.scaler.get_scale() == 8.0 * 2**2  # twice an update was made


def _with_bad_losses(forward: Callable[..., TaskOutput], finite: Iterator[bool]) -> Callable[..., TaskOutput]:
    """Return `forward` with a loss that is finite only where `finite` is true."""

    def run(*arguments: object) -> TaskOutput:
        output = forward(*arguments)
        return output if next(finite) else replace(output, loss=output.loss * float("nan"))

    return run


def test_training_varies_clips_and_testing_does_not(tiny_config: MakeConfig) -> None:
    still = fitted(plain_trainer(tiny_config("epochs=1", "learning_rate=1e-9", *STILL)))[0]
    turned = fitted(plain_trainer(tiny_config("epochs=1", "learning_rate=1e-9", "data.sampling.crop_min=1")))[0]
    assert turned["train_loss"] != pytest.approx(still["train_loss"], rel=1e-4)
    assert turned["test_loss"] == pytest.approx(still["test_loss"], rel=1e-6)


def test_every_epoch_has_its_own_order_and_augmentation(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, drawn = ClipDataset.__getitem__, []

    def read_and_note(clips: ClipDataset, draw: BatchIndices) -> object:
        if clips.training:
            drawn.append(draw)
        return read(clips, draw)

    monkeypatch.setattr(ClipDataset, "__getitem__", read_and_note)
    fitted(plain_trainer(tiny_config("epochs=2", "batch_size=12")))
    first, second = drawn
    assert first.indices.tolist() != second.indices.tolist()
    assert sorted(first.indices.tolist()) == sorted(second.indices.tolist()) == list(range(12))
    assert not set(first.rng_keys.tolist()) & set(second.rng_keys.tolist())


def test_resumed_trainer_knows_the_best_epoch_so_far(tiny_config: MakeConfig) -> None:
    first = plain_trainer(tiny_config("epochs=2"))
    fitted(first)
    checkpoint = replace(read_checkpoint(first.run.last), best_acc=77.0, best_epoch=0)
    second = plain_trainer(tiny_config("epochs=2"))
    second.resume(checkpoint, "last.pth")
    assert (second.state.progress.epoch, second.state.progress.best, second.state.progress.best_epoch) == (2, 77.0, 0)


@pytest.mark.parametrize(("amp", "dtype"), [("true", torch.bfloat16), ("false", torch.float32)])
def test_mixed_precision_reaches_the_model_in_training_and_testing(
    tiny_config: MakeConfig, amp: str, dtype: torch.dtype
) -> None:
    seen = set()
    trainer = plain_trainer(tiny_config("epochs=1", f"amp={amp}"))
    trainer.model.register_forward_hook(lambda module, _, logits: seen.add((module.training, logits.dtype)))
    fitted(trainer)
    assert seen == {(True, dtype), (False, dtype)}


def test_run_without_a_gradient_scaler_resumes_with_one(tiny_config: MakeConfig) -> None:
    first = plain_trainer(tiny_config("epochs=1", "amp=true"))
    fitted(first)
    checkpoint = read_checkpoint(first.run.last)
    assert not checkpoint.scaler  # bf16 needs none
    second = plain_trainer(tiny_config("epochs=1", "amp=true"))
    second.state.precision.scaler = torch.amp.GradScaler("cpu", enabled=True)
    second.resume(checkpoint, "last.pth")
    assert second.state.progress.epoch == 1


class Failing(Plain):
    """Its scores are not finite when it is tested in some epochs."""

    def __init__(self, epochs: set[int], clips: int | None = None) -> None:
        super().__init__()
        self.epochs, self.clips, self.tests = epochs, clips, 0

    def forward(self, streams: Mapping[str, Tensor], valid: Tensor, rows: Tensor) -> Tensor:
        logits = super().forward(streams, valid, rows)
        if self.training:
            return logits
        spoilt = torch.full_like(logits, math.nan) if self.tests in self.epochs else logits
        self.tests += 1
        return torch.cat([spoilt[: self.clips], logits[len(logits) if self.clips is None else self.clips :]])


def failing_trainer(config: RunConfig, model: Failing) -> Trainer:
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    run = RunFolder.create(Path(config.output_root))
    run_context = RunContext(torch.device("cpu"))
    return Trainer(config, Classification(model, config.label_smoothing), data, run=run, run_context=run_context)


def test_an_epoch_whose_scores_are_nan_is_never_the_best(tiny_config: MakeConfig) -> None:
    trainer = failing_trainer(tiny_config("epochs=3"), Failing({0, 1}))
    rows = fitted(trainer)
    assert [row["test_top1"] == 0 and math.isnan(float(row["test_loss"])) for row in rows] == [True, True, False]
    assert trainer.state.progress.best_epoch == 2
    assert read_checkpoint(trainer.run.best).epoch == 2


@pytest.mark.parametrize("epochs", [{2}, {0, 1, 2}])
def test_a_run_whose_last_scores_are_all_nan_has_diverged(tiny_config: MakeConfig, epochs: set[int]) -> None:
    trainer = failing_trainer(tiny_config("epochs=3"), Failing(epochs))
    with pytest.raises(TrainingDiverged, match="scores in the last epoch's test are not finite"):
        fitted(trainer)
    assert trainer.run.best.exists() is (0 not in epochs)


def test_a_few_scores_that_are_nan_at_the_end_are_counted_wrong_and_reported(
    tiny_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = failing_trainer(tiny_config("epochs=3", "learning_rate=0.5"), Failing({2}, clips=1))
    row = fitted(trainer)[-1]
    assert 0 < float(row["test_top5"]) < 100
    assert "Some scores in the last epoch's test are not finite" in caplog.text


def test_a_run_without_a_single_update_has_diverged_and_has_no_best_epoch(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ClipDataset.__getitem__

    def read_with_fault(clips: ClipDataset, draw: BatchIndices) -> object:
        batch = read(clips, draw)
        if clips.training:
            batch.joints[0, 0, 0, 0, 0] = math.nan
        return batch

    monkeypatch.setattr(ClipDataset, "__getitem__", read_with_fault)
    trainer = plain_trainer(tiny_config("epochs=2"))
    with pytest.raises(TrainingDiverged, match="No update was made"):
        fitted(trainer)
    assert not trainer.run.best.exists()


def test_a_run_that_diverged_is_not_resumed_and_keeps_what_was_found(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = SkeletonClassifier.forward

    def spoilt(model: SkeletonClassifier, *arguments: object, **options: object) -> Tensor:
        logits = forward(model, *arguments, **options)  # type: ignore[arg-type]
        return logits if model.training or not torch.is_tensor(logits) else logits * math.nan

    config = tiny_config("epochs=1")
    with monkeypatch.context() as patch:
        patch.setattr(SkeletonClassifier, "forward", spoilt)
        with pytest.raises(TrainingDiverged, match="All parameters are finite"):
            experiment.train(config)
    (run,) = (RunFolder(path) for path in Path(config.output_root).glob("run-*"))
    before = run.divergence.read_bytes()
    with pytest.raises(TrainingDiverged, match=r"has diverged and cannot be resumed.*Start a new run"):
        experiment.train(config, resume="auto")
    assert run.divergence.read_bytes() == before


def test_a_run_that_ended_without_an_update_is_not_resumed(
    tiny_config: MakeConfig, trained_run: Callable[..., RunFolder]
) -> None:
    run = trained_run("epochs=1")
    run.summary.unlink()
    for path in run.all_checkpoints():
        saved = read_checkpoint(path)
        save_checkpoint(path, replace(saved, guard={**saved.guard, "updates": 0}))
    with pytest.raises(TrainingDiverged, match=r"has diverged and cannot be resumed: It made no update\."):
        experiment.train(tiny_config("epochs=1"), resume="auto")


def test_progress_shows_the_loss_and_how_long_the_whole_run_takes(tiny_config: MakeConfig) -> None:
    shown = NotedProgress()
    experiment.train(tiny_config("epochs=3", "test_every=2"), progress=shown)
    assert [task.description for task in shown.tasks] == [
        *("epoch 0/2", "epoch 1/2", "testing epoch 1", "epoch 2/2", "testing epoch 2")
    ]
    assert all(task.in_run for task in shown.tasks)
    first, last = shown.tasks[0], shown.tasks[-1]
    assert all(note.startswith("loss ") for note in first.notes)
    assert all(left > 0 for left in first.run_left_s)
    assert 0 <= last.run_left_s[-1] < first.run_left_s[0]


def test_testing_counts_every_clip_of_every_test_once(tiny_config: MakeConfig) -> None:
    shown = NotedProgress()
    parts = ("validation=split", "validation_fraction=0.3", "ema.decay=0.9")
    experiment.train(tiny_config("epochs=1", *parts), progress=shown)
    tests = [task for task in shown.tasks if task.description.startswith("testing")]
    assert [task.total for task in tests] == [12, 3, 12, 3]
    assert [sum(task.done) for task in tests] == [12, 3, 12, 3]


def test_a_run_that_is_resumed_within_an_epoch_counts_only_what_this_process_does(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, shown = tiny_config("epochs=1", "batch_size=4"), NotedProgress()
    with monkeypatch.context() as patch:
        patch.setattr(StopWatch, "reason", Stop.INTERRUPT)
        experiment.train(config)
    experiment.train(config, resume="auto", progress=shown)
    epoch = shown.tasks[0]
    assert (epoch.before, epoch.total, epoch.done) == (4, 12, [4, 4])
