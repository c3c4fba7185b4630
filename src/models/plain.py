"""The models written as their formulas: one module per term, nothing fused, every body computed.

`from_fused` copies the weights of a model from `last.create_model`; the two then compute the same. The plain models are
the reference for tests and benchmarks. They are not artificially slow: this is a careful first implementation.

Legend: N clips, M bodies, B = N*M folded bodies, S streams (3 or fewer), K fixed graph subsets, C channels, T frames,
V joints, H heads, E channels of a head, D features.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .last_e import DirectionalGCNConv, LastE, MultiScaleTCN, StreamFusion
from .last_v2 import AdaptiveGCNConv, Backbone, JointSimilarity, LastV2, LinearAttentionTCN, SeparableTCN
from .layers import Block, STJointAttention


class PlainJointAttention(nn.Module):
    """Weight frames and joints: `x + alpha * (x * g_t * g_s - x)`."""

    def __init__(self, fused: STJointAttention) -> None:
        super().__init__()
        self.frame_gate, self.joint_gate = deepcopy(fused.frame_gate), deepcopy(fused.joint_gate)
        self.alpha = deepcopy(fused.alpha)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C, T, V)."""
        frame_gate = self.frame_gate(x.mean(dim=3, keepdim=True))  # (B, C, T, 1)
        joint_gate = self.joint_gate(x.mean(dim=2, keepdim=True))  # (B, C, 1, V)
        weighed: Tensor = x + self.alpha[:, None, None] * (x * frame_gate * joint_gate - x)
        return weighed


class PlainStreamFusion(nn.Module):
    """Lift each stream with the shared stem, and blend the streams with a softmax per channel.

    The stem takes the streams stacked, since its BatchNorm is defined over all of them together.
    """

    def __init__(self, fused: StreamFusion) -> None:
        super().__init__()
        self.input_norms = deepcopy(fused.input_norms)
        self.stem, self.norm = deepcopy(fused.stem), deepcopy(fused.norm)
        self.alpha, self.joint_embedding = deepcopy(fused.alpha), deepcopy(fused.joint_embedding)

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """(B, coordinates, T, V) per stream -> (B, C, T, V)."""
        normed = [norm(streams[name]) for name, norm in self.input_norms.items()]
        lifted = torch.relu(self.norm(self.stem(torch.cat(normed))))  # (S*B, C, T, V)
        weights = self.alpha.softmax(dim=0)[:, :, None, None]  # (S, C, 1, 1)
        weighted = map(torch.mul, weights, lifted.chunk(len(normed)))
        blended = next(weighted)
        for each in weighted:
            blended = blended + each
        return blended if self.joint_embedding is None else blended + self.joint_embedding[:, None]


class PlainDirectionalGCNConv(nn.Module):
    """Aggregate over each graph subset, blend the aggregates per channel, add that of the learned one, project."""

    adjacency: Tensor

    def __init__(self, fused: DirectionalGCNConv) -> None:
        super().__init__()
        self.register_buffer("adjacency", fused.adjacency.clone())  # (K, V, V)
        self.alpha, self.project = deepcopy(fused.alpha), deepcopy(fused.project)
        self.alpha_added, self.A_learned = deepcopy(fused.alpha_added), deepcopy(fused.A_learned)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C', T, V)."""
        alpha = torch.cat([each for each in (self.alpha, self.alpha_added) if each is not None])
        weights = alpha.softmax(dim=0)[:, :, None, None]  # (K, C, 1, 1)
        aggregates = [x @ adjacency for adjacency in self.adjacency]  # K of (B, C, T, V)
        mixed = sum(map(torch.mul, weights, aggregates))
        if self.A_learned is not None:
            mixed = mixed + x @ self.A_learned
        projected: Tensor = self.project(mixed)
        return projected


class PlainMultiScaleTCN(nn.Module):
    """Mix frames in separate branches, one per dilation, each on its part of the channels."""

    def __init__(self, fused: MultiScaleTCN) -> None:
        super().__init__()
        branches = len(fused.depthwise)
        width = fused.norm_in.num_features // branches
        weights = fused.pointwise.weight.chunk(branches)
        self.branches = nn.ModuleList(
            nn.Sequential(
                _norm_of(fused.norm_in, slice(width * number, width * (number + 1))),
                nn.ReLU(),
                deepcopy(depthwise),
                _projection(weights[number]),
                _norm_of(fused.norm_out, slice(width * number, width * (number + 1))),
            )
            for number, depthwise in enumerate(fused.depthwise)
        )
        self.dropout = deepcopy(fused.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C, T / stride, V)."""
        parts = x.chunk(len(self.branches), dim=1)
        mixed = torch.cat([branch(part) for branch, part in zip(self.branches, parts, strict=True)], dim=1)
        dropped: Tensor = self.dropout(mixed)
        return dropped


class PlainJointSimilarity(nn.Module):
    """Compare the joints of a body by the cosine of their projected features; a softmax over source joints."""

    def __init__(self, fused: JointSimilarity) -> None:
        super().__init__()
        self.project, self.norm = deepcopy(fused.project), deepcopy(fused.norm)
        self.temperature = fused.temperature

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, V, V)."""
        projected = self.norm(self.project(x.mean(dim=2, keepdim=True)))[:, :, 0]  # (B, C / reduction, V)
        directions = functional.normalize(projected, dim=1)
        cosines = directions.transpose(1, 2) @ directions  # (B, V, V)
        return functional.softmax(cosines / self.temperature, dim=1)


