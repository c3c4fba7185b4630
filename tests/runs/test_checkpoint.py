"""Checkpoint files that are damaged, foreign or hostile."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import last
from last.experiments import run as experiment
from last.runs.checkpoint import read_checkpoint, save_checkpoint
from last.runs.folder import RunFolder
from last.settings.run import RunConfig
from last.utils.errors import UserError


@pytest.fixture
def checkpoint(trained_run: Callable[..., RunFolder]) -> Path:
    return trained_run("epochs=1").last


def change(path: Path, **values: object) -> None:
    content = torch.load(path, weights_only=True)
    torch.save({**content, **values}, path)


def test_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.pth: No such file"):
        read_checkpoint(tmp_path / "none.pth")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_torn_file_is_refused(checkpoint: Path, share: float) -> None:
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="not a complete checkpoint"):
        read_checkpoint(checkpoint)


def test_file_of_another_program_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.zeros(3)}}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="not a checkpoint of LAST"):
        read_checkpoint(tmp_path / "other.pth")


def test_other_format_version_is_refused(checkpoint: Path) -> None:
    change(checkpoint, format_version=99)
    with pytest.raises(UserError, match="version 99"):
        read_checkpoint(checkpoint)


def test_changed_weight_breaks_the_checksum(checkpoint: Path) -> None:
    weights = dict(torch.load(checkpoint, weights_only=True)["model"])
    weights["classifier.bias"] = weights["classifier.bias"] + 1e-7
    change(checkpoint, model=weights)
    with pytest.raises(UserError, match="checksum"):
        read_checkpoint(checkpoint)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_full_disk_is_reported_and_keeps_the_older_file(checkpoint: Path, share: float) -> None:
    resource = pytest.importorskip("resource")  # a limit on the size of files stands in for a small disk
    whole, before = read_checkpoint(checkpoint), checkpoint.read_bytes()
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * len(before)), usual[1]))
    try:
        with pytest.raises(UserError, match=r"Cannot write .*last\.pth"):
            save_checkpoint(checkpoint, whole)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert checkpoint.read_bytes() == before


class _Exploit:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


def test_hostile_file_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    torch.save({"model": _Exploit(mark)}, tmp_path / "hostile.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(_Exploit(mark)))
    for name in ("hostile.pth", "plain.pth"):
        with pytest.raises(UserError, match="not a complete checkpoint"):
            last.load_checkpoint(tmp_path / name)
    assert not mark.exists()


def test_the_facts_of_a_loaded_model_describe_its_input_its_classes_and_its_training_data(checkpoint: Path) -> None:
    model, config = last.load_checkpoint(checkpoint), read_checkpoint(checkpoint).config
    facts = model.facts
    assert (facts.name, facts.layout.name, facts.classes) == ("nano_e", "ntu25", ("rise", "fall", "still"))
    assert (facts.input_frames, facts.bodies, facts.seed, facts.epoch) == (8, 2, 0, 0)
    assert (facts.sampling, facts.normalize) == (config.data.sampling, config.data.normalize)
    assert (facts.dataset, facts.split) == ("tiny", "xsub")
    assert not [name for name in model.state_dict() if "facts" in name]


@pytest.mark.parametrize("device", ["gpu", "cuda:99", ""])
def test_a_device_that_is_not_there_is_refused(checkpoint: Path, device: str) -> None:
    with pytest.raises(UserError, match=f"device '{device}': this machine has no such device"):
        last.load_checkpoint(checkpoint, device=device)


@pytest.mark.parametrize("device", ["auto", "cpu", torch.device("cpu")])
def test_a_device_may_be_named_as_torch_does_or_left_to_the_program(
    checkpoint: Path, device: str | torch.device
) -> None:
    wanted = "cuda" if device == "auto" and torch.cuda.is_available() else "cpu"
    assert next(last.load_checkpoint(checkpoint, device=device).parameters()).device.type == wanted


def test_resuming_with_a_checkpoint_outside_a_run_is_refused(
    checkpoint: Path, tmp_path: Path, tiny_config: Callable[..., RunConfig]
) -> None:
    stray = tmp_path / "stray.pth"
    stray.write_bytes(checkpoint.read_bytes())
    with pytest.raises(UserError, match="is not in a run's folder"):
        experiment.train(tiny_config("epochs=1"), resume=str(stray))
