"""LAST-v2: teachers of 4.8M to 14M parameters, one backbone per stream, whose logits are summed.

A block mixes joints over K + 2 adjacencies, each with its own projection: the K physical subsets of ST-GCN (Yan
et al., AAAI 2018), `A_learned`, which all clips share, and one that each clip derives from itself (both after 2s-AGCN,
Shi et al., CVPR 2019). Then `ST_JointAtt` weights frames and joints. Frames are mixed by a depthwise-separable
convolution in the first two stages and by linear attention (Katharopoulos et al., ICML 2020) in the last. Differences
from these: the per-clip adjacency compares joints by cosine and has a gate that starts at zero; the K + 2
projections are one matrix product; and since attention alone ignores the order of frames, a depthwise convolution
of its values is added.

The budget: a block of C channels has (K + 2) C^2 parameters in its projections, C^2 in joint attention, C^2 / 8 for
comparing joints, and C^2 in a separable convolution or 4 C^2 in linear attention: about 7.1 C^2 or 10.1 C^2.
With the channels and blocks given, three backbones of such blocks have 4.8M, 9.3M and 14.1M.

Legend: N clips, B folded bodies, K physical subsets (3), C channels, T frames, V joints, H heads, E channels of a
head, D features.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..settings.model import OF_TRAINING, ModelConfig, StageSizes, check_stages
from ..skeleton import Layout, adjacency_subsets
from ..utils.errors import UserError
from ..utils.limits import Interval
from .channel_major import filter_frames, normalise, normalise_input, project
from .classifier import BodyFeatures, SkeletonClassifier
from .gpu_kernels import on_trial
from .gpu_products import mix_subsets
from .layers import Block, BlockSize, FrameMixing, Stages, STJointAttention, block_sizes, drop_path_rates, widened
from .multi_body import streams_of
from .stem import can_lift, lift

_SMALL = 1e-6  # keeps a division by zero finite


@dataclass
class LastV2Config(ModelConfig):
    """Sizes of a LAST-v2 network.

    Attributes:
        channels: the width of each stage.
        blocks: the number of blocks in each stage.
        temporal: how each stage mixes frames, `convolution` or `attention`.
        kernel_frames: the length of the temporal kernels, odd.
        heads: the number of heads of linear attention.
        similarity_reduction: the factor by which channels are reduced for comparing joints.
        similarity_temperature: the divisor of the cosines before the softmax; a smaller one is sharper.
        block_dropout: the share of whole channels dropped after each block's temporal part.
        dropout: the share of features dropped before the classifier.
        drop_path: the probability with which a body skips the last block of a backbone in training; it grows linearly
            from 0 in the first one. 0 disables it.
        recompute: recompute each block's features in the backward pass instead of storing them.
    """

    family: str = "last_v2"
    channels: StageSizes = field(default_factory=list)
    blocks: StageSizes = field(default_factory=list)
    temporal: list[Literal["convolution", "attention"]] = field(default_factory=list)
    kernel_frames: Annotated[int, Interval(ge=1, le=63)] = 9
    heads: Annotated[int, Interval(ge=1, le=256)] = 16
    similarity_reduction: Annotated[int, Interval(ge=1, le=64)] = 8
    similarity_temperature: Annotated[float, Interval(ge=0.01, le=10.0)] = 0.25
    block_dropout: Annotated[float, Interval(ge=0.0, le=0.9)] = field(default=0.1, metadata=OF_TRAINING)
    dropout: Annotated[float, Interval(ge=0.0, le=0.9)] = field(default=0.3, metadata=OF_TRAINING)
    drop_path: Annotated[float, Interval(ge=0.0, le=0.9)] = field(default=0.0, metadata=OF_TRAINING)
    recompute: bool = field(default=False, metadata=OF_TRAINING)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stages(self.kernel_frames, channels=self.channels, blocks=self.blocks, temporal=self.temporal)
        for channels, kind in zip(self.channels, self.temporal, strict=True):
            if kind == "attention" and channels % self.heads:
                raise UserError(f"heads: {self.heads} should divide the {channels} channels of a stage with attention.")


class JointSimilarity(nn.Module):
    """Derive an adjacency from each body, from the similarity of its joints' features.

    The features, averaged over frames, are projected and normalised, since raw features are nearly all positive and
    would make every cosine large. A softmax over source joints gives each column the sum one, as the whole physical
    adjacency has it.
    """

    def __init__(self, in_channels: int, config: LastV2Config) -> None:
        super().__init__()
        width = max(in_channels // config.similarity_reduction, 4)
        self.project = nn.Conv2d(in_channels, width, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.temperature = config.similarity_temperature

    def forward(self, x: Tensor) -> Tensor:
        """(C, T, B, V) -> (B, V, V), in float32 if `x` is narrower."""
        projected = normalise(self.norm, project(self.project, x.mean(dim=1).unsqueeze(1)))  # (C / reduction, 1, B, V)
        directions = functional.normalize(widened(projected.squeeze(1)), dim=0, eps=_SMALL)
        cosines = torch.einsum("cbv,cbw->bvw", directions, directions)
        return (widened(cosines) / self.temperature).softmax(dim=1)


class AdaptiveGCNConv(nn.Module):
    """Mix joints along K + 2 adjacencies, each with its own projection of the channels.

    All projections are one 1x1 convolution; for the fixed adjacencies nothing has to be stored. `A_learned` and
    `alpha`, the gate of the body's own adjacency, start at zero: a new network uses only the physical skeleton.
    """

    adjacency: Tensor

    def __init__(self, adjacency: Tensor, in_channels: int, out_channels: int, config: LastV2Config) -> None:
        super().__init__()
        subsets, joints, _ = adjacency.shape
        self.register_buffer("adjacency", adjacency, persistent=False)  # (K, V, V)
        self.A_learned = nn.Parameter(torch.zeros(joints, joints))
        self.similarity = JointSimilarity(in_channels, config)
        self.alpha = nn.Parameter(torch.zeros(1))
        self.project = nn.Conv2d(in_channels, (subsets + 2) * out_channels, kernel_size=1, bias=False)

    def own_adjacency(self, x: Tensor) -> Tensor:
        """Return the gated adjacency that each body derives from itself: (C, T, B, V) -> (B, V, V)."""
        adjacency: Tensor = self.alpha * self.similarity(x)
        return adjacency

    def forward(self, x: Tensor) -> Tensor:
        """(C, T, B, V) -> (C', T, B, V)."""
        everything = project(self.project, x)
        if on_trial("subsets"):
            fixed = torch.cat([self.adjacency, self.A_learned[None]])
            return mix_subsets(everything, fixed.to(everything), self.own_adjacency(x).to(everything))
        projected = everything.chunk(len(self.adjacency) + 2)  # each (C', T, B, V)
        *shared, own = (each.flatten(0, 1) for each in projected)
        adjacencies = [*self.adjacency.to(own.dtype), self.A_learned.to(own.dtype)]
        mixed = shared[0].flatten(0, 1) @ adjacencies[0]  # (C'*T*B, V)
        for rows, adjacency in zip(shared[1:], adjacencies[1:], strict=True):
            mixed = torch.addmm(mixed, rows.flatten(0, 1), adjacency)
        by_body = torch.bmm(own.transpose(0, 1), self.own_adjacency(x).to(own.dtype))  # (B, C'*T, V)
        total: Tensor = mixed.view(own.shape) + by_body.transpose(0, 1)
        return total.view(projected[0].shape)


class SeparableTCN(FrameMixing):
    """Mix frames with a depthwise-separable convolution."""

    def __init__(self, channels: int, stride: int, config: LastV2Config) -> None:
        super().__init__()
        self.depthwise = _depthwise(channels, stride, config)
        self.pointwise = nn.Conv2d(channels, channels, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout2d(config.block_dropout)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """Return the BatchNorm of the result."""
        return self.norm

    def mixed(self, x: Tensor) -> Tensor:
        """(C, T, B, V) -> (C, T / stride, B, V)."""
        return project(self.pointwise, filter_frames([self.depthwise], x))


def linear_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attend over frames with the kernel elu + 1 in place of a softmax, in time linear in the frames.

    A frame t takes `sum_s (q_t . k_s) v_s / sum_s (q_t . k_s)` with q and k behind the kernel (Katharopoulos et al.,
    ICML 2020, equation 9). With k' the sum of the keys over frames this is `sum_e w_te c_e`, where `c_e = sum_s
    (k_se / k'_e) v_s` is formed once for all t and `w_te = q_te k'_e / (q_t . k')`. Both are averages, so that nothing
    overflows where the products run in half precision; the weights of the averages are computed in float32 at least.

    Args:
        queries: (H, E, T', B, V).
        keys, values: (H, E, T, B, V).

    Returns:
        (H, E, T', B, V), of the type of `values`.
    """
    queries, keys = functional.elu(widened(queries)) + 1, functional.elu(widened(keys)) + 1
    sums = keys.sum(dim=2, keepdim=True)  # (H, E, 1, B, V)
    over_frames = keys / sums.clamp(min=_SMALL)
    matches = queries * sums  # (H, E, T', B, V)
    over_channels = matches / matches.sum(dim=1, keepdim=True).clamp(min=_SMALL)
    context = torch.einsum("hetbv,hftbv->hbvef", over_frames.to(values.dtype), values)
    return torch.einsum("hetbv,hbvef->hftbv", over_channels.to(values.dtype), context)


class LinearAttentionTCN(FrameMixing):
    """Mix the frames of each joint with multi-head linear attention; a stride reduces the number of queries."""

    def __init__(self, channels: int, stride: int, config: LastV2Config) -> None:
        super().__init__()
        self.heads = config.heads
        self.queries = nn.Conv2d(channels, channels, kernel_size=1, stride=(stride, 1), bias=False)
        self.keys_values = nn.Conv2d(channels, 2 * channels, kernel_size=1, bias=False)
        self.depthwise = _depthwise(channels, stride, config)
        self.pointwise = nn.Conv2d(channels, channels, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout2d(config.block_dropout)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """Return the BatchNorm of the result."""
        return self.norm

    def mixed(self, x: Tensor) -> Tensor:
        """(C, T, B, V) -> (C, T / stride, B, V)."""
        keys, values = project(self.keys_values, x).chunk(2)  # (C, T, B, V) each
        attended = linear_attention(*(self._split(each) for each in (project(self.queries, x), keys, values)))
        return project(self.pointwise, attended.flatten(0, 1) + filter_frames([self.depthwise], values))

    def _split(self, x: Tensor) -> Tensor:
        """(C, T, B, V) -> (H, E, T, B, V)."""
        return x.reshape(self.heads, -1, *x.shape[1:])


class Backbone(nn.Module):
    """Compute features from one stream of a body."""

    def __init__(self, adjacency: Tensor, coordinates: int, config: LastV2Config) -> None:
        super().__init__()
        sizes = block_sizes(config.channels, config.blocks)
        self.input_norm = nn.BatchNorm2d(coordinates)
        self.stem = nn.Conv2d(coordinates, config.channels[0], kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(config.channels[0])
        rates = drop_path_rates(config.drop_path, len(sizes))
        blocks = [_block(size, adjacency, config, rate) for size, rate in zip(sizes, rates, strict=True)]
        self.blocks = Stages(blocks, sizes, config.recompute)

    def forward(self, stream: Tensor, mask: Tensor | None = None) -> BodyFeatures:
        """(B, coordinates, T, V), and (B, T, V) where joints may be missing -> (B, C), and the output of each stage."""
        if can_lift([self.input_norm], self.stem, self.norm, [stream]):
            return BodyFeatures.of(self.blocks(lift([self.input_norm], self.stem, self.norm, [stream], [mask])))
        x = normalise_input(self.input_norm, stream, mask)
        return BodyFeatures.of(self.blocks(normalise(self.norm, project(self.stem, x), relu=True)))


class LastV2(SkeletonClassifier):
    """Classify a clip from its joint, velocity and bone streams with one backbone per stream.

    The features of the streams are concatenated for one linear layer, which equals the sum of one head per stream.

    Args:
        config: the sizes.
        layout: the joint layout of the input.
        num_classes: the number of classes.
    """

    def __init__(self, config: LastV2Config, layout: Layout, num_classes: int) -> None:
        streams = streams_of(config)
        super().__init__(layout, num_features=len(streams) * config.channels[-1], streams=streams)
        adjacency = torch.from_numpy(adjacency_subsets(layout))
        self.backbones = nn.ModuleDict({name: Backbone(adjacency, layout.coordinates, config) for name in streams})
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(self.num_features, num_classes)

    def body_features(self, streams: Mapping[str, Tensor], masks: Mapping[str, Tensor] = {}) -> BodyFeatures:
        """Return the features of single bodies, concatenated over streams (B, C, T, V) with their masks (B, T, V)."""
        by_stream = [self.backbones[name](streams[name], masks.get(name)) for name in self.streams]
        stages = zip(*(each.stages for each in by_stream), strict=True)
        return BodyFeatures(
            torch.cat([each.features for each in by_stream], dim=1), [list(chain(*each)) for each in stages]
        )


def _block(size: BlockSize, adjacency: Tensor, config: LastV2Config, drop_path: float) -> Block:
    """Build one block, with the temporal part of its stage."""
    temporal = LinearAttentionTCN if config.temporal[size.stage] == "attention" else SeparableTCN
    return Block(
        size,
        spatial=AdaptiveGCNConv(adjacency, size.in_channels, size.channels, config),
        attention=STJointAttention(size.channels),
        temporal=temporal(size.channels, size.stride, config),
        drop_path=drop_path,
    )


def _depthwise(channels: int, stride: int, config: LastV2Config) -> nn.Conv2d:
    """Return a depthwise convolution over frames."""
    return nn.Conv2d(
        channels,
        channels,
        kernel_size=(config.kernel_frames, 1),
        stride=(stride, 1),
        padding=((config.kernel_frames - 1) // 2, 0),
        groups=channels,
        bias=False,
    )
