"""Fine-tuning takes all that fits from a checkpoint of other classes or another layout, and says what it took."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import TINY
from torch import Tensor

from last.experiments import run as experiment
from last.experiments.config import resolve
from last.models.classifier import SkeletonClassifier
from last.models.registry import build_model
from last.runs.backbone import load_backbone
from last.runs.checkpoint import read_checkpoint
from last.settings.run import RunConfig
from last.skeleton import Layout, load_layout

FLAT = load_layout("coco17_2d")
OTHER_25 = load_layout("body25")  # as many joints as ntu25, but others


@pytest.fixture(scope="session")
def teacher_and_config(data_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunConfig]:
    """Return a trained checkpoint of a tiny LAST-v2, which learns adjacencies, and its configuration."""
    flags = {"data_root": str(data_yaml.parent / "data"), "output_root": str(tmp_path_factory.mktemp("v2"))}
    tiny = [each for each in TINY if "attention" not in each]
    config = resolve(
        model="small",
        dataset=str(data_yaml),
        environment="local",
        overrides=[
            *tiny,
            "model.temporal=[convolution,attention]",
            "model.heads=2",
            "epochs=1",
            "learning_rate=0.05",
            "device=cpu",
        ],
        flags=flags,
    )
    return experiment.train(config).run.last, config


def tuned(checkpoint: Path, config: RunConfig, layout: Layout) -> tuple[SkeletonClassifier, dict[str, Tensor]]:
    """Return a new model of five classes with the backbone of a checkpoint, and its weights before that."""
    data = replace(config.data, classes=list("abcde"), layout=layout.name)
    torch.manual_seed(1)
    model = build_model(config.model, 5, layout)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    load_backbone(model, config.model, data.skeleton, checkpoint)
    return model, before


def kept(model: SkeletonClassifier, before: dict[str, Tensor], checkpoint: Path) -> set[str]:
    """Return the tensors that keep their initial weights; the others are those of the checkpoint."""
    taken, own = read_checkpoint(checkpoint).weights, model.state_dict()
    unlike = {
        name
        for name, each in own.items()
        if name not in taken or taken[name].shape != each.shape or not torch.equal(each, taken[name])
    }
    assert all(torch.equal(own[name], before[name]) for name in unlike)
    return unlike


def learned(model: SkeletonClassifier) -> set[str]:
    return {name for name in model.state_dict() if name.endswith("A_learned")}


HEAD = {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize("layout", [load_layout("kinect20"), OTHER_25], ids=["fewer joints", "as many other joints"])
def test_only_the_head_and_what_depends_on_the_joints_are_new(
    layout: Layout, teacher_and_config: tuple[Path, RunConfig]
) -> None:
    checkpoint, config = teacher_and_config
    model, before = tuned(checkpoint, config, layout)
    assert learned(model)
    assert kept(model, before, checkpoint) == HEAD | learned(model)


def test_the_same_joints_are_taken(teacher_and_config: tuple[Path, RunConfig]) -> None:
    checkpoint, config = teacher_and_config
    assert kept(*tuned(checkpoint, config, load_layout("ntu25")), checkpoint) == HEAD


def test_learned_adjacencies_larger_than_the_rest_do_not_keep_a_small_backbone_from_being_used(
    teacher_and_config: tuple[Path, RunConfig],
) -> None:
    checkpoint, config = teacher_and_config
    model, _ = tuned(checkpoint, config, load_layout("zed38"))
    sizes = {name: each.numel() for name, each in model.state_dict().items() if name not in HEAD}
    assert sum(sizes[name] for name in learned(model)) > sum(sizes.values()) / 2


def test_a_student_of_pixels_takes_all_but_its_first_layers_from_one_of_metres(
    trained_run: Callable, tiny_config: Callable[..., RunConfig]
) -> None:
    checkpoint = trained_run("epochs=1").last
    model, before = tuned(checkpoint, tiny_config(), FLAT)
    new = kept(model, before, checkpoint) - HEAD
    assert 0 < len(new) < len(before) / 4
    assert all(name.startswith("fusion") for name in new), new


def test_what_was_taken_is_said_in_plain_words(
    teacher_and_config: tuple[Path, RunConfig], caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint, config = teacher_and_config
    with caplog.at_level(logging.INFO):
        model, _ = tuned(checkpoint, config, load_layout("kinect20"))
    (message,) = caplog.messages
    count = len(model.state_dict()) - len(HEAD) - len(learned(model))
    assert f"Loaded {count} tensors from {checkpoint}, which is small of tiny (3 classes, layout ntu25): " in message
    assert f"the classifier, and {len(learned(model))} tensors of the layout, which is kinect20 instead of" in message
