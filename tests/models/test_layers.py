"""Layers that both families use."""

from typing import Any

import pytest
import torch
from model_probes import opened
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from last.models import layers
from last.models.channel_major import channels_first, project
from last.models.layers import BlockSize, JointGate, STJointAttention, block_sizes, recomputed


def test_later_stages_widen_and_halve_time_in_their_first_block() -> None:
    assert block_sizes([24, 48], [1, 2]) == [BlockSize(0, 24, 24, 1), BlockSize(1, 24, 48, 2), BlockSize(1, 48, 48, 1)]


def test_new_joint_attention_is_the_identity() -> None:
    x = torch.randn(16, 6, 2, 25)
    torch.testing.assert_close(STJointAttention(16)(x), x)


def test_joint_attention_follows_its_formula() -> None:
    layer = opened(STJointAttention(16)).double().eval()
    x = torch.randn(2, 16, 6, 25, dtype=torch.float64)
    gates = layer.frame_gate(x.mean(3, keepdim=True)) * layer.joint_gate(x.mean(2, keepdim=True))
    expected = x + layer.alpha[:, None, None] * (x * gates - x)
    torch.testing.assert_close(layer(channels_first(x)), channels_first(expected))


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm])
def test_recomputing_moves_the_statistics_of_every_batch_norm_once(kind: type[nn.Module]) -> None:
    x = torch.randn(6, 4, *(3,) * {nn.BatchNorm1d: 1, nn.BatchNorm3d: 3}.get(kind, 2), requires_grad=True)
    once, again = kind(4), kind(4)
    once(x)
    recomputed(again, x).sum().backward()
    for ours, plain in zip(again.buffers(), once.buffers(), strict=True):
        assert torch.equal(ours, plain)


class Counting(TorchDispatchMode):
    """Count the operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        self.names.append(function.overloadpacket.__name__)
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize("groups", [1, 2])
def test_the_gradient_of_a_projection_is_not_copied_into_zeros(groups: int) -> None:
    x = torch.randn(8, 4, 2, 5, requires_grad=True)
    total = project(nn.Conv2d(8, 8, kernel_size=1, groups=groups, bias=False), x).sum()
    with Counting() as counted:
        total.backward()
    assert not {"select_backward", "slice_backward", "zeros", "new_zeros", "copy_"} & set(counted.names)


def test_a_gate_takes_several_bodies_apart_on_a_gpu_too(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = JointGate(8, 4)
    x = torch.randn(3, 8, 5, 1)
    expected = gate(x)
    monkeypatch.setattr(layers, "can_normalise_rows", lambda _norm, _x: True)  # as on a GPU
    torch.testing.assert_close(gate(x), expected)
