"""The stream `partner`: where the others are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY
from torch import Tensor

import last
from last.data.loading.added_streams import AddedStreams
from last.data.loading.streams import derive_streams
from last.skeleton import load_layout

LAYOUT = load_layout("sbu15")


def partner(joint: Tensor, frame_mask: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the stream of joints (N, C, T, V, M), present by `frame_mask` (N, M, T)."""
    streams = derive_streams(joint, frame_mask[..., None] if mask is None else mask, LAYOUT)
    return AddedStreams({"partner": {}})(streams, frame_mask, LAYOUT, mask)["partner"]


def test_it_is_the_way_to_the_same_joint_of_the_other_body() -> None:
    joint = torch.randn(2, 3, 4, 15, 2)
    found = partner(joint, torch.ones(2, 2, 4, dtype=torch.bool))
    torch.testing.assert_close(found[..., 0], joint[..., 1] - joint[..., 0])
    torch.testing.assert_close(found[..., 1], -found[..., 0])


def test_it_is_zero_in_frames_without_another_body() -> None:
    joint, present = torch.randn(1, 3, 4, 15, 2), torch.ones(1, 2, 4, dtype=torch.bool)
    present[0, 1, 2] = False
    joint[:, :, 2, :, 1] = 0.0
    found = partner(joint, present)
    assert not found[:, :, 2].any()
    assert found[:, :, [0, 1, 3]].all()
    assert not partner(joint[..., :1], present[:, :1]).any(), "one body alone"


def test_of_three_bodies_the_others_are_averaged() -> None:
    joint = torch.randn(1, 3, 4, 15, 3)
    found = partner(joint, torch.ones(1, 3, 4, dtype=torch.bool))
    torch.testing.assert_close(found[..., 0], joint[..., 1:].mean(-1) - joint[..., 0])


def test_a_missing_joint_is_no_position() -> None:
    joint, mask = torch.randn(1, 3, 4, 15, 2), torch.ones(1, 2, 4, 15, dtype=torch.bool)
    mask[0, 1, :, 5] = False
    joint[:, :, :, 5, 1] = 0.0
    found = partner(joint, mask.any(-1), mask)
    assert not found[:, :, :, 5].any()
    assert found[:, :, :, 6].all()


def test_a_joint_at_the_origin_is_a_position() -> None:
    joint, mask = torch.randn(1, 3, 4, 15, 2), torch.ones(1, 2, 4, 15, dtype=torch.bool)
    joint[:, :, 0, LAYOUT.center, 0] = 0.0  # of the first body in the first frame, as in every prepared data set
    mask[0, 0, 2, 5] = False
    found = partner(joint, mask.any(-1), mask)
    torch.testing.assert_close(found[:, :, 0, LAYOUT.center, 1], -joint[:, :, 0, LAYOUT.center, 1])
    assert not found[:, :, 2, 5].any(), "missing beside frames in which it was measured"


def test_turning_the_clip_turns_it_too() -> None:
    joint, present = torch.randn(1, 3, 4, 15, 2), torch.ones(1, 2, 4, dtype=torch.bool)
    turn = torch.linalg.qr(torch.randn(3, 3)).Q
    turned = torch.einsum("ij,njtvm->nitvm", turn, joint)
    torch.testing.assert_close(partner(turned, present), torch.einsum("ij,njtvm->nitvm", turn, partner(joint, present)))


@pytest.mark.parametrize("model", ["nano_e", "small"])
def test_a_model_reads_it(model: str) -> None:
    found = last.create_model(model, num_classes=3, added_streams={"partner": {}})
    assert found.streams == ("joint", "velocity", "bone", "partner")


@pytest.mark.long
def test_an_exported_model_derives_it_alike(cli: Callable[..., Any], data_yaml: Path, tmp_path: Path) -> None:
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", tmp_path / "runs")
    always = ("--model", "nano_e", "--dataset", data_yaml, "--epochs", 1, *roots)
    done = cli("train", *always, "--set", *TINY, "model.added_streams.partner={}")
    assert done.code == 0, done.err
    (run,) = (tmp_path / "runs").glob("run-*")
    exported = cli("export", "--checkpoint", run, "--format", "onnx", "--out", tmp_path / "files", *roots)
    assert exported.code == 0, exported.err
    assert "Compared with the checkpoint on" in exported.out
