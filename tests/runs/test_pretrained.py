"""Models with the weights that come with the program."""

from pathlib import Path

import numpy as np
import pytest
import torch

import last
from last.data.synthetic import class_names
from last.utils.errors import UserError


def test_without_weights_a_model_is_new() -> None:
    assert last.create_model("nano_e").classifier.out_features == 60
    model = last.create_model("nano_e", 5, "kinect20")
    assert (model.classifier.out_features, model.facts.layout.name, model.facts.classes) == (5, "kinect20", ())


def test_with_weights_a_model_classifies_at_once() -> None:
    model = last.create_model("nano_e", pretrained="synthetic")
    assert not model.training and model.facts.dataset == "synthetic" and model.facts.classes == tuple(class_names())
    joints = np.random.default_rng(0).normal(size=(1, 40, 25, 3)).astype(np.float32)
    with torch.no_grad():
        assert model(*last.model_inputs(model, joints)).shape == (1, len(class_names()))


def test_with_other_classes_or_another_layout_the_backbone_is_kept() -> None:
    whole = last.create_model("nano_e", pretrained="synthetic").state_dict()
    model = last.create_model("nano_e", 4, pretrained="synthetic")
    weights = model.state_dict()
    assert model.classifier.out_features == 4
    same = [name for name in whole if not name.startswith("classifier.")]
    assert all(torch.equal(weights[name], whole[name]) for name in same)
    other = last.create_model("nano_e", layout="kinect20", pretrained="synthetic")
    assert (other.facts.layout.name, other.classifier.out_features) == ("kinect20", len(class_names()))


@pytest.mark.parametrize(
    ("name", "pretrained", "message"),
    [
        ("base_e", "synthetic", "are of nano_e, not of base_e"),
        ("nano_e", "synthtic", "There is no set of pretrained weights 'synthtic'. Did you mean 'synthetic'?"),
    ],
)
def test_weights_that_are_not_there_are_refused(name: str, pretrained: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        last.create_model(name, pretrained=pretrained)
    assert message in str(refused.value)


def test_their_name_is_a_checkpoint_for_every_function_unless_a_file_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert last.load_checkpoint("synthetic").facts.name == "nano_e"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "synthetic").write_bytes(b"of mine")
    with pytest.raises(UserError, match="not a complete checkpoint"):
        last.load_checkpoint("synthetic")
