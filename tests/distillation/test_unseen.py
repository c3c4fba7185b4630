"""Teachers that answer only for clips that they were not trained on."""

import json
import logging
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import tiny_run
from distillation_probes import another_network, changed_copy, taught_by

from last.data import open_store
from last.data.loading.run_data import TrainingData, training_data
from last.data.store.clip import Clip
from last.data.store.find_store import find_store
from last.data.store.fingerprints import data_fingerprints
from last.data.store.format import StoreMetadata, pack
from last.data.store.listed_parts import list_rule
from last.data.store.protocols import split
from last.data.store.reader import Store, write_store
from last.data.store.recordings import Recording, Recordings
from last.data.store.writer import StoreWriter
from last.distillation.losses import attention_transfer_loss, ensemble_log_probabilities, hint_loss
from last.distillation.recipe import DistillationRecipe
from last.distillation.task import Distillation, distillation
from last.distillation.teachers import Teacher, load_teachers
from last.distillation.unseen import unseen_clips
from last.distillation.unseen_advice import Wanted
from last.experiments import run as experiment
from last.experiments.folds import train_folds, with_split
from last.models.classifier import SkeletonClassifier
from last.runs.checkpoint import read_checkpoint, save_checkpoint
from last.runtime.distributed import ALONE
from last.runtime.run_context import RunContext
from last.settings.distillation import DistillationConfig
from last.settings.run import RunConfig
from last.settings.splits import FoldChoice
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]
RUN_CONTEXT = RunContext(torch.device("cpu"))
UNSEEN = "distillation.unseen_only=true"
SELECTED = "data.select.subjects=[1]"  # the student's twelve training clips


@pytest.fixture(scope="session")
def folds(data_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the checkpoints of one teacher for each of three folds of the training clips; tests do not change them."""
    config = tiny_run(data_yaml, tmp_path_factory.mktemp("folds"), "epochs=1", SELECTED)
    return [each.run.last for each in train_folds(config, FoldChoice("file", 3))[0]]


def student(config: RunConfig) -> tuple[Distillation, TrainingData]:
    config, teachers = load_teachers(config, ALONE)
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    return distillation(config, DistillationRecipe().build_model(config, data), teachers, data, RUN_CONTEXT), data


def clips_of_fold(teacher: Path) -> set[str]:
    """Return the names of the clips that a teacher's fold tests."""
    config = read_checkpoint(teacher).config
    clips = find_store(config.data, Path(config.data_root)).clips
    return set(clips["name"][split(clips, config.data).test].tolist())


def test_a_clip_is_taught_by_the_teacher_of_its_fold_alone(tiny_config: MakeConfig, folds: list[Path]) -> None:
    task, data = student(tiny_config(taught_by(*folds), UNSEEN))
    names, weights = data.source.store.clips["name"], task.weights_by_clip
    for number in data.sampler.indices.tolist():
        expected = [float(names[number] in clips_of_fold(teacher)) for teacher in folds]
        assert weights[number].tolist() == expected
    assert task.unseen.counts == [4, 4, 4]


def test_the_loss_is_that_of_the_unseen_teachers(tiny_config: MakeConfig, folds: list[Path]) -> None:
    task, data = student(tiny_config(taught_by(*folds), UNSEEN, "distillation.alpha=0", "batch_size=12"))
    batch = next(iter(data.loader))
    streams = data.pipeline(batch, training=True)
    output, outputs = task.eval()(batch.with_streams(streams)), task.source(streams, batch)
    of_fold = [
        [name in clips_of_fold(teacher) for teacher in folds].index(True) for name in names_of(data, batch.indices)
    ]
    alone = outputs.logits[torch.arange(12), torch.tensor(of_fold)]
    divergence = (alone / 4).softmax(1) * ((alone / 4).log_softmax(1) - (output.predictions / 4).log_softmax(1))
    torch.testing.assert_close(output.loss, 16 * divergence.sum(dim=1).mean())


def names_of(data: TrainingData, indices: torch.Tensor) -> list[str]:
    return data.source.store.clips["name"][indices.numpy()].tolist()


def test_several_teachers_of_a_fold_share_its_clips_by_their_weights(
    tiny_config: MakeConfig, folds: list[Path], tmp_path: Path
) -> None:
    how = (UNSEEN, "distillation.weights=[3,1,1,1]")
    second = another_network(folds[0], tmp_path / "second.pth")
    task, _ = student(tiny_config(taught_by(folds[0], second, *folds[1:]), *how))
    used = task.weights_by_clip[task.unseen.training_clips]
    torch.testing.assert_close(used.sum(dim=1), torch.ones(12))
    torch.testing.assert_close(used[used[:, 0] > 0], torch.tensor([[0.75, 0.25, 0, 0]] * 4))


@pytest.mark.parametrize("method", ["kl", "dkd", "features", "attention"])
def test_cached_and_live_unseen_teachers_train_the_same_student(
    tiny_config: MakeConfig, folds: list[Path], method: str
) -> None:
    how = ("epochs=2", taught_by(*folds), UNSEEN, "distillation.fixed_augmentations=2", f"distillation.method={method}")
    one, other = (
        read_checkpoint(experiment.train(tiny_config(*how, f"distillation.cached={each}")).run.last).model
        for each in ("no", "yes")
    )
    torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-5)


