"""A trained LAST-E as an equivalent network for inference, with merged constants and fixed shapes.

Every BatchNorm is merged into the product before or after it, the softmax weights of streams and graph subsets become
constants, and dropout is removed. The remaining operations are products of constant matrices with features in the
order (B, C, V, T), so that no runtime has to transpose them between operations:

- joints are mixed by one (V, V) matrix per channel from the left, frames by one (T, T') matrix from the right;
- projections are products with the features as (C, V*T), a grouped projection is a batch of products;
- `relu(BatchNorm(relu(x)))` clamps x from below per channel (from above if a scale is negative);
- `w * relu(x)` with w > 0 is `relu(w * x)`, so that streams are blended by a sum.

Legend: B folded bodies, S streams (3 or fewer), C channels, H hidden channels of a gate, G groups, T frames, V joints,
K taps of a filter, D features.
"""

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..models.channel_major import frame_matrices
from ..models.last_e import DirectionalGCNConv, LastE, MultiScaleTCN, StreamFusion
from ..models.layers import Block, JointGate, STJointAttention
from ..models.wide_streams import WideStreams, direction, two_later

_LONGEST_MATRIX_FRAMES = 32  # beyond, a matrix has too many zeros


def fold(model: LastE, frames: int, parents: Sequence[int]) -> "FoldedLastE":
    """Return a network that computes the same as `model` in evaluation, from the joints of single bodies.

    Constants are merged in float64; the result has the model's type.

    Args:
        model: a trained model, which is not changed.
        frames: T, which is fixed in the result.
        parents: the parent of every joint, for the bone stream.
    """
    dtype = model.classifier.weight.dtype
    with torch.no_grad():
        return FoldedLastE(copy.deepcopy(model).double(), frames, parents).to(dtype).eval()


class FoldedStem(nn.Module):
    """Derive the streams of a body, lift them and blend them."""

    weight: Tensor
    bias: Tensor
    parents: Tensor
    embedding: Tensor | None

    def __init__(self, fusion: StreamFusion, widen: WideStreams | None, parents: Sequence[int]) -> None:
        super().__init__()
        self.center = None if widen is None else widen.center
        scale, shift = _scale_and_shift(fusion.norm)
        stem = fusion.stem.weight.flatten(1) * scale[:, None]  # (C, coordinates)
        weights, biases = [], []
        self.names = tuple(fusion.input_norms)
        for name, blend in zip(self.names, fusion.alpha.softmax(dim=0), strict=True):
            scale_in, shift_in = _scale_and_shift(fusion.input_norms[name])
            weights.append(blend[:, None] * stem * scale_in)
            biases.append(blend * (stem @ shift_in + shift))
        self.register_buffer("weight", torch.stack(weights))  # (S, C, coordinates)
        self.register_buffer("bias", torch.stack(biases)[:, :, None])  # (S, C, 1)
        self.register_buffer("parents", torch.tensor(parents))
        embedding = fusion.joint_embedding
        self.register_buffer("embedding", None if embedding is None else embedding.detach()[:, :, None])  # (C, V, 1)

    def forward(self, joints: Tensor, measured: Tensor) -> Tensor:
        """(B, coordinates, V, T), (B, 1, V, T) 1 where a joint was measured -> (B, C, V, T)."""
        streams = {"joint": joints * measured}
        joint = streams["joint"]
        if "velocity" in self.names:
            streams["velocity"] = (_following(joint) - joint) * (_following(measured) * measured)
        if "bone" in self.names:
            streams["bone"] = (joint - joint.index_select(2, self.parents)) * (
                measured * measured.index_select(2, self.parents)
            )
        if self.center is not None:
            streams = self._wide(streams, measured, self.center)
        lifted = [
            torch.relu(weight @ streams[name].flatten(2) + bias)  # (B, C, V*T)
            for weight, name, bias in zip(self.weight, self.names, self.bias, strict=True)
        ]
        blended = lifted[0]
        for each in lifted[1:]:
            blended = blended + each
        blended = blended.view(-1, blended.shape[1], *joints.shape[2:])
        return blended if self.embedding is None else blended + self.embedding

    @staticmethod
    def _wide(streams: Mapping[str, Tensor], measured: Tensor, center: int) -> dict[str, Tensor]:
        """Return the streams as `WideStreams` does, (B, coordinates, V, T) each; `measured` is (B, 1, V, T)."""
        joint = streams["joint"]
        added = {
            "joint": (joint - joint[:, :, center, None]) * measured,
            "velocity": (two_later(joint, 3) - joint) * (two_later(measured, 3) * measured),
            "bone": direction(streams["bone"]),
        }
        return {name: torch.cat([streams[name], each], dim=1) for name, each in added.items()}


