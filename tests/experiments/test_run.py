"""Whole runs: what they write, that they learn, that they repeat and resume exactly."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import last
from last.data.loading.loader import ClipDataset
from last.experiments import run as experiment
from last.experiments.config import resolve
from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder
from last.runs.logbook import read_rows
from last.runtime.stop_requests import Stop, StopWatch
from last.settings.run import RunConfig
from last.training import classification
from last.training.epoch_metrics import EpochFigures, EpochMetrics
from last.training.epoch_tests import EpochTests
from last.training.step import TrainingStep
from last.training.trainer import Trainer
from last.utils.errors import TrainingDiverged, UserError
from last.utils.files import read_json

MakeConfig = Callable[..., RunConfig]
TIMINGS = {"seconds", "clips_per_second", "data_wait_share", "memory_mib"}


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return dict(read_checkpoint(run.last).model)


def rows(run: RunFolder) -> list[dict[str, object]]:
    return [
        {key: value for key, value in row.items() if key not in TIMINGS}
        for row in read_rows(run.path / "metrics.jsonl")
    ]


def assert_same(first: RunFolder, second: RunFolder) -> None:
    assert rows(first) == rows(second)
    own, other = read_checkpoint(first.last), read_checkpoint(second.last)
    assert own.model.keys() == other.model.keys()
    assert all(torch.equal(own.model[name], other.model[name]) for name in own.model)
    momenta = [[state["momentum_buffer"] for state in each.optimizer["state"].values()] for each in (own, other)]
    assert all(torch.equal(left, right) for left, right in zip(*momenta, strict=True))


def stop_after(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """End runs like a killed process once `epoch` is finished."""
    finish = Trainer._finish_epoch

    def finish_and_die(trainer: Trainer, row: dict[str, object], logbook: object) -> None:
        finish(trainer, row, logbook)  # type: ignore[arg-type]
        if row["epoch"] == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_finish_epoch", finish_and_die)


def test_run_folder_holds_all_that_the_specification_names(tiny_config: MakeConfig) -> None:
    result = experiment.train(tiny_config("epochs=2"))
    run, summary = result.run, result.summary
    names = {"config.yaml", "metrics.jsonl", "metrics.csv", "summary.json", "log.txt", "checkpoints"}
    assert names <= {path.name for path in run.path.iterdir()}
    assert run.best.exists()
    assert run.last.exists()
    keys = "model dataset split seed parameters best_epoch best_top1 best_top5 final_top1 final_top5 train_seconds"
    assert set(keys.split()) | {"clips_per_second", "skipped_batches", "versions", "git_commit"} <= summary.keys()
    assert json.loads(run.summary.read_text()) == summary


def test_settings_of_teachers_without_teachers_are_told(
    tiny_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    set_in_vain = [f"distillation.{each}" for each in ("unseen_only=true", "unlabelled=true", "alpha=0")]
    experiment.train(tiny_config("epochs=1", *set_in_vain))
    (told,) = [message for message in caplog.messages if "no effect" in message]
    keys = "distillation.alpha, distillation.unlabelled, distillation.unseen_only"
    assert told.startswith(f"{keys} have no effect without teachers")


def test_banner_names_the_class_of_the_model(tiny_config: MakeConfig, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        experiment.train(tiny_config("epochs=1"))
    assert any(message.startswith("LastE (nano_e, ") for message in caplog.messages)


def test_model_learns_a_dozen_clips_by_heart(tiny_config: MakeConfig) -> None:
    config = tiny_config(
        "epochs=20", "batch_size=12", "learning_rate=0.1", "label_smoothing=0",
        "model.dropout=0", "model.block_dropout=0", "data.augment.rotation_degrees=[0,0,0]", "data.sampling.crop_min=1",
    )  # fmt: skip
    run = experiment.train(config).run
    assert rows(run)[-1]["train_top1"] == 100.0


def test_equal_configurations_give_equal_runs_bit_for_bit(tiny_config: MakeConfig) -> None:
    first = experiment.train(tiny_config("epochs=2")).run
    torch.manual_seed(99)
    second = experiment.train(tiny_config("epochs=2")).run
    assert first.path != second.path
    assert_same(first, second)


def test_saved_configuration_trains_the_same_weights_again(tiny_config: MakeConfig) -> None:
    first = experiment.train(tiny_config("epochs=2")).run
    second = experiment.train(resolve(recipe=str(first.config))).run
    assert_same(first, second)


def test_another_seed_gives_another_run(tiny_config: MakeConfig) -> None:
    first = experiment.train(tiny_config("epochs=1")).run
    second = experiment.train(tiny_config("epochs=1", "seed=1")).run
    assert rows(first) != rows(second)


def test_resumed_run_repeats_the_uninterrupted_one(
    tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("epochs=4")
    whole = experiment.train(replace(config, output_root=str(tmp_path / "whole"))).run
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(patch, epoch=1)
        experiment.train(config)
    result = experiment.train(config, resume="auto")
    resumed, summary = result.run, result.summary
    assert resumed.path.name.startswith("run-")
    assert len(list(resumed.path.parent.iterdir())) == 1
    assert_same(whole, resumed)
    assert summary["final_top1"] == rows(whole)[-1]["test_top1"]


def test_resuming_from_the_best_epoch_forgets_the_later_ones(tiny_config: MakeConfig) -> None:
    config = tiny_config("epochs=4")
    whole = experiment.train(config).run
    before = rows(whole), weights(whole)
    best = read_checkpoint(whole.best)
    whole.summary.unlink()
    again = experiment.train(config, resume=str(whole.best)).run
    assert best.epoch <= 3
    assert again.path == whole.path
    assert rows(again) == before[0]
    assert all(torch.equal(before[1][name], each) for name, each in weights(again).items())


def test_finished_run_that_is_taken_up_again_is_unfinished_until_its_end(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("epochs=3")
    with monkeypatch.context() as patch:
        measured = iter([(30.0, 50.0), (20.0, 50.0), (20.0, 50.0)])
        patch.setattr(EpochTests, "measure", lambda *_: EpochFigures(1.0, next(measured), grad_norm=0.0))
        run = experiment.train(config).run
    assert run.finished
    stop_after(monkeypatch, epoch=1)
    with pytest.raises(KeyboardInterrupt):
        experiment.train(config, resume=str(run.best))
    assert not run.finished
    assert [row["epoch"] for row in rows(run)] == [0, 1]


def test_automatic_resume_begins_a_run_where_there_is_none(tiny_config: MakeConfig) -> None:
    run = experiment.train(tiny_config("epochs=1"), resume="auto").run
    assert run.finished


@pytest.mark.parametrize("left", [0, 1])
def test_figures_that_the_logbook_lost_are_taken_from_the_checkpoints(tiny_config: MakeConfig, left: int) -> None:
    config = tiny_config("epochs=2")
    run = experiment.train(config).run
    summary = read_json(run.summary)
    run.summary.unlink()
    rows = (run.path / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run.path / "metrics.jsonl").write_text(rows[left])
    again = experiment.train(config, resume="auto").summary
    figures = ("best_epoch", "best_top1", "best_top5", "final_top1", "final_top5")
    assert [again[name] for name in figures] == [summary[name] for name in figures]


def test_automatic_resume_leaves_a_finished_run_alone(tiny_config: MakeConfig) -> None:
    config = tiny_config("epochs=1")
    result = experiment.train(config)
    run, summary = result.run, result.summary
    written = run.last.stat().st_mtime_ns
    result = experiment.train(config, resume="auto")
    again, same = result.run, result.summary
    assert (again.path, dict(same)) == (run.path, dict(summary))
    assert run.last.stat().st_mtime_ns == written


def test_automatic_resume_passes_over_folders_that_are_no_proper_runs(tiny_config: MakeConfig) -> None:
    config = tiny_config("epochs=1")
    for number, text in enumerate(["model: 3", "data: [a]", ""]):
        folder = Path(config.output_root) / f"run-2020-01-0{number + 1}"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(text)
    run = experiment.train(config, resume="auto").run
    assert run.finished
    assert not run.path.name.startswith("run-2020")


def test_resuming_with_another_configuration_is_refused_key_by_key(tiny_config: MakeConfig) -> None:
    run = experiment.train(tiny_config("epochs=1")).run
    with pytest.raises(UserError, match=r"(?s)epochs: 1 in the run, 2 now.*grad_clip: 1\.0 in the run, 3\.0 now"):
        experiment.train(tiny_config("epochs=2", "grad_clip=3"), resume=str(run.last))


def test_another_number_format_of_a_mixed_run_is_refused_on_resume(tiny_config: MakeConfig) -> None:
    run = experiment.train(tiny_config("epochs=1", "amp=true")).run
    with pytest.raises(UserError, match=r"hardware\.amp_dtype: 'auto' in the run, 'bf16' now"):
        experiment.train(tiny_config("epochs=1", "amp=true", "hardware.amp_dtype=bf16"), resume=str(run.last))


def test_a_number_format_that_is_not_in_use_may_change_on_resume(tiny_config: MakeConfig) -> None:
    run = experiment.train(tiny_config("epochs=1")).run
    again = experiment.train(tiny_config("epochs=1", "hardware.amp_dtype=bf16"), resume=str(run.last)).run
    assert again.path == run.path
    mixed = tiny_config("epochs=1", "amp=true", "hardware.amp_dtype=fp16")
    assert experiment.train(mixed, resume=str(run.last), explicit_keys=["amp"]).run.path == run.path


def test_batches_with_bad_values_are_skipped_and_counted(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ClipDataset.__getitem__

    def read_with_fault(clips: ClipDataset, draw: object) -> object:
        batch = read(clips, draw)  # type: ignore[arg-type]
        if clips.training and 0 in batch.indices:
            batch.joints[0, 0, 0, 0, 0] = float("nan")
        return batch

    monkeypatch.setattr(ClipDataset, "__getitem__", read_with_fault)
    result = experiment.train(tiny_config("epochs=2"))
    run, summary = result.run, result.summary
    assert summary["skipped_batches"] == 2
    assert all(torch.isfinite(each).all() for each in weights(run).values())


def test_a_step_along_a_bad_gradient_is_not_made(tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    norm, update = torch.nn.utils.get_total_norm, TrainingStep._update
    norms, moved = [], []

    def second_is_infinite(gradients: list[torch.Tensor]) -> torch.Tensor:
        norms.append(norm(gradients))
        return torch.tensor(float("inf")) if len(norms) == 2 else norms[-1]

    def watched_update(step: TrainingStep, metrics: EpochMetrics, average_share: torch.Tensor | None) -> None:
        before = _everything(step)
        update(step, metrics, average_share)
        moved.append([not torch.equal(old, new) for old, new in zip(before, _everything(step), strict=True)])

    monkeypatch.setattr(torch.nn.utils, "get_total_norm", second_is_infinite)
    monkeypatch.setattr(TrainingStep, "_update", watched_update)
    result = experiment.train(tiny_config("epochs=1", "ema.decay=0.9"))
    assert result.summary["skipped_by_cause"]["gradients"] == result.summary["skipped_batches"] == 1
    assert [any(each) for each in moved] == [True, False, True]
    assert all(torch.isfinite(each).all() for each in weights(result.run).values())


def _everything(step: TrainingStep) -> list[torch.Tensor]:
    """Return copies of all that an update changes: parameters, momenta, averages."""
    state = step.state
    assert state.average is not None
    momenta = [each["momentum_buffer"] for each in state.optimizer.state.values()]
    return [each.detach().clone() for each in (*state.task.parameters(), *momenta, *state.average.state().values())]


def test_training_on_nothing_but_bad_values_ends_as_diverged(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classification, "build_model", _exploding_model)
    config = tiny_config("epochs=9", "nan_guard.max_consecutive=4")
    with pytest.raises(
        TrainingDiverged, match=r"4 batches in a row .* of the parameters .*: classifier\.bias"
    ) as error:
        experiment.train(config)
    assert " and 1 more. " in str(error.value)
    (run,) = map(RunFolder, Path(config.output_root).iterdir())
    report = json.loads(run.divergence.read_text())
    assert report["activations"]["not_finite"] == ["classifier"]
    assert [len(batch["clips"]) for batch in report["batches"]] == [4] * 4


@pytest.mark.parametrize("reason", [None, Stop.TERMINATE])
def test_what_is_to_happen_at_the_end_happens_once_when_all_else_is_written(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, reason: Stop | None
) -> None:
    ended: list[tuple[Path, bool]] = []
    monkeypatch.setattr(StopWatch, "reason", reason)
    result = experiment.train(tiny_config("epochs=1"), on_end=lambda run: ended.append((run.path, run.finished)))
    assert ended == [(result.run.path, reason is None)]
    assert result.stopped is reason


def test_what_is_to_happen_at_the_end_happens_after_a_divergence_too(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classification, "build_model", _exploding_model)
    ended: list[bool] = []
    with pytest.raises(TrainingDiverged):
        experiment.train(tiny_config("epochs=1"), on_end=lambda run: ended.append(run.divergence.exists()))
    assert ended == [True]


def _exploding_model(*arguments: object) -> torch.nn.Module:
    model = last.create_model("nano_e", num_classes=3)
    torch.nn.init.constant_(model.classifier.bias, float("nan"))
    return model


def test_mixed_precision_trains_in_bfloat16_on_the_cpu(
    tiny_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        result = experiment.train(tiny_config("epochs=1", "amp=true"))
        run, summary = result.run, result.summary
    assert any("bfloat16" in message for message in caplog.messages)
    assert summary["skipped_batches"] == 0
    assert all(each.dtype != torch.bfloat16 for each in weights(run).values())


def test_best_epoch_is_the_first_with_the_highest_test_top1(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = iter([(10.0, 50.0), (30.0, 70.0), (30.0, 60.0), (20.0, 80.0)])
    monkeypatch.setattr(EpochTests, "measure", lambda *_: EpochFigures(1.0, next(measured), grad_norm=0.0))
    result = experiment.train(tiny_config("epochs=4"))
    run, summary = result.run, result.summary
    found = [summary[key] for key in ("best_epoch", "best_top1", "best_top5", "final_top1", "final_top5")]
    assert found == [1, 30.0, 70.0, 20.0, 80.0]
    assert (read_checkpoint(run.best).epoch, read_checkpoint(run.last).epoch) == (1, 3)


def test_best_epoch_is_chosen_on_held_out_clips_when_configured(tiny_config: MakeConfig) -> None:
    result = experiment.train(tiny_config("epochs=3", "validation=split", "validation_fraction=0.3"))
    run, summary = result.run, result.summary
    accuracies = [float(str(row["val_top1"])) for row in rows(run)]
    assert summary["best_epoch"] == int(np.argmax(accuracies))
    assert summary["best_top1"] == rows(run)[summary["best_epoch"]]["test_top1"]


def test_loaded_checkpoint_is_the_trained_model_in_evaluation_mode(tiny_config: MakeConfig) -> None:
    run = experiment.train(tiny_config("epochs=1")).run
    model = last.load_checkpoint(run.last)
    assert not model.training
    trained = {**weights(run), **read_checkpoint(run.last).statistics["trained"]}
    assert all(torch.equal(each, trained[name]) for name, each in model.state_dict().items())


def test_fine_tuning_takes_the_backbone_and_a_new_head(
    tiny_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    run = experiment.train(tiny_config("epochs=1")).run
    with caplog.at_level(logging.INFO):
        tuned = experiment.train(tiny_config("epochs=1", f"init_from={run.last}", "learning_rate=1e-12")).run
    taken, fresh = weights(run), weights(tuned)
    torch.testing.assert_close(fresh["blocks.0.spatial.project.weight"], taken["blocks.0.spatial.project.weight"])
    assert not torch.allclose(fresh["classifier.weight"], taken["classifier.weight"])
    assert any("Unused: classifier.bias, classifier.weight." in message for message in caplog.messages)


def test_fine_tuning_from_another_model_is_refused(tiny_config: MakeConfig) -> None:
    run = experiment.train(tiny_config("epochs=1")).run
    with pytest.raises(UserError, match="--init_from needs a checkpoint of the same --model"):
        experiment.train(tiny_config("epochs=1", f"init_from={run.last}", "model.channels=[12,12]"))


def test_missing_data_are_reported_with_where_and_what_to_do(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = replace(tiny_config(), data_root=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"(?s)nowhere.*last demo"):
        experiment.train(config)
    assert not Path(config.output_root).exists()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate")])
def test_too_little_memory_names_the_batch_the_model_and_what_to_try(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Trainer, "_train_batch", fail)
    message = r"nano_e with batch_size 4 and 8 frames needs more memory.*\. Try --batch_size 2 .*, or --amp\.$"
    with pytest.raises(UserError, match=message):
        experiment.train(tiny_config("epochs=1"))


def test_other_errors_stay_what_they_are(tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Trainer, "_train_batch", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        experiment.train(tiny_config("epochs=1"))
