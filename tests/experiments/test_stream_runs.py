"""Models that read some streams only: whole runs, teachers and students of other streams, sums, exported files."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from distillation_probes import taught_by

from last.experiments import run as experiment
from last.experiments.config import resolve
from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder
from last.runs.shipped_weights import pretrained_file
from last.settings.run import RunConfig
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]
BONE = "model.streams=[bone]"


@pytest.fixture
def bone_run(train_once: Callable[..., RunFolder]) -> RunFolder:
    return train_once("epochs=2", BONE)


def test_a_run_of_one_stream_is_stopped_resumed_and_recorded(
    tiny_config: MakeConfig, bone_run: RunFolder, train_and_stop: Callable[..., RunFolder]
) -> None:
    stopped = train_and_stop(tiny_config("epochs=2", BONE), 4)
    resumed = experiment.train(tiny_config("epochs=2", BONE), "auto").run
    assert resumed.path == stopped.path
    one, other = read_checkpoint(resumed.last).model, read_checkpoint(bone_run.last).model
    assert all(torch.equal(one[name], other[name]) for name in one.keys() | other.keys())
    assert json.loads(resumed.summary.read_text())["streams"] == ["bone"]
    assert "LastE (nano_e of bone, " in resumed.log.read_text()
    with pytest.raises(UserError, match="cannot change within a run"):
        experiment.train(
            tiny_config("epochs=3", "model.streams=[joint]"),
            str(resumed.path),
            explicit_keys=["epochs", "model.streams"],
        )


def test_a_teacher_of_one_stream_teaches_a_student_of_all_and_the_reverse(
    tiny_config: MakeConfig, bone_run: RunFolder, teacher: Path
) -> None:
    for method in ("kl", "features"):
        how = ("epochs=1", taught_by(bone_run.last, teacher), f"distillation.method={method}")
        run = experiment.train(tiny_config(*how, "model.streams=[velocity,joint]")).run
        assert [each["streams"] for each in json.loads(run.summary.read_text())["teachers"]] == [
            ["bone"],
            ["joint", "velocity", "bone"],
        ]
        assert "teacher: nano_e of bone (" in run.log.read_text()
    cached = ("distillation.fixed_augmentations=1", "distillation.cached=true")
    run = experiment.train(tiny_config("epochs=1", taught_by(bone_run.last), *cached)).run
    assert json.loads(run.summary.read_text())["streams"] == ["joint", "velocity", "bone"]


def test_an_evaluation_names_the_streams(
    cli: Callable[..., Any], bone_run: RunFolder, teacher: Path, data_yaml: Path, tmp_path: Path
) -> None:
    given = ("--data_root", data_yaml.parent / "data", "--out", tmp_path / "found")
    compared = cli("evaluate", "--checkpoint", bone_run.last, "--compare", teacher, *given)
    assert compared.code == 0, compared.err
    assert "nano_e of bone on tiny xsub, test part" in compared.out
    turned = cli("evaluate", "--checkpoint", teacher, "--compare", bone_run.last, *given)
    assert "(nano_e of bone) on the same clips" in " ".join(turned.out.split())
    summed = cli("evaluate", "--checkpoint", bone_run.last, "--checkpoint", teacher, *given)
    assert "nano_e of bone + nano_e on tiny xsub, test part" in summed.out, summed.err


@pytest.mark.long
def test_networks_of_other_streams_are_summed_and_exported(
    cli: Callable[..., Any], bone_run: RunFolder, teacher: Path, data_yaml: Path, tmp_path: Path
) -> None:
    roots = ("--data_root", data_yaml.parent / "data")
    done = cli("evaluate", "--checkpoint", bone_run.last, "--checkpoint", teacher, *roots, "--out", tmp_path / "sum")
    assert done.code == 0, done.err
    assert len(json.loads((tmp_path / "sum" / "metrics.json").read_text())["ensemble"]["members"]) == 2
    alone = cli("evaluate", "--checkpoint", bone_run.last, *roots, "--details", "--out", tmp_path / "alone")
    assert alone.code == 0, alone.err
    assert "the network has one stream, bone" in alone.out
    pytest.importorskip("onnxruntime")
    exported = cli("export", "--checkpoint", bone_run.last, *roots, "--out", tmp_path / "bone.onnx")
    assert exported.code == 0, exported.err
    assert '"model": "nano_e of bone"' in (tmp_path / "bone.json").read_text()


def test_a_teacher_family_reads_some_streams_too(data_yaml: Path, tmp_path: Path) -> None:
    sizes = ["model.channels=[8,8]", "model.blocks=[1,1]", "model.temporal=[convolution,attention]", "model.heads=4"]
    roots = {"data_root": str(data_yaml.parent / "data"), "output_root": str(tmp_path / "runs"), "device": "cpu"}
    more = ["input_frames=8", "tensorboard=false", "epochs=1", "batch_size=4", "model.streams=[velocity]"]
    config = resolve(model="small", dataset=str(data_yaml), environment="local", overrides=[*sizes, *more], flags=roots)
    run = experiment.train(config).run
    assert json.loads(run.summary.read_text())["streams"] == ["velocity"]
    assert not [name for name in read_checkpoint(run.last).model if "joint." in name or "bone." in name]


def test_a_checkpoint_of_an_earlier_version_reads_all_streams() -> None:
    file = pretrained_file("synthetic")  # of a version without the key
    assert read_checkpoint(file).config.model.streams == ["joint", "velocity", "bone"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("[]", "The model nano_e reads no stream. Give model.streams at least one of joint, velocity and bone"),
        ("[angle]", "model.streams"),
        ("[bone,bone]", r"model\.streams: \['bone', 'bone'\] should have each stream once"),
    ],
)
def test_streams_that_no_model_can_read_are_refused(tiny_config: MakeConfig, setting: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        experiment.train(replace(tiny_config(f"model.streams={setting}"), epochs=1))
