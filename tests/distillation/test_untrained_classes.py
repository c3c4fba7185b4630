"""Teachers that were never trained on a class that they teach."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from distillation_probes import taught_by

from last.data.loading.run_data import training_data
from last.data.store.find_store import find_store
from last.data.store.fingerprints import data_fingerprints
from last.data.store.listed_parts import list_rule
from last.data.store.protocols import split
from last.distillation.recipe import DistillationRecipe
from last.distillation.task import distillation
from last.distillation.teachers import Teacher, load_teachers
from last.distillation.unseen import UnseenClips
from last.distillation.untrained_classes import warn_of_untrained_classes
from last.models.classifier import SkeletonClassifier
from last.runs.checkpoint import read_checkpoint, save_checkpoint
from last.runtime.distributed import ALONE
from last.runtime.run_context import RunContext
from last.settings.data import DataConfig
from last.settings.run import RunConfig

MakeConfig = Callable[..., RunConfig]
RECORDED = ("store", "protocol")


def trained_on(config: RunConfig, labels: set[int]) -> tuple[DataConfig, dict[str, str]]:
    """Return the data of a run on clips of these classes alone, as from a text file, and their fingerprints."""
    store = find_store(config.data, Path(config.data_root))
    in_train = np.isin(store.clips["label"], sorted(labels))
    rule = list_rule(store.clips["name"], in_train, ~in_train)
    data = replace(config.data, split="listed", protocols={"listed": rule})
    return data, data_fingerprints(store, split(store.clips, data), data.skeleton)


@pytest.fixture
def told(tiny_config: MakeConfig, caplog: pytest.LogCaptureFixture) -> Callable[..., str]:
    """Return what is said of a teacher that was trained on clips of some classes, of the student's twelve clips."""

    def warned(
        trained: set[int], answered: set[int] | None = None, recorded: tuple[str, ...] = RECORDED, name: str = "tiny"
    ) -> str:
        config = tiny_config()
        store = find_store(config.data, Path(config.data_root))
        labels = torch.from_numpy(store.clips["label"].astype(int))
        theirs, prints = trained_on(config, trained)
        theirs = replace(theirs, name=name)
        model = SkeletonClassifier.__new__(SkeletonClassifier)
        known = {key: prints[key] for key in recorded}
        teacher = Teacher("teacher.pth", "", replace(config, data=theirs), model, 0.0, known)
        own = training_data(config, store)
        unseen = None
        if answered is not None:
            mask = torch.isin(labels, torch.tensor(sorted(answered)))[:, None]
            unseen = UnseenClips(mask, own.sampler.indices)
        with caplog.at_level(logging.WARNING):
            caplog.clear()
            warn_of_untrained_classes([teacher], own, unseen)
        return "\n".join(caplog.messages)

    return warned


def test_classes_that_a_teacher_never_learned_are_told_in_one_sentence(
    told: Callable[..., str], tiny_config: MakeConfig
) -> None:
    _, second, third = tiny_config().data.classes
    assert told({0}) == (
        f"The teacher teacher.pth was trained on no clip of 2 classes ({second}, {third}): it gives them almost no "
        "probability, and 8 of 12 training clips of the student are of them."
    )


def test_nothing_is_told_of_a_teacher_of_all_classes_that_it_answers_for(told: Callable[..., str]) -> None:
    assert told({0, 1}, answered={0, 1}) == ""


def test_only_the_clips_that_a_teacher_answers_for_count(told: Callable[..., str], tiny_config: MakeConfig) -> None:
    third = tiny_config().data.classes[2]
    assert told({0}, answered={0, 2}) == (
        f"The teacher teacher.pth was trained on no clip of 1 class ({third}): it gives it almost no probability, and "
        "4 of 8 training clips that it answers for are of it."
    )


@pytest.mark.parametrize("recorded", [(), ("store",), ("protocol",)])
def test_nothing_is_told_where_the_training_clips_are_not_known(
    told: Callable[..., str], recorded: tuple[str, ...]
) -> None:
    assert told({0}, recorded=recorded) == ""


def test_nothing_is_told_of_a_teacher_of_another_data_set(told: Callable[..., str]) -> None:
    assert told({0}, name="other") == ""


def test_a_student_is_told_of_a_teacher_of_one_class(
    tiny_config: MakeConfig, teacher: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint, path = read_checkpoint(teacher), tmp_path / "one.pth"
    theirs, prints = trained_on(checkpoint.config, {0})
    save_checkpoint(path, replace(checkpoint, config=replace(checkpoint.config, data=theirs), data=prints))
    config, teachers = load_teachers(tiny_config(taught_by(path)), ALONE)
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    distillation(
        config, DistillationRecipe().build_model(config, data), teachers, data, RunContext(torch.device("cpu"))
    )
    assert "was trained on no clip of 2 classes" in caplog.text
