"""A run on recordings of which joints are missing: trained, resumed, evaluated, exported and used alike."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import CLASSES, moving_clips, tiny_run

import last
from last.data.preparation.clean import finish_clip
from last.data.store.clip import Clip, confidence_bytes
from last.data.store.reader import open_store, write_store
from last.deploy.network import network_of
from last.experiments.run import train
from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder
from last.runs.logbook import read_rows
from last.settings.run import RunConfig

DROPS = [f"data.augment.drop_{name}=0.3" for name in ("joints", "limbs", "frames")]


def incomplete_clips() -> Iterator[Clip]:
    generator = np.random.default_rng(1)
    for clip in moving_clips():
        certain = generator.uniform(0.2, 1.0, clip.joints.shape[:3])
        certain[generator.random(certain.shape) < 0.2] = np.nan
        certain[..., 0] = 1.0
        confidence = np.where(clip.frame_mask[..., None], confidence_bytes(certain), 0).astype(np.uint8)
        joints, _, _ = finish_clip(np.where(confidence[..., None] > 0, clip.joints, np.nan), center=1)
        yield replace(clip, joints=joints, confidence=confidence)


@pytest.fixture(scope="module")
def incomplete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data YAML beside a store of clips of which joints are missing or uncertain."""
    folder = tmp_path_factory.mktemp("incomplete")
    write_store(folder / "data" / "tiny", incomplete_clips(), name="tiny", layout="ntu25", classes=CLASSES)
    keys = "min_confidence: 0.4, max_gap: 2, normalize: {face_camera: true}"
    protocols = "{xsub: {by: subject, train: [1]}}"
    text = f"data: {{name: tiny, classes: {CLASSES}, split: xsub, {keys}, protocols: {protocols}}}"
    (folder / "tiny.yaml").write_text(text)
    return folder / "tiny.yaml"


@pytest.mark.parametrize("placement", ["ram", "disk"])
def test_a_resumed_run_ends_like_one_left_alone(
    incomplete: Path, tmp_path: Path, placement: str, train_and_stop: Callable[[RunConfig, int], RunFolder]
) -> None:
    changes = ("epochs=2", f"hardware.data_placement={placement}", *DROPS)
    alone = train(tiny_run(incomplete, tmp_path / "alone", *changes)).run
    config = tiny_run(incomplete, tmp_path / "parts", *changes)
    stopped = train_and_stop(config, 2)
    assert train(config, str(stopped.path)).stopped is None
    states = [read_checkpoint(run.last).model for run in (alone, stopped)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    losses = [[row["train_loss"] for row in read_rows(run.path / "metrics.jsonl")] for run in (alone, stopped)]
    assert losses[0] == losses[1] and np.isfinite(losses[0]).all()


@pytest.mark.long
def test_it_is_evaluated_exported_and_used_alike(incomplete: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    run = train(tiny_run(incomplete, tmp_path / "runs", "epochs=1", *DROPS)).run
    reports = []
    for options in ((), ("--drop_joints", "0.5"), ("--drop_joints", "0.5")):
        out = tmp_path / f"report{len(reports)}"
        assert cli("evaluate", "--checkpoint", run.last, "--out", out, *options).code == 0
        reports.append(json.loads((out / "metrics.json").read_text()))
    assert reports[1]["loss"] == reports[2]["loss"] != reports[0]["loss"]
    assert reports[1]["facts"]["dropped joints"] == "0.5" and "dropped joints" not in reports[0]["facts"]
    flags = ("--format", "safetensors", "--bodies", 2, "--out", tmp_path / "files")
    exported = cli("export", "--checkpoint", run.last, *flags)
    assert exported.code == 0, exported.err
    assert json.loads((tmp_path / "files" / "nano_e.json").read_text())["inside"]["max_gap"] == 2

    model, clip = last.load_checkpoint(run.last), open_store(incomplete.parent / "data" / "tiny")[1]
    assert (model.facts.min_confidence, model.facts.max_gap) == (0.4, 2)
    streams, bodies = last.model_inputs(model, clip)
    confident = np.asarray(clip.confidence) >= confidence_bytes(np.array(0.4))
    unknown = np.where(confident[..., None], clip.joints, np.nan)
    unknown[~clip.frame_mask] = np.nan
    as_array, _ = last.model_inputs(model, unknown)  # NaN has the effect of the threshold
    for name, stream in streams.items():
        torch.testing.assert_close(as_array[name], stream, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        assert model(streams, bodies).isfinite().all()


def test_a_teacher_takes_missing_joints_too(incomplete: Path) -> None:
    model = last.create_model(
        "small", num_classes=3, channels=[8, 8], blocks=[1, 1], temporal=["convolution"] * 2
    ).eval()
    config = tiny_run(incomplete, incomplete.parent / "none").data
    joints = torch.randn(2, 2, 8, 25, 3)
    joints[torch.rand(2, 2, 8, 25) < 0.2] = torch.nan
    with torch.no_grad():
        _, found, _ = network_of(model, config, 8)(joints)
    assert found.isfinite().all()
