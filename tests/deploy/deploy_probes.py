"""What the tests of exported models share: checkpoints of a tiny model, without a run around them, and ONNX files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from torch import nn

from last.data import open_store
from last.deploy.export import ExportRequest, export
from last.experiments.config import resolve
from last.models.registry import build_model
from last.runs.checkpoint import Checkpoint, save_checkpoint
from last.skeleton import layout_facts

# A stage of the student of either kind, since each takes a second to export.
SIZES = {
    "nano_e": ["model.channels=[8,8]", "model.blocks=[1,1]", "model.attention=[false,true]"],
    "small": ["model.channels=[16,16,16]", "model.blocks=[1,1,1]"],
}


def write_checkpoint(path: Path, data_yaml: Path, model: str = "nano_e", ema: bool = False, *settings: str) -> Path:
    """Write the checkpoint of a model whose gates and statistics are not as a new model has them."""
    overrides = ["input_frames=8", *SIZES[model], *settings]
    config = resolve(model=model, dataset=str(data_yaml), environment="local", overrides=overrides, flags={})
    built = build_model(config.model, len(config.data.classes), config.data.layout)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
        for norm in (each for each in built.modules() if isinstance(each, nn.BatchNorm2d)):
            norm.running_mean.normal_(std=0.3)
    averaged = {name: value * 0.5 for name, value in built.named_parameters()} if ema else {}
    checkpoint = Checkpoint(
        model=built.state_dict(), optimizer={}, scheduler={}, scaler={}, ema=averaged, ema_steps=len(averaged),
        window={}, guard={}, epoch=3, within={}, best_acc=0.0, best_epoch=0, metrics={}, config=config,
        classes=list(config.data.classes), layout=layout_facts(config.data.skeleton),
    )  # fmt: skip
    save_checkpoint(path, checkpoint)
    return path


@dataclass(frozen=True)
class SharedExport:
    """A checkpoint and its ONNX file, which tests do not change."""

    checkpoint: Path
    model: Path


def made_once(folders: pytest.TempPathFactory, worker_id: str, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that one of several test processes makes for all, since an export takes seconds."""
    folder = (folders.getbasetemp() if worker_id == "master" else folders.getbasetemp().parent) / name
    with FileLock(f"{folder}.lock"):
        if not (folder / "nano_e.md").exists():  # which is written last
            folder.mkdir(exist_ok=True)
            with torch.random.fork_rng():
                torch.manual_seed(0)
                make(folder)
    return folder


@pytest.fixture(scope="session")
def shared_export(tmp_path_factory: pytest.TempPathFactory, worker_id: str, data_yaml: Path) -> SharedExport:
    """Return a model with averaged weights, whose joints below a confidence of 0.3 are missing."""

    def make(folder: Path) -> None:
        checkpoint = write_checkpoint(folder / "last.pth", data_yaml, "nano_e", True, "data.min_confidence=0.3")
        export(ExportRequest(checkpoint, ("onnx",), threads=1), folder)

    folder = made_once(tmp_path_factory, worker_id, "exported", make)
    return SharedExport(folder / "last.pth", folder / "nano_e.onnx")


@pytest.fixture(scope="session")
def calibrated_export(tmp_path_factory: pytest.TempPathFactory, worker_id: str, data_yaml: Path) -> SharedExport:
    """Return a model that was compared on clips of its data set, and calibrated on all of them."""

    def make(folder: Path) -> None:
        store = open_store(data_yaml.parent / "data" / "tiny")
        checkpoint = write_checkpoint(folder / "last.pth", data_yaml)
        export(ExportRequest(checkpoint, ("onnx",), threads=1), folder, clips=store[:4], held_out=list(store))

    folder = made_once(tmp_path_factory, worker_id, "calibrated", make)
    return SharedExport(folder / "last.pth", folder / "nano_e.onnx")