def test_a_run_records_how_many_clips_each_teacher_answers_for(tiny_config: MakeConfig, folds: list[Path]) -> None:
    run = experiment.train(tiny_config("epochs=1", taught_by(*folds), UNSEEN)).run
    summary = json.loads(run.summary.read_text())
    assert [each["answered_clips"] for each in summary["teachers"]] == [4, 4, 4]
    assert summary["distillation"]["unseen_only"] is True
    assert run.log.read_text().count("answers for 4 of 12 clips, not seen in its training") == 3


def test_clips_without_a_label_are_taught_by_teachers_that_trained_without_them(
    tiny_config: MakeConfig, folds: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    how = ("label_fraction=0.5", "distillation.unlabelled=true", UNSEEN)
    task, data = student(tiny_config(taught_by(*folds), *how))
    assert len(task.unseen.training_clips) == 12 > len(data.labelled)
    assert "with the labels of 4 clips whose labels the student may not use (label_fraction: 0.5)" in caplog.text


def test_a_clip_that_every_teacher_knows_is_refused_with_the_commands_that_train_the_missing_teachers(
    tiny_config: MakeConfig, folds: list[Path]
) -> None:
    with pytest.raises(UserError) as refused:
        student(tiny_config(taught_by(folds[1]), UNSEEN))
    message = str(refused.value)
    assert "of 12 training clips, 8 (" in message
    assert "have no teacher that was not trained on them" in message
    recipe = folds[1].parent.parent / "config.yaml"
    for fold in (1, 3):
        assert f"train --config {recipe} --split_by file --folds 3 --fold {fold}" in message
    assert "--fold 2" not in message


def test_teachers_without_folds_are_refused_with_the_command_that_trains_folds(
    tiny_config: MakeConfig, teacher: Path
) -> None:
    with pytest.raises(UserError, match="12 training clips, 12") as refused:
        student(tiny_config(taught_by(teacher), UNSEEN))
    assert "--split_by file --folds 5 --set data.select.subjects=[1]" in str(refused.value)


def test_a_teacher_trained_on_test_clips_is_refused(tiny_config: MakeConfig) -> None:
    knowing = experiment.train(with_split(tiny_config("epochs=1"), FoldChoice("file", 2, 1))).run.last
    with pytest.raises(UserError, match="of the 12 clips that test the student") as refused:
        student(tiny_config(taught_by(knowing), UNSEEN))
    assert "--split_by file --folds 2 --set data.select.subjects=[1]" in str(refused.value)


def windows(tmp_path: Path, config: RunConfig) -> Store:
    """Return a store of eight clips, each two of which are windows of one recording."""
    joints, valid = np.ones((1, 10, 25, 3), np.float32), np.ones((1, 10), np.bool_)
    clips = [Clip(f"c{number}", joints, valid, number % 3) for number in range(8)]
    found = tuple(Recording(f"r{number}", 20, 0.0) for number in range(4))
    parts = np.array([[number // 2, 10 * (number % 2), 10 * (number % 2) + 10] for number in range(8)])
    recordings = Recordings(found, background=0, are_windows=True, parts=parts)
    metadata = StoreMetadata("tiny", config.data.skeleton, config.data.classes, recordings=recordings)
    with StoreWriter(tmp_path / "windows", metadata) as writer:
        writer.append(pack(clips, config.data.skeleton))
    return open_store(tmp_path / "windows")


def listed(config: RunConfig, store: Store, letters: str) -> RunConfig:
    """Return a run on a split that lists clips: T trains, E tests."""
    rule = list_rule(store.clips["name"], *(np.array([each == part for each in letters]) for part in "TE"))
    return replace(config, data=replace(config.data, split="listed", protocols={"listed": rule}))


def teacher_of(config: RunConfig, store: Store) -> Teacher:
    """Return what is known of a teacher with this configuration, without a network."""
    fingerprints = data_fingerprints(store, split(store.clips, config.data), config.data.skeleton)
    return Teacher("teacher.pth", "", config, SkeletonClassifier.__new__(SkeletonClassifier), 0.0, fingerprints)


@pytest.mark.parametrize(
    ("own", "taught_with", "message"),
    [
        ("TTTTEE-E", "TTEE--T-", "was trained on 1 of the 3 clips that test the student .* of their recordings"),
        ("TTTTEE-E", "T-EE----", "of 4 training clips, 2 .* have no teacher that was not trained on them"),
    ],
)
def test_a_teacher_that_was_trained_on_other_windows_of_a_test_recording_is_refused(
    tiny_config: MakeConfig, tmp_path: Path, own: str, taught_with: str, message: str
) -> None:
    store = windows(tmp_path, tiny_config())
    config = listed(tiny_config(), store, own)
    with pytest.raises(UserError, match=message):
        unseen_clips(
            config, [teacher_of(listed(tiny_config(), store, taught_with), store)], training_data(config, store)
        )


def test_a_teacher_that_knows_other_windows_of_a_held_out_recording_is_warned_of(
    tiny_config: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = windows(tmp_path, tiny_config())
    config = listed(tiny_config("validation=split", "validation_fraction=0.3"), store, "TTTTTTEE")
    data = training_data(config, store)
    first = min(set(range(6)) - set(data.sampler.indices.tolist()))
    letters = "".join("E" if number > 5 else "T" if number == first else "-" for number in range(8))
    unseen_clips(config, [teacher_of(listed(tiny_config(), store, letters), store)], data)
    assert "trained on 2 clips of 2 that this run holds out, or on other clips of their recordings" in caplog.text


def test_no_teachers_are_suggested_that_are_trained_on_windows_of_a_test_recording(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    store = windows(tmp_path, tiny_config())
    wanted = Wanted(np.array([0, 1]), split(store.clips, listed(tiny_config(), store, "TTTTEE-E").data), store)
    assert not wanted.trains([listed(tiny_config(), store, "EETT--T-").data])
    assert wanted.trains([listed(tiny_config(), store, "EETT----").data])


def test_the_teachers_of_the_suggested_command_can_teach(
    tiny_config: MakeConfig, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    """The student's split is a fold, whose other folds are trained on its test clips."""
    config = with_split(tiny_config("epochs=1"), FoldChoice("subject", 2, 1))
    known = experiment.train(config).run.last
    how = replace(config.distillation, teachers=[str(known)], unseen_only=True)
    with pytest.raises(UserError, match="12 training clips, 12") as refused:
        student(replace(config, distillation=how))
    command = str(refused.value).splitlines()[-1]
    assert command.endswith("--split_by file --folds 5 --set data.select.subjects=[2]")
    teachers = tmp_path / "teachers"
    assert cli(*shlex.split(command[command.index(" train ") :]), "--output_root", teachers).code == 0
    found = [str(path) for path in sorted(teachers.glob("run-*/checkpoints/last.pth"))]
    task, _ = student(replace(config, distillation=replace(how, teachers=found)))
    assert sum(task.unseen.counts) == 12


def test_a_protocol_whose_training_clips_no_setting_selects_needs_text_files(
    tiny_config: MakeConfig, teacher: Path
) -> None:
    config = with_split(tiny_config("epochs=1", taught_by(teacher), UNSEEN), FoldChoice("file", 2, 1))
    with pytest.raises(UserError, match="No command divides the training clips of file_fold1of2 alone") as refused:
        student(config)
    assert "--folds" not in str(refused.value) and "--split FILE.txt" in str(refused.value)


def test_the_missing_teachers_of_a_lost_run_are_trained_with_its_selection(
    tiny_config: MakeConfig, folds: list[Path], tmp_path: Path
) -> None:
    alone = changed_copy(folds[0], tmp_path / "alone.pth")  # without the config.yaml of its run
    with pytest.raises(UserError, match="12 training clips, 8") as refused:
        student(tiny_config(taught_by(alone), UNSEEN))
    assert "--dataset tiny --split_by file --folds 3 --set data.select.subjects=[1]" in str(refused.value)


def test_held_out_clips_count_as_unseen(tiny_config: MakeConfig) -> None:
    path = experiment.train(tiny_config("epochs=1", "validation=split", "validation_fraction=0.5")).run.last
    how = (taught_by(path), UNSEEN, "validation=split", "validation_fraction=0.5")
    with pytest.raises(UserError, match="of 6 training clips, 6"):
        student(tiny_config(*how))
    with pytest.raises(UserError, match="of 12 training clips, 6"):
        student(tiny_config(taught_by(path), UNSEEN))


def test_clips_whose_labels_a_teacher_did_not_use_count_as_unseen(tiny_config: MakeConfig) -> None:
    path = experiment.train(tiny_config("epochs=1", "label_fraction=0.5")).run.last
    with pytest.raises(UserError, match="of 12 training clips, 6"):
        student(tiny_config(taught_by(path), UNSEEN))


def test_a_teacher_that_knows_held_out_clips_is_warned_of(
    tiny_config: MakeConfig, folds: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    student(tiny_config(taught_by(*folds), UNSEEN, "validation=split", "validation_fraction=0.3"))
    assert "that this run holds out: its validation accuracy is too high" in caplog.text
    assert "perhaps on test clips" not in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distillation": replace(DistillationConfig(), teachers=["x"])}, "it was distilled"),
        ({"seed": 7, "data": {"select": None}}, "divides the clips differently now"),
    ],
)
def test_a_teacher_whose_training_clips_cannot_be_known_is_refused(
    tiny_config: MakeConfig, folds: list[Path], tmp_path: Path, change: dict[str, object], message: str
) -> None:
    if "data" in change:
        change = {**change, "data": {"select": tiny_config().data.select}}
    path = changed_copy(folds[0], tmp_path / "unknown.pth", **change)
    with pytest.raises(UserError, match=f"needs to know the training clips of the teacher .*{message}"):
        student(tiny_config(taught_by(path), UNSEEN))


def test_a_teacher_of_another_store_or_without_fingerprints_is_refused(
    tiny_config: MakeConfig, folds: list[Path], tmp_path: Path
) -> None:
    old = tmp_path / "old.pth"
    save_checkpoint(old, replace(read_checkpoint(folds[0]), data={}))
    with pytest.raises(UserError, match="an older version wrote its checkpoint"):
        student(tiny_config(taught_by(old), UNSEEN))
    config = tiny_config(taught_by(*folds), UNSEEN)
    clips = [replace(clip, joints=clip.joints * 1.5) for clip in find_store(config.data, Path(config.data_root))]
    write_store(tmp_path / "data" / "tiny", clips, name="tiny", layout="ntu25", classes=config.data.classes)
    with pytest.raises(UserError, match="it was trained on another store"):
        student(replace(config, data_root=str(tmp_path / "data")))


def test_a_teacher_that_began_with_other_weights_is_warned_of(
    tiny_config: MakeConfig, folds: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    began = changed_copy(folds[0], tmp_path / "began.pth", init_from="somewhere/last.pth")
    with caplog.at_level(logging.WARNING):
        student(tiny_config(taught_by(began, *folds[1:]), UNSEEN))
    assert "began with the weights of somewhere/last.pth" in caplog.text


def test_a_method_of_its_own_is_refused_with_unseen_teachers() -> None:
    with pytest.raises(UserError, match="Use --method kl, dkd, features or attention"):
        DistillationConfig(method="similarity", unseen_only=True)


def test_a_mixed_clip_has_the_teachers_of_both_clips_by_their_shares(
    tiny_config: MakeConfig, folds: list[Path]
) -> None:
    how = (UNSEEN, "data.augment.mix_add=1", "data.augment.mix_share=0.5", "batch_size=12")
    task, data = student(tiny_config(taught_by(*folds), *how))
    batch = data.pipeline.prepared(next(iter(data.loader)), training=True)
    weights, own = task._weights_of(batch), task.weights_by_clip[batch.indices]
    assert (batch.partner_shares > 0).any()
    share = batch.partner_shares[:, None]
    torch.testing.assert_close(weights, (1 - share) * own + share * own[batch.partners])
    assert task(batch).loss.isfinite()


def test_losses_take_weights_of_clips() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.tensor([0.25, 0.75])
    by_clip = weights.expand(3, 2)
    logits = torch.randn(3, 2, 5, generator=generator)
    torch.testing.assert_close(
        ensemble_log_probabilities(logits, by_clip, 2.0), ensemble_log_probabilities(logits, weights, 2.0)
    )
    own, theirs = torch.randn(2, 2, 3, 4, generator=generator)
    torch.testing.assert_close(hint_loss(own, theirs, by_clip), hint_loss(own, theirs, weights))
    maps = torch.rand(3, 2, 4, 5, generator=generator)
    torch.testing.assert_close(
        attention_transfer_loss([maps[:, 0]], [maps], by_clip), attention_transfer_loss([maps[:, 0]], [maps], weights)
    )
    alone = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    expected = logits[torch.arange(3), torch.tensor([0, 1, 0])].log_softmax(dim=1)
    torch.testing.assert_close(ensemble_log_probabilities(logits, alone, 1.0), expected)
    mean = 0.5 * sum(np.square((own[t, n] - theirs[t, n]).numpy()).mean() for n, t in enumerate((0, 1, 0))) / 3
    assert hint_loss(own, theirs, alone).item() == pytest.approx(mean, rel=1e-5)


def test_an_interrupted_run_of_unseen_teachers_resumes_with_the_same_result(
    tiny_config: MakeConfig, folds: list[Path], tmp_path: Path, train_and_stop: Callable[..., object]
) -> None:
    config = tiny_config("epochs=2", taught_by(*folds), UNSEEN)
    whole = experiment.train(config).run
    shutil.rmtree(tmp_path / "other", ignore_errors=True)
    other = replace(config, output_root=str(tmp_path / "other"))
    train_and_stop(other, 4)
    resumed = experiment.train(other, "auto").run
    torch.testing.assert_close(read_checkpoint(resumed.last).model, read_checkpoint(whole.last).model, rtol=0, atol=0)
