"""Layers that both families use."""

from typing import Any

import pytest
import torch
from model_probes import opened, random_streams
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import last
from last.models import layers
from last.models.channel_major import channels_first, project
from last.models.layers import (
    Block,
    BlockSize,
    JointGate,
    STJointAttention,
    block_sizes,
    drop_path_rates,
    keep_paths,
    recomputed,
)
from last.models.registry import count_parameters
from last.utils.errors import UserError


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


TINY = {"nano_e": {"channels": [8, 16, 16]}, "small": {"channels": [8, 8, 16], "blocks": [1, 1, 1], "heads": 4}}


def test_dropped_paths_are_zero_for_whole_bodies_and_the_others_keep_the_expectation() -> None:
    x = torch.rand(3, 4, 2000, 5) + 1
    found = keep_paths(x, 0.25)
    dropped = (found == 0).all(dim=3).all(dim=1).all(dim=0)  # (B,)
    assert 0.22 < float(dropped.float().mean()) < 0.28
    torch.testing.assert_close(found[:, :, ~dropped], x[:, :, ~dropped] / 0.75)


def test_the_probability_of_dropping_a_path_grows_from_the_first_block_to_the_last() -> None:
    assert drop_path_rates(0.3, 4) == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert drop_path_rates(0.3, 1) == [0.0]
    rates = [each.drop_path for each in last.create_model("nano_e", drop_path=0.2).modules() if isinstance(each, Block)]
    assert rates == drop_path_rates(0.2, len(rates)) and len(rates) > 2


def test_a_body_whose_path_is_dropped_skips_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    (*_, block) = (each for each in last.create_model("nano_e", drop_path=0.5).modules() if isinstance(each, Block))
    x = torch.randn(block.temporal.norm_in.num_features, 8, 4, 25).relu()
    monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.tensor([0.1, 0.6, 0.4999, 0.5]))
    found = block.train()(x)
    assert torch.equal(found[:, :, [0, 2]], x[:, :, [0, 2]])
    assert not torch.allclose(found[:, :, [1, 3]], x[:, :, [1, 3]])


@pytest.mark.parametrize("name", TINY)
def test_dropped_paths_change_training_alone_and_have_no_parameters(name: str) -> None:
    torch.manual_seed(0)
    plain = last.create_model(name, **TINY[name])
    torch.manual_seed(0)
    dropping = last.create_model(name, **TINY[name], drop_path=0.9)
    assert count_parameters(plain) == count_parameters(dropping)
    assert plain.state_dict().keys() == dropping.state_dict().keys()
    streams = random_streams()
    assert torch.equal(plain.eval()(streams), dropping.eval()(streams))
    torch.manual_seed(1)
    trained = plain.train()(streams)
    torch.manual_seed(1)
    assert not torch.equal(trained, dropping.train()(streams))


def test_recomputed_blocks_drop_the_same_paths_again() -> None:
    gradients = []
    streams = random_streams(clips=4)
    for recompute in (False, True):
        torch.manual_seed(0)
        model = last.create_model("small", **TINY["small"], drop_path=0.6, recompute=recompute, block_dropout=0.0)
        torch.manual_seed(3)
        model.train()(streams).sum().backward()
        gradients.append([each.grad for each in model.parameters() if each.grad is not None])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, again)


@pytest.mark.parametrize("value", [-0.1, 0.95, 1])
def test_an_impossible_probability_of_dropping_a_path_is_refused(value: float) -> None:
    with pytest.raises(UserError, match="drop_path"):
        last.create_model("nano_e", drop_path=value)
