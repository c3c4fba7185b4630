"""LAST-E: students of 92K to 644K parameters that process joints, velocities and bones in one backbone.

The three streams share a 1x1 stem and are blended per channel before the backbone runs once, so that
multi-stream fusion costs a stem and not two more networks. A block mixes joints with one directed adjacency per
channel, lets joints attend to each other in the stages that ask for it, then mixes frames with dilated depthwise
convolutions, each of a part of the channels. Unlike in ST-GCN and its successors, the three graph
subsets are blended by learned softmax weights before a single projection, instead of having one projection each.

Legend: N clips, M bodies, B = N*M folded bodies, S streams (3, and those that were added), K graph subsets
(3, and those that were added), C channels, T frames, V joints, D features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, cast

import torch
from torch import Tensor, nn

from ..settings.model import OF_TRAINING, SWITCH, ModelConfig, StageSizes, check_stages
from ..skeleton import Layout, adjacency_subsets
from ..utils.errors import UserError
from ..utils.limits import Interval, Lengths
from .channel_major import mix_joints, normalise, normalise_and_filter, normalise_input, project
from .classifier import BodyFeatures, SkeletonClassifier
from .layers import Block, BlockSize, FrameMixing, Stages, STJointAttention, block_sizes, drop_path_rates
from .multi_body import STREAMS, streams_of
from .stem import can_lift, lift
from .wide_streams import WideStreams

_BONE_SUBSETS = 3
_ADDED_BLEND = -2.0  # where the blend of an added graph subset starts, see `DirectionalGCNConv`


@dataclass
class LastEConfig(ModelConfig):
    """Sizes of a LAST-E network.

    Attributes:
        channels: the width of each stage.
        blocks: the number of blocks in each stage.
        attention: whether the blocks of each stage have joint attention.
        kernel_frames: the length of the temporal kernels.
        dilations: the dilation of each temporal branch.
        block_dropout, dropout: dropout in each block's temporal part, and before the classifier.
        drop_path: the probability with which a body skips the last block in training; it grows linearly from 0 in the
            first one. 0 disables it.
        graph_subsets: fixed graph subsets in addition to the three of the bones: `mirror`, `two_hops`, `ends`.
        learned_adjacency: whether each block adds a learned adjacency to the blended one of every channel.
        joint_embedding: whether a learned vector of each joint is added to its features before the first block.
        stream_channels: `plain` streams of one channel per coordinate, or `wide` ones of two, see `WideStreams`.
    """

    family: str = "last_e"
    channels: StageSizes = field(default_factory=list)
    blocks: StageSizes = field(default_factory=list)
    attention: list[bool] = field(default_factory=list)
    kernel_frames: Annotated[int, Interval(ge=1, le=63)] = 9
    dilations: Annotated[list[Annotated[int, Interval(ge=1, le=64)]], Lengths((1, 2, 3, 4))] = field(
        default_factory=lambda: [1, 2]
    )
    block_dropout: Annotated[float, Interval(ge=0.0, le=0.9)] = field(default=0.1, metadata=OF_TRAINING)
    dropout: Annotated[float, Interval(ge=0.0, le=0.9)] = field(default=0.3, metadata=OF_TRAINING)
    drop_path: Annotated[float, Interval(ge=0.0, le=0.9)] = field(default=0.0, metadata=OF_TRAINING)
    graph_subsets: list[Literal["mirror", "two_hops", "ends"]] = field(default_factory=list, metadata=SWITCH)
    learned_adjacency: bool = field(default=False, metadata=SWITCH)
    joint_embedding: bool = field(default=False, metadata=SWITCH)
    stream_channels: Literal["plain", "wide"] = field(default="plain", metadata=SWITCH)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stages(self.kernel_frames, channels=self.channels, blocks=self.blocks, attention=self.attention)
        for channels in self.channels:
            if channels % len(self.dilations):
                raise UserError(
                    f"channels: {channels} should divide into {len(self.dilations)} equal parts, one for each of the "
                    f"dilations {self.dilations}."
                )
        if len(set(self.graph_subsets)) < len(self.graph_subsets):
            raise UserError(f"graph_subsets: {self.graph_subsets} should have each subset once.")
        if self.stream_channels == "wide" and (read := streams_of(self)) != STREAMS:
            usual = ["model.added_streams={}"] if self.added_streams else []
            usual += [f"model.streams=[{','.join(STREAMS)}]"] if tuple(self.streams) != STREAMS else []
            raise UserError(
                f"stream_channels: wide channels are those of {', '.join(STREAMS)}, and the model reads "
                f"{', '.join(read)}. Set model.stream_channels=plain, or {' and '.join(usual)}."
            )


class StreamFusion(nn.Module):
    """Lift the streams with one shared stem and blend them per channel.

    The streams pass the stem stacked in one batch, so that its BatchNorm sees the same mixture of them in training
    and in evaluation.

    A learned embedding (C, V) of the joints may be added to the blend. It tells projections and frame filters, which
    treat every joint alike, which joint they see. SGN (Zhang et al., CVPR 2020) embeds the type of each joint for that;
    here there is one vector per joint without layers, and it starts at zero. Missing joints get it too.

    Args:
        coordinates: the channels of each stream.
        channels: C.
        streams: the names.
        embedded_joints: V, if there is an embedding; 0 for none.
    """

    joint_embedding: nn.Parameter | None

    def __init__(
        self, coordinates: int, channels: int, streams: Sequence[str] = STREAMS, embedded_joints: int = 0
    ) -> None:
        super().__init__()
        self.input_norms = nn.ModuleDict({name: nn.BatchNorm2d(coordinates) for name in streams})
        self.stem = nn.Conv2d(coordinates, channels, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.alpha = nn.Parameter(torch.zeros(len(streams), channels))
        embedding = torch.zeros(channels, embedded_joints)
        self.joint_embedding = nn.Parameter(embedding) if embedded_joints else None

    def forward(self, streams: Mapping[str, Tensor], masks: Mapping[str, Tensor] = {}) -> Tensor:
        """(B, coordinates, T, V) per stream, and (B, T, V) where joints may be missing -> (C, T, B, V)."""
        blended = self.blended(streams, masks)
        if self.joint_embedding is None:
            return blended
        return blended + self.joint_embedding.to(blended.dtype)[:, None, None]

    def blended(self, streams: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Tensor:
        """Return the blend of the lifted streams, without an embedding; shapes are those of `forward`."""
        norms = cast(list[nn.BatchNorm2d], list(self.input_norms.values()))
        given, measured = [streams[name] for name in self.input_norms], [masks.get(name) for name in self.input_norms]
        if can_lift(norms, self.stem, self.norm, given):
            return lift(norms, self.stem, self.norm, given, measured, self.alpha.softmax(dim=0))
        normed = [normalise_input(*each) for each in zip(norms, given, measured, strict=True)]
        stacked = torch.cat(normed, dim=1)  # (coordinates, S*T, B, V)
        lifted = normalise(self.norm, project(self.stem, stacked), relu=True)  # (C, S*T, B, V)
        weights = self.alpha.softmax(dim=0).to(lifted.dtype)[:, :, None, None, None]  # (S, C, 1, 1, 1)
        first, *others = lifted.chunk(len(normed), dim=1)
        blended = first * weights[0]
        for stream, weight in zip(others, weights[1:], strict=True):
            blended = torch.addcmul(blended, stream, weight)
        return blended


class DirectionalGCNConv(nn.Module):
    """Mix joints along the graph subsets, blended per channel, then project the channels.

    Blending the aggregates of the subsets equals aggregating once with the blended adjacency, one (V, V) matrix per
    channel, so that the features are read once and not once per subset.

    Added subsets are blended by the same softmax. They start with `alpha_added` at -2 and not at 0: a new layer then
    mixes joints nearly as without them, along bones (one added subset has 4 % of the weight, three have 12 %), and
    their weights still have a gradient, which a softmax scales with the weight itself.

    A learned adjacency, one for all channels, may be added to the blended one, as 2s-AGCN (Shi et al., CVPR 2019) adds
    its matrices B to the fixed ones. It starts at zero and may have negative entries.

    Args:
        adjacency: (K, V, V), the three subsets of the bones and then the added ones.
        in_channels, out_channels: C and C'.
        learned: whether there is a learned adjacency.
    """

    adjacency: Tensor
    alpha_added: nn.Parameter | None
    A_learned: nn.Parameter | None

    def __init__(self, adjacency: Tensor, in_channels: int, out_channels: int, learned: bool = False) -> None:
        super().__init__()
        added = len(adjacency) - _BONE_SUBSETS
        self.register_buffer("adjacency", adjacency, persistent=False)  # (K, V, V)
        self.alpha = nn.Parameter(torch.zeros(_BONE_SUBSETS, in_channels))
        self.alpha_added = nn.Parameter(torch.full((added, in_channels), _ADDED_BLEND)) if added else None
        self.A_learned = nn.Parameter(torch.zeros(adjacency.shape[1:])) if learned else None
        self.project = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)

    def blended_adjacency(self) -> Tensor:
        """Return the adjacency of every channel (C, V, V)."""
        alpha = self.alpha if self.alpha_added is None else torch.cat([self.alpha, self.alpha_added])
        blended = torch.einsum("kc,kvw->cvw", alpha.softmax(dim=0), self.adjacency)
        return blended if self.A_learned is None else blended + self.A_learned

    def forward(self, x: Tensor) -> Tensor:
        """(C, T, B, V) -> (C', T, B, V)."""
        return project(self.project, mix_joints(self.blended_adjacency().to(x.dtype), x))


class MultiScaleTCN(FrameMixing):
    """Mix frames at two scales: each half of the channels has its own dilation and its own projection.

    Its dropout is applied by the block, together with the residual.

    The halves' normalisations and projections are single modules over all channels (a BatchNorm is per channel, and
    a grouped 1x1 convolution is one projection per group).
    """

    def __init__(self, channels: int, stride: int, config: LastEConfig) -> None:
        super().__init__()
        branches = len(config.dilations)
        width = channels // branches
        self.norm_in = nn.BatchNorm2d(channels)
        self.depthwise = nn.ModuleList(
            nn.Conv2d(
                width,
                width,
                kernel_size=(config.kernel_frames, 1),
                stride=(stride, 1),
                padding=((config.kernel_frames - 1) // 2 * dilation, 0),
                dilation=(dilation, 1),
                groups=width,
                bias=False,
            )
            for dilation in config.dilations
        )
        self.pointwise = nn.Conv2d(channels, channels, kernel_size=1, groups=branches, bias=False)
        self.norm_out = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(config.block_dropout)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """Return the BatchNorm of the result."""
        return self.norm_out

    def mixed(self, x: Tensor) -> Tensor:
        """(C, T, B, V) -> (C, T / stride, B, V)."""
        return project(self.pointwise, normalise_and_filter(self.norm_in, self.depthwise, x))


class LastE(SkeletonClassifier):
    """Classify a clip from its joint, velocity and bone streams, or some of them, with one backbone.

    Args:
        config: the sizes.
        layout: the joint layout of the input.
        num_classes: the number of classes.
    """

    def __init__(self, config: LastEConfig, layout: Layout, num_classes: int) -> None:
        super().__init__(layout, num_features=config.channels[-1], streams=streams_of(config))
        adjacency = torch.from_numpy(adjacency_subsets(layout, config.graph_subsets))
        sizes = block_sizes(config.channels, config.blocks)
        self.widen = WideStreams(layout) if config.stream_channels == "wide" else None
        coordinates = layout.coordinates * (1 if self.widen is None else 2)
        embedded_joints = layout.num_joints if config.joint_embedding else 0
        self.fusion = StreamFusion(coordinates, config.channels[0], self.streams, embedded_joints)
        rates = drop_path_rates(config.drop_path, len(sizes))
        blocks = [_block(size, adjacency, config, rate) for size, rate in zip(sizes, rates, strict=True)]
        self.blocks = Stages(blocks, sizes)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(self.num_features, num_classes)

    def body_features(self, streams: Mapping[str, Tensor], masks: Mapping[str, Tensor] = {}) -> BodyFeatures:
        """Return the features of single bodies; each stream is (B, C, T, V), its mask (B, T, V)."""
        if self.widen is not None:
            streams, masks = self.widen(streams, masks)
        return BodyFeatures.of(self.blocks(self.fusion(streams, masks)))


def _block(size: BlockSize, adjacency: Tensor, config: LastEConfig, drop_path: float) -> Block:
    """Build one block: its joint mixing, attention if its stage has it, its frame mixing."""
    return Block(
        size,
        spatial=DirectionalGCNConv(adjacency, size.in_channels, size.channels, config.learned_adjacency),
        attention=STJointAttention(size.channels) if config.attention[size.stage] else nn.Identity(),
        temporal=MultiScaleTCN(size.channels, size.stride, config),
        drop_path=drop_path,
    )