class PlainAdaptiveGCNConv(nn.Module):
    """Aggregate over K + 2 adjacencies one by one, project each aggregate separately, and sum."""

    adjacency: Tensor

    def __init__(self, fused: AdaptiveGCNConv) -> None:
        super().__init__()
        self.register_buffer("adjacency", fused.adjacency.clone())  # (K, V, V)
        self.A_learned = deepcopy(fused.A_learned)
        self.similarity = PlainJointSimilarity(fused.similarity)
        self.alpha = deepcopy(fused.alpha)
        weights = fused.project.weight.chunk(len(fused.adjacency) + 2)
        self.projections = nn.ModuleList(_projection(weight) for weight in weights)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C', T, V)."""
        adjacencies = [*self.adjacency, self.A_learned, self.alpha * self.similarity(x)]
        rows = x.flatten(1, 2)  # (B, C*T, V)
        pairs = zip(self.projections, adjacencies, strict=True)
        mixed: Tensor = sum(project((rows @ adjacency).view_as(x)) for project, adjacency in pairs)
        return mixed


class PlainSeparableTCN(nn.Module):
    """Mix frames with a depthwise convolution and a projection."""

    def __init__(self, fused: SeparableTCN) -> None:
        super().__init__()
        self.depthwise, self.pointwise = deepcopy(fused.depthwise), deepcopy(fused.pointwise)
        self.norm, self.dropout = deepcopy(fused.norm), deepcopy(fused.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C, T / stride, V)."""
        mixed: Tensor = self.dropout(self.norm(self.pointwise(self.depthwise(x))))
        return mixed


class PlainLinearAttentionTCN(nn.Module):
    """Attend over the frames of each joint with the kernel elu + 1, add the filtered values, and project.

    Equation 9 of Katharopoulos et al. (ICML 2020), without the fused layer's protection against tiny divisors.
    """

    def __init__(self, fused: LinearAttentionTCN) -> None:
        super().__init__()
        keys, values = fused.keys_values.weight.chunk(2)
        self.heads = fused.heads
        self.queries = deepcopy(fused.queries)
        self.keys, self.values = _projection(keys), _projection(values)
        self.depthwise = deepcopy(fused.depthwise)
        self.pointwise, self.norm = deepcopy(fused.pointwise), deepcopy(fused.norm)
        self.dropout = deepcopy(fused.dropout)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """(B, H, E, T', V), (B, H, E, T, V), (B, H, E, T, V) -> (B, H, E, T', V)."""
        queries, keys = functional.elu(queries) + 1, functional.elu(keys) + 1
        context = torch.einsum("bhesv,bhfsv->bhefv", keys, values)  # sum over frames s of k_s v_s
        numerator = torch.einsum("bhetv,bhefv->bhftv", queries, context)
        denominator = torch.einsum("bhetv,bhev->bhtv", queries, keys.sum(dim=3))
        return numerator / denominator.unsqueeze(2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C, T / stride, V)."""
        values = self.values(x)
        split = [each.unflatten(1, (self.heads, -1)) for each in (self.queries(x), self.keys(x), values)]
        attended = self.attend(*split).flatten(1, 2)
        mixed: Tensor = self.dropout(self.norm(self.pointwise(attended + self.depthwise(values))))
        return mixed


class PlainBlock(nn.Module):
    """Mix joints, weight frames and joints if the stage does, mix frames; with a residual around all of it."""

    def __init__(self, fused: Block) -> None:
        super().__init__()
        self.spatial = from_fused(fused.spatial)
        self.norm, self.attention = deepcopy(fused.norm), from_fused(fused.attention)
        self.temporal = from_fused(fused.temporal)
        self.residual = deepcopy(fused.residual)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C', T / stride, V)."""
        mixed = self.attention(torch.relu(self.norm(self.spatial(x))))
        return torch.relu(self.temporal(mixed) + self.residual(x))


class PlainBackbone(nn.Module):
    """Compute features from one stream of a body."""

    def __init__(self, fused: Backbone) -> None:
        super().__init__()
        self.input_norm = deepcopy(fused.input_norm)
        self.stem, self.norm = deepcopy(fused.stem), deepcopy(fused.norm)
        self.blocks = nn.Sequential(*_plain_blocks(fused.blocks))

    def forward(self, stream: Tensor) -> Tensor:
        """(B, coordinates, T, V) -> (B, C)."""
        lifted = torch.relu(self.norm(self.stem(self.input_norm(stream))))  # (B, C, T, V)
        features: Tensor = self.blocks(lifted).mean(dim=(2, 3))
        return features