class FoldedGates(nn.Module):
    """Weight frames and joints, then normalise: `ST_JointAtt` with the following BatchNorm and ReLU."""

    ungated: Tensor
    gated: Tensor
    shift: Tensor

    def __init__(self, attention: STJointAttention, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        scale, shift = _scale_and_shift(norm)
        alpha = attention.alpha
        self.frame_gate, self.joint_gate = FoldedGate(attention.frame_gate), FoldedGate(attention.joint_gate)
        self.register_buffer("ungated", _column(scale * (1 - alpha)))
        self.register_buffer("gated", _column(scale * alpha))
        self.register_buffer("shift", _column(shift))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, V, T) -> (B, C, V, T), not negative."""
        frame_gate = self.frame_gate(x.mean(dim=2)).unsqueeze(2)  # (B, C, 1, T)
        joint_gate = self.joint_gate(x.mean(dim=3)).unsqueeze(3)  # (B, C, V, 1)
        return torch.relu(x * (self.ungated + self.gated * frame_gate * joint_gate) + self.shift)


class FoldedGate(nn.Module):
    """Squeeze-and-excitation of channels, for features pooled to one axis."""

    squeeze: Tensor
    bias: Tensor
    excite: Tensor

    def __init__(self, gate: JointGate) -> None:
        super().__init__()
        squeeze, norm, _, excite, _ = gate
        assert isinstance(squeeze, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and isinstance(excite, nn.Conv2d)
        scale, shift = _scale_and_shift(norm)
        self.register_buffer("squeeze", squeeze.weight.flatten(1) * scale[:, None])  # (H, C)
        self.register_buffer("bias", shift[:, None])  # (H, 1)
        self.register_buffer("excite", excite.weight.flatten(1))  # (C, H)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T or V) -> the same."""
        return torch.sigmoid(self.excite @ torch.relu(self.squeeze @ x + self.bias))


