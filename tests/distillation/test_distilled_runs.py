"""Whole distilled runs: equal to plain ones where they should be, resumed, and with unchanged teachers."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from distillation_probes import another_network, changed_copy, taught_by, train_teacher

from last.data.loading.run_data import TrainingData, training_data
from last.data.store.find_store import find_store
from last.distillation import losses
from last.distillation.recipe import DistillationRecipe
from last.distillation.task import Distillation, distillation
from last.distillation.teachers import LiveTeachers, load_teachers
from last.experiments import run as experiment
from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder
from last.runs.logbook import read_rows
from last.runtime.distributed import ALONE
from last.runtime.run_context import RunContext
from last.settings.distillation import DistillationConfig
from last.settings.run import RunConfig
from last.training.trainer import Trainer
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]
CPU = torch.device("cpu")
RUN_CONTEXT = RunContext(CPU)


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return dict(read_checkpoint(run.last).model)


def same_weights(first: RunFolder, second: RunFolder) -> bool:
    one, other = weights(first), weights(second)
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("method", ["kl", "features"])
def test_alpha_one_is_plain_training_bit_for_bit(tiny_config: MakeConfig, teacher: Path, method: str) -> None:
    plain = experiment.train(tiny_config("epochs=2")).run
    settings = ["distillation.alpha=1", f"distillation.method={method}"]
    distilled = experiment.train(tiny_config("epochs=2", taught_by(teacher), *settings)).run
    assert same_weights(plain, distilled)


@pytest.mark.parametrize("unlabelled", ["false", "true"])
def test_the_labels_are_weighted_by_class_as_without_teachers(
    tiny_config: MakeConfig, teacher: Path, unlabelled: str
) -> None:
    keys = ["label_fraction=0.5", "class_weights=balanced", f"distillation.unlabelled={unlabelled}"]
    config = tiny_config("epochs=1", taught_by(teacher), *keys)
    config, teachers = load_teachers(config, ALONE)
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    task = distillation(config, DistillationRecipe().build_model(config, data), teachers, data, RUN_CONTEXT)
    task.class_weights = torch.tensor([0.5, 1.0, 1.5])  # these clips are balanced
    batch = data.pipeline.prepared(next(iter(data.loader)), training=True)
    logits = torch.randn(len(batch), 3)
    each = torch.nn.functional.cross_entropy(logits, batch.labels, label_smoothing=0.1, reduction="none")
    each = each * task.class_weights[batch.labels]
    if unlabelled == "true":
        known = torch.isin(batch.indices, torch.from_numpy(data.labelled))
        each = each * known * len(data.sampler.indices) / len(data.labelled)
    assert torch.allclose(task._label_loss(logits, batch), each.mean())


def test_a_teacher_teaches(tiny_config: MakeConfig, teacher: Path) -> None:
    plain = experiment.train(tiny_config("epochs=2")).run
    assert not same_weights(plain, experiment.train(tiny_config("epochs=2", taught_by(teacher))).run)


@pytest.mark.parametrize("method", ["kl", "dkd", "features", "attention"])
def test_a_student_that_is_its_teacher_gets_no_gradient_from_it(tiny_config: MakeConfig, method: str) -> None:
    teacher = experiment.train(tiny_config("epochs=1")).run.last
    how = ["distillation.alpha=0", f"distillation.method={method}"]
    config, teachers = load_teachers(tiny_config(taught_by(teacher), *how), ALONE)
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    batch = next(iter(data.loader))

    def largest_gradient(student: torch.nn.Module) -> float:
        task = distillation(config, student, teachers, data, RUN_CONTEXT)
        for adapter in task.adapters:
            torch.nn.init.eye_(adapter.weight)
            torch.nn.init.zeros_(adapter.bias)
        task.eval()(batch.with_streams(data.pipeline(batch, training=True))).loss.backward()
        return max(float(each.grad.abs().max()) for each in task.model.parameters() if each.grad is not None)

    another = DistillationRecipe().build_model(config, data)
    assert largest_gradient(last_model(teacher)) < 1e-4 * largest_gradient(another)


def last_model(path: Path) -> torch.nn.Module:
    from last import load_checkpoint

    return load_checkpoint(path)


def test_nothing_of_a_teacher_is_trained_saved_or_moved(tiny_config: MakeConfig, teacher: Path) -> None:
    config, teachers = load_teachers(tiny_config(taught_by(teacher)), ALONE)
    before = {name: value.clone() for name, value in teachers[0].model.state_dict().items()}
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    task = distillation(config, last_model(teacher), teachers, data, RUN_CONTEXT)
    trainer = Trainer(
        replace(config, epochs=1), task, data, run=RunFolder.create(Path(config.output_root)), run_context=RUN_CONTEXT
    )
    trainer.fit(None)
    assert not teachers[0].model.training
    assert all(torch.equal(value, before[name]) for name, value in teachers[0].model.state_dict().items())
    assert len(list(task.parameters())) == len(list(task.model.parameters()))
    assert read_checkpoint(trainer.run.last).task == {}


def test_teacher_outputs_do_not_depend_on_the_students_precision(tiny_config: MakeConfig, teacher: Path) -> None:
    config, teachers = load_teachers(tiny_config(taught_by(teacher)), ALONE)
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    live, batch = LiveTeachers(teachers, config.distillation.method, CPU), next(iter(data.loader))
    streams = data.pipeline(batch, training=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        narrow = live(streams, batch).logits
    assert torch.equal(narrow, live(streams, batch).logits)


@pytest.mark.parametrize("method", ["kl", "dkd", "features", "attention"])
def test_an_interrupted_distilled_run_resumes_with_the_same_result(
    tiny_config: MakeConfig, teacher: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [taught_by(teacher), f"distillation.method={method}", "distillation.alpha_end=1", "ema.decay=0.9"]
    settings += ["gradient_accumulation_steps=2", "amp=true", "epochs=3"]
    whole = experiment.train(tiny_config(*settings)).run
    finish = Trainer._finish_epoch

    def finish_and_die(trainer: Trainer, row: dict[str, object], logbook: object) -> None:
        finish(trainer, row, logbook)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patches, pytest.raises(KeyboardInterrupt):
        patches.setattr(Trainer, "_finish_epoch", finish_and_die)
        experiment.train(tiny_config(*settings, "output_root=" + str(whole.path.parent / "other")))
    resumed = experiment.train(tiny_config(*settings, "output_root=" + str(whole.path.parent / "other")), "auto").run
    assert same_weights(whole, resumed)
    assert read_checkpoint(whole.last).task.keys() == read_checkpoint(resumed.last).task.keys()


def test_auto_distinguishes_a_distilled_run_from_a_plain_one_and_from_another_teachers(
    tiny_config: MakeConfig, teacher: Path
) -> None:
    plain = experiment.train(tiny_config("epochs=1")).run
    first = experiment.train(tiny_config("epochs=1", taught_by(teacher)), "auto").run
    second = experiment.train(tiny_config("epochs=1", taught_by(plain.last)), "auto").run
    assert len({plain.path, first.path, second.path}) == 3
    assert experiment.train(tiny_config("epochs=1", taught_by(teacher)), "auto").run.path == first.path


def test_a_run_knows_its_teacher_again_wherever_it_lies(tiny_config: MakeConfig, teacher: Path, tmp_path: Path) -> None:
    run = experiment.train(tiny_config("epochs=1", taught_by(teacher))).run
    teacher.rename(tmp_path / "moved.pth")
    assert experiment.train(tiny_config("epochs=1", taught_by(tmp_path / "moved.pth")), "auto").run.path == run.path


def test_a_run_refuses_another_teacher_under_the_same_name(tiny_config: MakeConfig, teacher: Path) -> None:
    run = experiment.train(tiny_config("epochs=1", taught_by(teacher))).run
    train_teacher(tiny_config, "learning_rate=0.02").replace(teacher)
    fingerprint = read_checkpoint(run.last).config.distillation.fingerprints[0]
    with pytest.raises(UserError, match="not those that the run was started with"):
        experiment.train(tiny_config("epochs=1", taught_by(teacher), f"distillation.fingerprints=[{fingerprint}]"))


def test_a_network_cannot_teach_twice(tiny_config: MakeConfig, teacher: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(teacher, tmp_path / "copy.pth"))
    for again in (teacher, copy):
        with pytest.raises(UserError, match=f"{teacher} and {again} have the same weights: name each network once"):
            experiment.train(tiny_config("epochs=1", taught_by(teacher, again)))


def test_summary_and_log_name_teachers_and_method(tiny_config: MakeConfig, teacher: Path) -> None:
    run = experiment.train(tiny_config("epochs=2", taught_by(teacher), "distillation.alpha_end=0.9")).run
    summary = json.loads(run.summary.read_text())
    (facts,) = summary["teachers"]
    assert (facts["model"], facts["seed"], facts["path"]) == ("nano_e", 7, str(teacher))
    assert summary["distillation"]["method"] == "kl"
    assert "alpha 0.7 to 0.9, tau 4; teachers see the student's input" in run.log.read_text()


def test_the_log_says_how_often_a_cached_view_is_shown(tiny_config: MakeConfig, teacher: Path) -> None:
    how = ("epochs=3", "repeats_per_epoch=2", "distillation.fixed_augmentations=4", "distillation.cached=true")
    run = experiment.train(tiny_config(taught_by(teacher), *how)).run
    assert "tau 4; 4 augmented views per clip, computed once, each shown 1.5 times" in run.log.read_text()


def test_alpha_and_tau_go_in_equal_steps_to_where_they_should(tiny_config: MakeConfig) -> None:
    how = replace(DistillationConfig(), alpha=0.2, alpha_end=1.0, tau=4.0, tau_end=2.0)
    assert [how.ce_weight("nano_e", epoch, 5) for epoch in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert [how.temperature(epoch, 3) for epoch in range(3)] == [4.0, 3.0, 2.0]
    assert how.ce_weight("nano_e", 0, 1) == 0.2


@pytest.mark.parametrize(("smoothing", "tau"), [("0", 4.0), ("0.1", 1.0)])
def test_a_teacher_trained_with_label_smoothing_gets_its_own_temperature(
    tiny_config: MakeConfig, teacher: Path, tmp_path: Path, smoothing: str, tau: float
) -> None:
    sharp = changed_copy(teacher, tmp_path / "sharp.pth", label_smoothing=0.0)
    other = another_network(teacher, tmp_path / "other.pth", label_smoothing=float(smoothing))
    task = task_of(tiny_config(taught_by(sharp, other), "distillation.tau_of_smoothed=1"))
    assert (task.tau, task.facts()["distillation"]["used"]["tau"]) == (tau, tau)
    assert ("tau 1 (a teacher was trained with label smoothing)" in task.description()) == (tau == 1.0)
    assert task_of(tiny_config(taught_by(sharp, other))).tau == 4.0


def test_a_distilled_teachers_label_smoothing_is_that_of_its_distillation(
    tiny_config: MakeConfig, teacher: Path, tmp_path: Path
) -> None:
    how = replace(DistillationConfig(), teachers=["its own"], label_smoothing=0.0)
    path = changed_copy(teacher, tmp_path / "distilled.pth", distillation=how)
    task = task_of(tiny_config(taught_by(path), "distillation.tau_of_smoothed=1"))
    assert (task.tau, task.teachers[0].facts["label_smoothing"]) == (4.0, 0.0)


def test_a_students_labels_need_not_be_smoothed_beside_its_teachers(tiny_config: MakeConfig, teacher: Path) -> None:
    task = task_of(tiny_config(taught_by(teacher), "distillation.label_smoothing=0"))
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    assert torch.equal(task.cross_entropy(logits, labels), torch.nn.functional.cross_entropy(logits, labels))
    assert ", label smoothing 0;" in task.description()
    assert task.facts()["distillation"]["used"]["label_smoothing"] == 0
    assert task_of(tiny_config(taught_by(teacher))).label_smoothing == 0.1
    assert tiny_config("distillation.label_smoothing=0").used_label_smoothing == 0.1  # it has no teachers


def test_alpha_is_the_students_own_by_default(tiny_config: MakeConfig) -> None:
    how = tiny_config().distillation
    found = {name: how.ce_weight(name, 0, 70) for name in ("nano_e", "small_e", "base_e", "large_e")}
    assert found == {"nano_e": 0.7, "small_e": 0.6, "base_e": 0.5, "large_e": 0.5}
    assert (how.tau, how.method) == (4.0, "kl")


def task_of(config: RunConfig) -> Distillation:
    config, teachers = load_teachers(config, ALONE)
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    return distillation(config, DistillationRecipe().build_model(config, data), teachers, data, RUN_CONTEXT)


SKIPS = dict.fromkeys(("inputs", "losses", "gradients", "overflows"), 0)
WITHIN = {"clips": 4, "meter": torch.zeros(6, dtype=torch.float64), "skips": SKIPS, "waited": 0.0, "seconds": 1.0}


@pytest.mark.parametrize(
    ("change", "overrides", "message"),
    [
        ({"data": {"split": "xview"}}, [], "perhaps on test clips of the student"),
        ({}, ["label_fraction=0.5"], "contain information from more labels than that"),
        ({}, ["validation=split", "validation_fraction=0.3"], "has trained on clips that this run holds out"),
        ({"within": WITHIN}, [], "is the state of a run that was stopped within an epoch"),
    ],
)
def test_a_teacher_that_knows_too_much_is_warned_of(
    tiny_config: MakeConfig,
    teacher: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    change: dict[str, Any],
    overrides: list[str],
    message: str,
) -> None:
    with caplog.at_level(logging.WARNING):
        load_teachers(
            tiny_config(taught_by(changed_copy(teacher, tmp_path / "knowing.pth", **change)), *overrides), ALONE
        )
    assert message in caplog.text
    caplog.clear()
    load_teachers(tiny_config(taught_by(teacher)), ALONE)
    assert not caplog.text


def test_a_teacher_computes_with_its_averaged_weights_and_in_its_own_precision(tiny_config: MakeConfig) -> None:
    path = train_teacher(tiny_config, "ema.decay=0.5", "amp=true")
    config, (teacher,) = load_teachers(tiny_config(taught_by(path)), ALONE)
    averaged = read_checkpoint(path).ema
    assert averaged
    assert all(torch.equal(teacher.model.state_dict()[name], value) for name, value in averaged.items())
    assert LiveTeachers([teacher], config.distillation.method, CPU).precisions == ["bfloat16"]
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    batch = next(iter(data.loader))
    streams = data.pipeline(batch, training=True)
    teacher_logits = LiveTeachers([teacher], config.distillation.method, CPU)(streams, batch).logits[:, 0]
    assert not torch.equal(teacher_logits, teacher.model(streams, batch.bodies, batch.body_slots))


def test_the_loss_is_made_of_what_the_configuration_weighs(tiny_config: MakeConfig, teacher: Path) -> None:
    other = train_teacher(tiny_config, "learning_rate=0.05")
    base = ["distillation.alpha=0.25", "distillation.tau=2", "distillation.weights=[3,1]"]
    weights, tau = torch.tensor([0.75, 0.25]), 2.0
    for method, further in (
        ("dkd", ["distillation.dkd_target=0.5", "distillation.dkd_others=3"]),
        ("features", ["distillation.feature_weight=7"]),
        ("attention", ["distillation.feature_weight=7"]),
    ):
        how = [*base, *further, f"distillation.method={method}"]
        config, teachers = load_teachers(tiny_config(taught_by(teacher, other), *how), ALONE)
        data = training_data(config, find_store(config.data, Path(config.data_root)))
        task = distillation(config, last_model(teacher), teachers, data, RUN_CONTEXT).eval()
        batch = next(iter(data.loader))
        streams = data.pipeline(batch, training=True)
        output, outputs = task(batch.with_streams(streams)), task.source(streams, batch)
        details = task.model(streams, batch.bodies, batch.body_slots, return_details=True)
        teacher_logits = losses.ensemble_log_probabilities(outputs.logits, weights, tau)
        if method == "dkd":
            distilled = losses.decoupled_kd_loss(
                details.logits, teacher_logits, batch.labels, tau, target=0.5, others=3
            )
        else:
            if method == "features":
                mapped = [adapter(details.features) for adapter in task.adapters]
                hint = losses.hint_loss(mapped, outputs.features, weights)
            else:
                hint = losses.attention_transfer_loss(details.activation_maps, outputs.maps, weights)
            distilled = losses.kd_loss(details.logits, teacher_logits, tau) + 7 * hint
        own = task.cross_entropy(details.logits, batch.labels)
        torch.testing.assert_close(output.loss, 0.25 * own + 0.75 * distilled)


def test_the_course_of_alpha_and_tau_reaches_training(
    tiny_config: MakeConfig, teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def watched(self: Distillation, *arguments: Any) -> Any:
        used.append((round(self.ce_weight, 6), round(self.tau, 6)))
        return forward(self, *arguments)

    forward = Distillation.forward
    monkeypatch.setattr(Distillation, "forward", watched)
    how = ("distillation.alpha=0.2", "distillation.alpha_end=0.8", "distillation.tau_end=1", "batch_size=12")
    run = experiment.train(tiny_config("epochs=4", taught_by(teacher), *how)).run
    assert used == [(0.2, 4.0), (0.4, 3.0), (0.6, 2.0), (0.8, 1.0)]
    for row, (alpha, _) in zip(read_rows(run.path / "metrics.jsonl"), used, strict=True):
        mixed = alpha * float(row["train_labels_loss"]) + (1 - alpha) * float(row["train_teachers_loss"])
        assert row["train_loss"] == pytest.approx(mixed, rel=1e-5)


@pytest.mark.parametrize(
    "change", ["distillation.method=dkd", "label_fraction=0.5", "distillation.unlabelled=true", "distillation.alpha=1"]
)
def test_what_a_distilled_run_is_made_of_cannot_change_within_it(
    tiny_config: MakeConfig, teacher: Path, change: str
) -> None:
    how = ("epochs=1", taught_by(teacher), "distillation.method=features")
    experiment.train(tiny_config(*how), "auto")
    with pytest.raises(UserError, match="cannot change within a run"):
        experiment.train(
            tiny_config(*how, "epochs=2", change), "auto", explicit_keys=["epochs", change.partition("=")[0]]
        )


def unlabelled_task(make: MakeConfig, teacher: Path, *overrides: str) -> tuple[Distillation, TrainingData]:
    how = ("label_fraction=0.25", "distillation.unlabelled=true", "batch_size=12", *overrides)
    config, teachers = load_teachers(make(taught_by(teacher), *how), ALONE)
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    return distillation(config, last_model(teacher), teachers, data, RUN_CONTEXT), data


def test_teachers_are_used_for_clips_without_a_label_too(tiny_config: MakeConfig, teacher: Path) -> None:
    task, data = unlabelled_task(tiny_config, teacher, "distillation.alpha=0.5")
    assert (data.sampler.num_clips, len(data.labelled)) == (12, 3)
    batch = next(iter(data.loader))
    known = torch.isin(batch.indices, torch.from_numpy(data.labelled))
    streams = data.pipeline(batch, training=True)
    loss = task.eval()(batch.with_streams(streams)).loss
    other_labels = torch.where(known, batch.labels, (batch.labels + 1) % 3)
    assert torch.equal(loss, task(replace(batch, streams=streams, labels=other_labels)).loss)
    assert not torch.equal(loss, task(replace(batch, streams=streams, labels=(batch.labels + 1) % 3)).loss)


def test_labels_count_by_the_mean_over_clips_that_have_one(tiny_config: MakeConfig, teacher: Path) -> None:
    task, data = unlabelled_task(tiny_config, teacher, "distillation.alpha=1")
    batch = next(iter(data.loader))  # of all clips
    known = torch.isin(batch.indices, torch.from_numpy(data.labelled))
    output = task.eval()(batch.with_streams(data.pipeline(batch, training=True)))
    torch.testing.assert_close(output.loss, task.cross_entropy(output.predictions[known], batch.labels[known]))


def test_a_label_weighs_the_same_however_many_processes_share_a_batch(tiny_config: MakeConfig, teacher: Path) -> None:
    task, data = unlabelled_task(tiny_config, teacher, "distillation.alpha=1")
    batch = next(iter(data.loader))
    logits = torch.randn(12, 3)
    parts = [
        replace(batch, labels=part, indices=numbers)
        for part, numbers in zip(batch.labels.split(4), batch.indices.split(4), strict=True)
    ]
    shares = [task._label_loss(own, part) for own, part in zip(logits.split(4), parts, strict=True)]
    torch.testing.assert_close(torch.stack(shares).mean(), task._label_loss(logits, batch))


def test_a_batch_without_any_label_teaches_what_the_teachers_say(tiny_config: MakeConfig, teacher: Path) -> None:
    task, data = unlabelled_task(tiny_config, teacher)
    task.known.fill_(False)
    batch = next(iter(data.loader))
    task(batch.with_streams(data.pipeline(batch, training=True))).loss.backward()
    assert all(torch.isfinite(each.grad).all() for each in task.model.parameters())


def test_a_distilled_run_finds_its_teacher_where_another_session_left_it(
    tiny_config: MakeConfig, teacher: Path, tmp_path: Path
) -> None:
    run = experiment.train(tiny_config("epochs=1", taught_by(teacher))).run
    inputs = tmp_path / "input"
    for number, folder in enumerate((run.path, teacher.parent.parent)):
        (inputs / str(number)).mkdir(parents=True)
        shutil.move(folder, inputs / str(number) / folder.name)
    moved = RunFolder(inputs / "0" / run.path.name)
    config = replace(read_checkpoint(moved.last).config, input_roots=[str(inputs)], epochs=2)
    resumed = experiment.train(config, resume=str(moved.path), explicit_keys=["epochs"])
    assert read_checkpoint(resumed.run.last).epoch == 1
    teachers = read_checkpoint(resumed.run.last).config.distillation.teachers
    assert teachers == [str(inputs / "1" / teacher.parent.parent.name / "checkpoints" / "last.pth")]
