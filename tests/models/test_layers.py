"""Layers that both families use."""

import torch
from model_probes import opened

from last.models.channel_major import channels_first
from last.models.layers import BlockSize, STJointAttention, block_sizes


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