class Limits(nn.Module):
    """Clamp x as `relu(BatchNorm(relu(x)))` does, with the scale and shift of the BatchNorm already applied."""

    floor: Tensor
    ceiling: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        scale, shift = _scale_and_shift(norm)
        rising, reached = scale >= 0, shift.relu()  # `reached` is the result for relu(x) = 0
        self.register_buffer("floor", _column(torch.where(rising, reached, 0.0)))
        self.register_buffer("ceiling", _column(torch.where(rising, math.inf, reached)))
        self.has_ceiling = not bool(rising.all())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, V, T) -> (B, C, V, T)."""
        limited = torch.maximum(x, self.floor)
        return torch.minimum(limited, self.ceiling) if self.has_ceiling else limited


class FrameFilter(nn.Module):
    """Mix frames within each channel, with the depthwise convolutions of all branches as one product or convolution."""

    taps: Tensor

    def __init__(self, temporal: MultiScaleTCN, frames: int) -> None:
        super().__init__()
        filters = temporal.depthwise
        self.stride = _stride(temporal)
        self.is_product = frames <= _LONGEST_MATRIX_FRAMES
        if self.is_product:
            taps = frame_matrices(filters, frames).transpose(1, 2).contiguous()  # (C, T, T')
        else:
            taps = _merged(filters)[:, None, None]  # (C, 1, 1, K)
        self.register_buffer("taps", taps)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, V, T) -> (B, C, V, T / stride)."""
        if self.is_product:
            return x @ self.taps
        padding = (0, self.taps.shape[3] // 2)
        return functional.conv2d(x, self.taps, stride=(1, self.stride), padding=padding, groups=len(self.taps))


class FoldedBlock(nn.Module):
    """Mix joints, weight frames and joints, mix frames; with a residual around all of it.

    Args:
        block: a block of a LAST-E in float64.
        frames: T of its input.
    """

    adjacency: Tensor
    project: Tensor
    project_bias: Tensor
    pointwise: Tensor
    bias: Tensor
    shortcut: Tensor | None

    def __init__(self, block: Block, frames: int) -> None:
        super().__init__()
        spatial, temporal = block.spatial, block.temporal
        assert isinstance(spatial, DirectionalGCNConv) and isinstance(temporal, MultiScaleTCN)
        scale, shift = _scale_and_shift(block.norm)
        self.behind: nn.Module
        if isinstance(block.attention, STJointAttention):
            self.behind = nn.Sequential(nn.ReLU(), FoldedGates(block.attention, temporal.norm_in))
        else:
            scale_in, shift_in = _scale_and_shift(temporal.norm_in)
            scale, shift = scale * scale_in, shift * scale_in + shift_in
            self.behind = Limits(temporal.norm_in)
        self.register_buffer("adjacency", spatial.blended_adjacency().transpose(1, 2))  # (C, V, V)
        self.register_buffer("project", spatial.project.weight.flatten(1) * scale[:, None])  # (C', C)
        self.register_buffer("project_bias", shift[:, None])
        self.frame_filter = FrameFilter(temporal, frames)
        scale_out, shift_out = _scale_and_shift(temporal.norm_out)
        groups, width = temporal.pointwise.groups, temporal.pointwise.weight.shape[1]
        pointwise = temporal.pointwise.weight.flatten(1) * scale_out[:, None]
        self.register_buffer("pointwise", pointwise.view(groups, width, width))  # (G, C' / G, C' / G)
        shortcut, shift_shortcut = _shortcut(block.residual)
        self.register_buffer("shortcut", shortcut)  # (C', C)
        self.register_buffer("bias", (shift_out + shift_shortcut)[:, None])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, V, T) -> (B, C', V, T / stride)."""
        joints, frames = x.shape[2:]  # B is not used, so that it can be any number in an exported file
        projected = self.project @ (self.adjacency @ x).flatten(2) + self.project_bias  # (B, C', V*T)
        filtered = self.frame_filter(self.behind(projected.view(-1, len(self.project), joints, frames)))
        groups, width, _ = self.pointwise.shape
        size = joints * filtered.shape[3]  # V*T / stride
        mixed = (self.pointwise @ filtered.reshape(-1, groups, width, size)).view(-1, groups * width, size)
        summed = torch.relu(mixed + self.bias + self.residual(x).flatten(2))  # (B, C', V*T / stride)
        return summed.view(-1, groups * width, joints, filtered.shape[3])

    def residual(self, x: Tensor) -> Tensor:
        """(B, C, V, T) -> (B, C', V*T / stride) or a shape that flattens to it."""
        if self.frame_filter.stride > 1:  # pooling over one frame selects every second one faster than a slice
            x = functional.max_pool2d(x, 1, (1, self.frame_filter.stride))
        return x if self.shortcut is None else self.shortcut @ x.flatten(2)


class FoldedLastE(nn.Module):
    """Compute features from the joints of single bodies, and logits from features.

    Args:
        model: a LAST-E in float64, in evaluation mode.
        frames: T.
        parents: the parent of every joint.
    """

    def __init__(self, model: LastE, frames: int, parents: Sequence[int]) -> None:
        super().__init__()
        self.stem = FoldedStem(model.fusion, model.widen, parents)
        self.blocks = nn.Sequential()
        for block in model.blocks:
            assert isinstance(block, Block)
            folded = FoldedBlock(block, frames)
            frames = -(-frames // folded.frame_filter.stride)
            self.blocks.append(folded)
        self.classifier = model.classifier

    def forward(self, joints: Tensor, present: Tensor) -> Tensor:
        """(B, coordinates, V, T), (B, 1, 1, T) 1 where the body is present -> (B, D)."""
        features: Tensor = self.blocks(self.stem(joints, present))  # (B, D, V, T')
        return features.mean(dim=(2, 3))


def _following(x: Tensor) -> Tensor:
    """Return `x` one frame later along the last axis; the last frame is repeated."""
    return torch.cat([x[..., 1:], x[..., -1:]], dim=-1)


def _scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the scale (C,) and the shift (C,) of a BatchNorm in evaluation."""
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias - norm.running_mean * scale


def _shortcut(residual: nn.Module) -> tuple[Tensor | None, Tensor]:
    """Return the projection (C', C) of a residual, None if it is the identity, and its bias (C',) or ()."""
    if isinstance(residual, nn.Identity):
        return None, torch.zeros((), dtype=torch.float64)
    assert isinstance(residual, nn.Sequential)
    projection, norm = residual
    assert isinstance(projection, nn.Conv2d) and projection.bias is not None
    scale, shift = _scale_and_shift(norm)
    return projection.weight.flatten(1) * scale[:, None], projection.bias * scale + shift


def _stride(temporal: MultiScaleTCN) -> int:
    conv = temporal.depthwise[0]
    assert isinstance(conv, nn.Conv2d)
    return int(conv.stride[0])


def _merged(filters: nn.ModuleList) -> Tensor:
    """Return the taps (C, K) of depthwise (K, 1) convolutions side by side, padded to the length of the longest."""
    undilated = [_undilated(conv) for conv in filters if isinstance(conv, nn.Conv2d)]
    longest = max(each.shape[1] for each in undilated)
    return torch.cat([functional.pad(each, ((longest - each.shape[1]) // 2,) * 2) for each in undilated])


def _undilated(conv: nn.Conv2d) -> Tensor:
    """Return the taps (C, K) of a depthwise (K, 1) convolution, with zeros in the gaps of its dilation."""
    taps, dilation = conv.weight.flatten(1), conv.dilation[0]
    spread = taps.new_zeros(len(taps), (taps.shape[1] - 1) * dilation + 1)
    spread[:, ::dilation] = taps
    return spread


def _column(values: Tensor) -> Tensor:
    """(C,) -> (C, 1, 1)."""
    return values[:, None, None]
