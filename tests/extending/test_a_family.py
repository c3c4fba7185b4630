"""A model family is one file and a YAML of its sizes: it is trained, evaluated, distilled, measured and exported."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import last
from last.models import families
from last.models.registry import family_config, list_families
from last.utils.errors import UserError

YAML = Path(__file__).with_name("mlp_small.yaml")
SETTINGS = ("input_frames=8", "tensorboard=false", "batch_size=4")


@pytest.fixture(autouse=True)
def added(plug_in: Callable[[ModuleType, Path], None]) -> None:
    plug_in(families, Path(__file__).with_name("frame_mlp.py"))


@pytest.mark.long
def test_every_command_takes_a_model_of_it(cli: Callable[..., Any], data_yaml: Path, tmp_path: Path) -> None:
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", tmp_path / "runs")
    always = ("--model", YAML, "--dataset", data_yaml, "--epochs", 2)
    trained = cli("train", *always, *roots, "--set", *SETTINGS, "learning_rate=0.1")
    assert trained.code == 0, trained.err
    (run,) = (tmp_path / "runs").glob("run-*")
    assert json.loads((run / "summary.json").read_text())["model"] == "mlp_small"
    checkpoint = run / "checkpoints" / "last.pth"
    assert cli("train", "--resume", run, *roots, "--set", "epochs=3").code == 0
    assert cli("evaluate", "--checkpoint", checkpoint, "--out", tmp_path / "report").code == 0
    distilled = cli("distill", "--teacher", run, *always, *roots, "--set", *SETTINGS, "distillation.method=features")
    assert distilled.code == 0, distilled.err
    exported = cli("export", "--checkpoint", checkpoint, "--format", "onnx", "--bodies", 2, "--out", tmp_path / "files")
    assert exported.code == 0, exported.err
    assert cli("cost", "--model", YAML, "--frames", 8, "--threads", 1).code == 0
    assert last.load_checkpoint(checkpoint).facts.name == "mlp_small"


def test_a_model_of_it_is_created_with_other_sizes() -> None:
    model = last.create_model(YAML, num_classes=5, width=16)
    assert model.classifier.weight.shape == (5, 16)
    with pytest.raises(UserError, match=r"widht: unknown key .* Did you mean 'width'"):
        last.create_model(YAML, widht=16)


def test_an_unknown_family_is_refused_with_the_names_of_those_there_are() -> None:
    assert list_families() == ["last_e", "last_v2", "frame_mlp"]
    with pytest.raises(
        UserError, match=r"no model family 'frame_mpl'\. Did you mean .*Known: last_e, last_v2, frame_mlp"
    ):
        family_config("frame_mpl")
