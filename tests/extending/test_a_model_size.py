"""A model size is one YAML, by its path or, in the folder of ours, by its name."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import last
from last.utils import config, model_files
from last.utils.config import config_folder

YAML = Path(__file__).with_name("tiny_e.yaml")


@pytest.fixture
def beside_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(config_folder(), tmp_path / "configs")
    shutil.copy(YAML, tmp_path / "configs" / "model" / "last_e_tiny.yaml")
    for module in (config, model_files):
        monkeypatch.setattr(module, "config_folder", lambda: tmp_path / "configs")


@pytest.mark.usefixtures("beside_ours")
def test_a_size_beside_ours_is_trained_by_its_name(cli: Callable[..., Any], data_yaml: Path, tmp_path: Path) -> None:
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", tmp_path / "runs")
    always = ("--dataset", data_yaml, "--epochs", 1, "--set", "input_frames=8", "tensorboard=false", "batch_size=4")
    trained = cli("train", "--model", "tiny_e", *roots, *always)
    assert trained.code == 0, trained.err
    assert "tiny_e on tiny xsub" in trained.out
    assert "tiny_e" in last.list_models()
    assert "tiny_e" in cli("train", "--model", "tiny", *roots, *always).err


def test_a_size_is_created_by_the_path_of_its_file() -> None:
    assert last.create_model(YAML, num_classes=3).facts.name == "tiny_e"
