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
from last.runs.checkpoint_model import load_checkpoint
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


def switched(config: RunConfig, **switches: object) -> RunConfig:
    return replace(config, model=replace(config.model, **switches))


@pytest.mark.parametrize(
    ("switch", "added"),
    [
        ({"graph_subsets": ["mirror", "ends"]}, "alpha_added"),
        ({"learned_adjacency": True}, "A_learned"),
        ({"joint_embedding": True}, "joint_embedding"),
    ],
)
def test_a_model_with_a_switch_starts_from_a_checkpoint_without_it(
    switch: dict[str, object],
    added: str,
    trained_run: Callable,
    tiny_config: Callable[..., RunConfig],
    caplog: pytest.LogCaptureFixture,
) -> None:
    checkpoint = trained_run("epochs=1").last
    with caplog.at_level(logging.INFO):
        model, before = tuned(checkpoint, switched(tiny_config(), **switch), load_layout("ntu25"))
    as_before = {"fusion.alpha"} | {name for name in before if name.startswith("fusion.norm.") or "tracked" in name}
    new = {name for name in before if added in name} - as_before
    assert new and kept(model, before, checkpoint) == HEAD | new
    assert f"the classifier, and {len(new)} tensor" in caplog.messages[-1]
    assert f"that it lacks or has in another shape ({min(new)}" in caplog.messages[-1]


def test_a_layout_without_mirrored_pairs_may_come_before_one_with_them(
    trained_run: Callable, tiny_config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = read_checkpoint(trained_run("epochs=1").last)
    hand = replace(checkpoint.config, data=replace(checkpoint.config.data, layout="hand21"))
    monkeypatch.setattr("last.runs.backbone.read_checkpoint", lambda _: replace(checkpoint, config=hand))
    model, before = tuned(Path("hand.pth"), switched(tiny_config(), graph_subsets=["mirror"]), load_layout("ntu25"))
    assert {name for name in model.state_dict() if not torch.equal(model.state_dict()[name], before[name])}


def test_a_model_without_switches_starts_from_a_checkpoint_with_all_of_them(
    trained_run: Callable, tiny_config: Callable[..., RunConfig], caplog: pytest.LogCaptureFixture
) -> None:
    names = ("graph_subsets=[mirror]", "learned_adjacency=true", "joint_embedding=true", "stream_channels=wide")
    checkpoint = trained_run("epochs=1", *(f"model.{name}" for name in names)).last
    assert load_checkpoint(checkpoint).fusion.joint_embedding.any()
    with caplog.at_level(logging.INFO):
        model, before = tuned(checkpoint, tiny_config(), load_layout("ntu25"))
    new = kept(model, before, checkpoint) - HEAD
    assert new and all(name.startswith("fusion") for name in new)
    assert "Unused: blocks.0.spatial.A_learned, blocks.0.spatial.alpha_added, blocks.1" in caplog.messages[-1]