class PlainLastE(nn.Module):
    """Blend the streams, run one backbone, classify."""

    def __init__(self, fused: LastE) -> None:
        super().__init__()
        self.widen, self.fusion = deepcopy(fused.widen), PlainStreamFusion(fused.fusion)
        self.blocks = nn.Sequential(*_plain_blocks(fused.blocks))
        self.dropout = deepcopy(fused.dropout)
        self.classifier = deepcopy(fused.classifier)

    def forward(self, streams: Mapping[str, Tensor], body_mask: Tensor) -> Tensor:
        """(N, coordinates, T, V, M) per stream, (N, M) -> (N, classes)."""
        folded = _fold(streams)
        if self.widen is not None:
            folded, _ = self.widen(folded, {})
        features = self.blocks(self.fusion(folded)).mean(dim=(2, 3))  # (B, D)
        logits: Tensor = self.classifier(self.dropout(_average(features, body_mask)))
        return logits


class PlainLastV2(nn.Module):
    """Run a backbone and a head for each stream, and sum the logits."""

    def __init__(self, fused: LastV2) -> None:
        super().__init__()
        self.backbones = nn.ModuleDict({name: _plain_backbone(fused.backbones[name]) for name in fused.streams})
        self.dropout = deepcopy(fused.dropout)
        weights = fused.classifier.weight.chunk(len(fused.streams), dim=1)  # S of (classes, C)
        heads = [_with_weight(nn.Linear(weight.shape[1], weight.shape[0], bias=False), weight) for weight in weights]
        self.heads = nn.ModuleDict(dict(zip(fused.streams, heads, strict=True)))
        self.bias = deepcopy(fused.classifier.bias)  # of the sum, not of each head

    def forward(self, streams: Mapping[str, Tensor], body_mask: Tensor) -> Tensor:
        """(N, coordinates, T, V, M) per stream, (N, M) -> (N, classes)."""
        logits: Tensor = self.bias
        folded = _fold(streams)
        for name, backbone in self.backbones.items():
            features = _average(backbone(folded[name]), body_mask)  # (N, C)
            logits = logits + self.heads[name](self.dropout(features))
        return logits


def from_fused(fused: nn.Module) -> nn.Module:
    """Return the plain model or layer equivalent to `fused`, with copies of its weights, in the same mode.

    In training the two differ if a body is absent: the plain model computes it, so that it affects BatchNorm.
    The values of absent bodies must be finite.

    Raises:
        TypeError: there is no plain counterpart.
    """
    counterparts: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
        nn.Identity: deepcopy,
        STJointAttention: PlainJointAttention,
        DirectionalGCNConv: PlainDirectionalGCNConv,
        MultiScaleTCN: PlainMultiScaleTCN,
        AdaptiveGCNConv: PlainAdaptiveGCNConv,
        SeparableTCN: PlainSeparableTCN,
        LinearAttentionTCN: PlainLinearAttentionTCN,
        LastE: PlainLastE,
        LastV2: PlainLastV2,
    }
    if type(fused) not in counterparts:
        raise TypeError(f"There is no plain counterpart of a {type(fused).__name__}.")
    return counterparts[type(fused)](fused).train(fused.training)


def _plain_blocks(blocks: nn.Module) -> list[nn.Module]:
    return [PlainBlock(block) for block in blocks.children() if isinstance(block, Block)]


def _plain_backbone(backbone: nn.Module) -> nn.Module:
    assert isinstance(backbone, Backbone)
    return PlainBackbone(backbone)


def _fold(streams: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """(N, C, T, V, M) -> (B, C, T, V), for each stream."""
    return {name: stream.permute(0, 4, 1, 2, 3).flatten(0, 1) for name, stream in streams.items()}


def _average(features: Tensor, body_mask: Tensor) -> Tensor:
    """Average the features (B, D) of the bodies present in `body_mask` (N, M): (N, D)."""
    present = body_mask.unsqueeze(-1).to(features.dtype)  # (N, M, 1)
    return (features.view(*body_mask.shape, -1) * present).sum(dim=1) / present.sum(dim=1)


def _projection(weight: Tensor) -> nn.Module:
    """Return a 1x1 convolution with a copy of this weight (C', C, 1, 1)."""
    return _with_weight(nn.Conv2d(weight.shape[1], weight.shape[0], kernel_size=1, bias=False), weight)


def _with_weight(layer: nn.Module, weight: Tensor) -> nn.Module:
    layer.weight = nn.Parameter(weight.detach().clone())
    return layer


def _norm_of(norm: nn.BatchNorm2d, channels: slice) -> nn.BatchNorm2d:
    """Return the BatchNorm of some of the channels."""
    state = {name: each[channels] if each.dim() else each for name, each in norm.state_dict().items()}
    part = nn.BatchNorm2d(len(state["weight"]), norm.eps, norm.momentum).to(norm.weight)
    part.load_state_dict(state)
    return part
