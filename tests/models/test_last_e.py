"""LAST-E against plain references of its mathematics."""

import torch
from model_probes import opened
from torch import nn

from last.models.channel_major import channels_first
from last.models.last_e import DirectionalGCNConv, LastEConfig, MultiScaleTCN, StreamFusion
from last.models.multi_body import STREAMS
from last.skeleton import adjacency_subsets, load_layout


def as_usual(x: torch.Tensor) -> torch.Tensor:
    """(C, T, B, V) -> (B, C, T, V)."""
    return x.permute(2, 0, 1, 3)


def test_directional_convolution_equals_three_blended_aggregations() -> None:
    layer = opened(DirectionalGCNConv(torch.from_numpy(adjacency_subsets(load_layout("ntu25"))), 6, 10)).double()
    x = torch.randn(2, 6, 5, 25, dtype=torch.float64)
    blend = layer.alpha.softmax(dim=0)
    aggregates = [x @ layer.adjacency[subset].double() for subset in range(3)]
    blended = sum(blend[subset][None, :, None, None] * aggregates[subset] for subset in range(3))
    expected = torch.einsum("oc,bctv->botv", layer.project.weight[:, :, 0, 0], blended)
    torch.testing.assert_close(as_usual(layer(channels_first(x))), expected)


def test_stream_fusion_equals_stems_run_one_by_one_and_blended() -> None:
    fusion = opened(StreamFusion(3, 8)).double().eval()
    nn.init.normal_(fusion.norm.running_mean)
    streams = {name: torch.randn(2, 3, 5, 25, dtype=torch.float64) for name in STREAMS}
    blend = fusion.alpha.softmax(dim=0)
    lifted = [torch.relu(fusion.norm(fusion.stem(fusion.input_norms[name](streams[name])))) for name in STREAMS]
    expected = sum(blend[index][None, :, None, None] * lifted[index] for index in range(3))
    torch.testing.assert_close(as_usual(fusion(streams)), expected)


def test_multi_scale_convolution_equals_two_separate_halves() -> None:
    config = LastEConfig()
    layer = MultiScaleTCN(8, stride=2, config=config).double().eval()
    x = torch.randn(2, 8, 12, 5, dtype=torch.float64)
    halves = []
    for index, dilation in enumerate(config.dilations):
        part = slice(4 * index, 4 * index + 4)
        half = torch.relu(layer.norm_in(x))[:, part]
        weight = layer.depthwise[index].weight
        half = nn.functional.conv2d(
            half, weight, stride=(2, 1), padding=(4 * dilation, 0), dilation=(dilation, 1), groups=4
        )
        halves.append(nn.functional.conv2d(half, layer.pointwise.weight[part]))
    torch.testing.assert_close(as_usual(layer(channels_first(x))), layer.norm_out(torch.cat(halves, dim=1)))
