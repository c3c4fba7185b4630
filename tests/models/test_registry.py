"""Models by name."""

from pathlib import Path

import pytest
import torch
from torch import nn

import last
from last.experiments.config import resolve
from last.models.batchnorm_stats import RunningStatistics
from last.models.plain import from_fused
from last.skeleton import load_layout
from last.utils.errors import UserError


def test_unknown_model_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="Did you mean 'nano_e'"):
        last.create_model("nano_ee")


def test_unknown_size_is_refused() -> None:
    with pytest.raises(UserError, match="dropuot"):
        last.create_model("nano_e", dropuot=0.1)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"channels": [24, 7, 96]}, "channels: 7 should divide into 2 equal parts"),
        ({"channels": [24, 48, 10**6]}, "channels: .* at most 4096"),
        ({"channels": [], "blocks": [], "attention": []}, "channels: .* a list of 1 or 2"),
        ({"dilations": []}, "dilations: .* a list of 1 or 2"),
        ({"dilations": [1, 0]}, "dilations: .* at least 1"),
        ({"kernel_frames": 8}, "kernel_frames: 8 should be odd"),
    ],
)
def test_sizes_that_make_no_network_are_refused(sizes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        last.create_model("nano_e", **sizes)


def test_sizes_of_another_number_of_stages_are_refused() -> None:
    with pytest.raises(UserError, match="channels has 3, blocks has 2, attention has 3"):
        last.create_model("nano_e", blocks=[1, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": 60}, "name of a model should be one of nano_e, .*, not 60"),
        ({"name": ["nano_e"]}, "one of nano_e, .*, not .'nano_e'."),
        ({"num_classes": "60"}, "num_classes: '60' should be a whole number from 1 up"),
        ({"num_classes": 60.0}, "num_classes: 60.0"),
        ({"num_classes": True}, "num_classes: True"),
        ({"num_classes": 0}, "num_classes: 0"),
        ({"num_classes": ["a", "b"]}, "num_classes: .'a', 'b'."),
        ({"layout": 25}, "layout: 25 should be the name of a layout"),
    ],
)
def test_arguments_of_another_type_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        last.create_model(**{"name": "nano_e", **arguments})


def test_a_layout_may_be_given_as_itself_or_by_its_path() -> None:
    layout = load_layout("sbu15")
    path = Path(last.__file__).parents[1] / "configs" / "layout" / "sbu15.yaml"
    for given in (layout, path, str(path)):
        assert last.create_model("nano_e", layout=given).facts.layout == layout


def test_a_new_model_knows_its_name_and_layout_and_nothing_that_it_did_not_learn() -> None:
    facts = last.create_model("small_e", layout="kinect20").facts
    assert (facts.name, facts.layout.name) == ("small_e", "kinect20")
    assert (facts.classes, facts.input_frames, facts.sampling, facts.dataset) == ((), None, None, "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("family: last_e", "The model tiny_e has no sizes: model.channels, model.blocks, model.attention should be"),
        ("family: last_v2", "has no sizes: model.channels, model.blocks, model.temporal should be"),
        ("{family: last_e, channels: [8], blocks: [1]}", "channels has 1, blocks has 1, attention has 0"),
        ("family: last_x", "no model family 'last_x'. Did you mean 'last_e'. Known: last_e, last_v2"),
        ("{family: last_e, chanels: [8]}", r"tiny_e.yaml: .*chanels: unknown key.*Did you mean 'channels'"),
    ],
)
def test_a_file_without_the_sizes_of_a_network_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "tiny_e.yaml"
    path.write_text(f"model: {text}" if text[0] == "{" else f"model: {{{text}}}")
    for build in (lambda: last.create_model(path), lambda: resolve(model=str(path), dataset="synthetic")):
        with pytest.raises(UserError, match=f"(?s){message}"):
            build()


def test_a_layer_without_a_plain_counterpart_is_refused() -> None:
    with pytest.raises(TypeError, match="no plain counterpart of a Bilinear"):
        from_fused(nn.Bilinear(1, 1, 1))


def test_a_model_without_batch_norms_has_no_statistics_to_change() -> None:
    statistics = RunningStatistics(nn.Linear(2, 2))
    statistics.uncount(torch.tensor(1))
    statistics.set_counts([])
    assert statistics.read().tolist() == statistics.counts() == []
