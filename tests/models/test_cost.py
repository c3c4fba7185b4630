"""The cost of models, checked by hand where a hand can."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import last
from last.models.cost import Workload, _peak_bytes, _saved_bytes, count_multiply_adds, measure_cost, random_streams


class OneTensor(nn.Module):
    """Feed one stream to a module that takes a tensor (B, C, T, V)."""

    def __init__(self, inner: nn.Module, channels: int) -> None:
        super().__init__()
        self.inner, self.channels = inner, channels

    def forward(self, streams: dict[str, torch.Tensor]) -> torch.Tensor:
        joint = streams["joint"][0, :1, :, None, :, 0]  # (1, T, 1, V)
        return self.inner(joint.repeat(self.channels, 1, 1, 1))


def test_multiply_adds_of_a_block_equal_the_hand_count() -> None:
    channels, frames, joints, kernel = 24, 64, 25, 9
    block = last.create_model("nano_e").blocks[1]  # stride 1, no attention
    places = frames * joints
    blend = 3 * channels * joints * joints  # the adjacency of every channel, from three subsets
    aggregate = channels * places * joints
    project = channels * channels * places
    depthwise = kernel * channels * places
    pointwise = channels * (channels // 2) * places
    counted = count_multiply_adds(OneTensor(block.eval(), channels), random_streams(Workload()))
    assert counted == blend + aggregate + project + depthwise + pointwise


def test_two_bodies_cost_twice_the_features_of_one() -> None:
    model = last.create_model("nano_e").eval()
    one, two = (count_multiply_adds(model, random_streams(Workload(bodies=bodies))) for bodies in (1, 2))
    assert 1.9 < two / one < 2.0


def test_saved_and_peak_bytes_of_a_known_chain() -> None:
    class Chain(nn.Module):
        def forward(self, streams: dict[str, torch.Tensor]) -> torch.Tensor:
            x = streams["joint"] * streams["bone"].requires_grad_()  # keeps joint
            return x.sigmoid().sum()  # keeps its own result

    streams = random_streams(Workload())
    size = streams["joint"].nbytes
    assert _saved_bytes(Chain(), streams) == 2 * size
    with torch.no_grad():
        assert 2 * size <= _peak_bytes(Chain(), streams) <= 2 * size + 64


def test_cost_names_the_model_and_its_parameters() -> None:
    cost = measure_cost("nano_e", Workload(frames=16))
    assert (cost.model, cost.parameters, cost.threads) == ("nano_e", 92_358, torch.get_num_threads())
    assert cost.latency_ms > 0
    assert 0 < cost.inference_mib < cost.training_mib


def test_command_writes_the_table_as_csv_and_json(cli: Callable[..., Any], tmp_path: Path) -> None:
    files = ["--csv", tmp_path / "cost.csv", "--json", tmp_path / "cost.json"]
    result = cli("cost", "--model", "nano_e", "--frames", 16, "--layout", "kinect20", *files)
    assert result.code == 0
    assert "one clip of kinect20, 16 frames, 1 body" in result.out
    assert (tmp_path / "cost.csv").read_text().startswith("model,parameters,multiply_adds,")
    written = json.loads((tmp_path / "cost.json").read_text())
    assert written["workload"]["frames"] == 16
    assert written["costs"][0]["model"] == "nano_e"


@pytest.mark.parametrize("arguments", [["--frames", 0], ["--threads", -1], ["--layout", "ntu26"], ["--model", "nano"]])
def test_impossible_workloads_are_refused(cli: Callable[..., Any], arguments: list[object]) -> None:
    result = cli("cost", *arguments)
    assert result.code == 2
    assert result.err.count("\n") == 1


def test_a_model_of_ones_own_is_measured_by_its_path(cli: Callable[..., Any], tmp_path: Path) -> None:
    sizes = "channels: [8], blocks: [1], attention: [false]"
    (tmp_path / "tiny_e.yaml").write_text(f"model: {{family: last_e, {sizes}}}")
    result = cli("cost", "--model", tmp_path / "tiny_e.yaml", "--frames", 8, "--json", tmp_path / "cost.json")
    assert result.code == 0, result.err
    assert json.loads((tmp_path / "cost.json").read_text())["costs"][0]["model"] == "tiny_e"
