"""Layers, block and stages that both model families share; features are (C, T, B, V).

Legend: B folded bodies, C channels, T frames, V joints.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from . import cpu_kernels, gpu_kernels
from .batch_norm import Norm, can_count, can_normalise_rows, normalise_counted, normalise_rows
from .channel_major import normalise, project
from .padding import counted_bodies, counted_positions, counting
from .tracing import has_hooks


class JointGate(nn.Sequential):
    """Squeeze-and-excitation of channels with a sigmoid gate, for inputs pooled to one axis."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__(
            nn.Conv2d(channels, hidden, kernel_size=1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, kernel_size=1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor, inner: int = 1) -> Tensor:
        """(1, C, P, 1) -> (1, C, P, 1), of P frames or joints of all bodies, `inner` of one body beside each other."""
        squeeze, norm, relu, excite, gate = self
        hidden = _convolved(squeeze, x)
        counted = counted_positions(hidden.shape[2], inner)
        if counted is not None and can_count(norm):
            rows = normalise_counted(norm, hidden.reshape(hidden.shape[1], -1), True, counted)
            hidden = rows.view(hidden.shape)
        elif len(hidden) == 1 and can_normalise_rows(norm, hidden):
            rows = normalise_rows(norm, hidden.reshape(hidden.shape[1], -1), relu=True)
            hidden = rows.view(hidden.shape)
        else:
            hidden = relu(norm(hidden))
        gates: Tensor = gate(_convolved(excite, hidden))
        return gates


def _convolved(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a 1x1 convolution of a gate, (1, C, P, 1) -> (1, C', P, 1); on trial as a product, which has no plans."""
    if gpu_kernels.on_trial("gates") and isinstance(layer, nn.Conv2d) and len(x) == 1:
        return project(layer, x.transpose(0, 1)).transpose(0, 1)
    convolved: Tensor = layer(x)
    return convolved


class STJointAttention(nn.Module):
    """Weight frames and joints: `x + alpha * (x * g_t * g_s - x)`.

    The frame gate reads the mean over joints, the joint gate the mean over frames. `alpha` is per channel and starts
    at zero, so that a new layer is the identity.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.frame_gate = JointGate(channels, hidden)
        self.joint_gate = JointGate(channels, hidden)
        self.alpha = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(C, T, B, V) -> (C, T, B, V)."""
        channels, frames, bodies, joints = x.shape
        on_gpu = gpu_kernels.can_use_kernels(x)
        x, over_joints, over_frames = (
            gpu_kernels.joint_and_frame_means(x) if on_gpu else cpu_kernels.joint_and_frame_means(x)
        )
        frame_gate = self.frame_gate(over_joints.view(1, channels, -1, 1)).view(channels, frames, bodies, 1)
        joint_gate = self.joint_gate(over_frames.view(1, channels, -1, 1), inner=joints).view(
            channels, 1, bodies, joints
        )
        apply_gates = gpu_kernels.apply_gates if on_gpu else cpu_kernels.apply_gates
        return apply_gates(x, frame_gate, joint_gate, self.alpha.to(x.dtype)[:, None, None, None])


def recomputed(block: nn.Module, x: Tensor) -> Tensor:
    """Apply `block` without storing its features; the backward pass recomputes them, from the same random state."""
    bodies = counted_bodies()
    result: Tensor = checkpoint(
        block, x, use_reentrant=False, context_fn=lambda: (nullcontext(), _again(block, bodies))
    )
    return result


@contextmanager
def _again(block: nn.Module, bodies: Tensor | None) -> Iterator[None]:
    with counting(bodies), _still_statistics(block):
        yield


@contextmanager
def _still_statistics(block: nn.Module) -> Iterator[None]:
    """Keep BatchNorm's running statistics unchanged: the first computation has already updated them."""
    norms = [module for module in block.modules() if isinstance(module, Norm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked -= 1


@dataclass(frozen=True)
class BlockSize:
    """Size of a block: its stage (from 0), its channels, and its stride over frames."""

    stage: int
    in_channels: int
    channels: int
    stride: int


def block_sizes(channels: Sequence[int], blocks: Sequence[int]) -> list[BlockSize]:
    """Return the sizes of all blocks, for stages with `channels` channels and `blocks` blocks.

    The first block reads the output of a stem with the width of the first stage. The second and later stages halve the
    number of frames in their first block.
    """
    sizes: list[BlockSize] = []
    in_channels = channels[0]
    for stage, (width, count) in enumerate(zip(channels, blocks, strict=True)):
        for number in range(count):
            sizes.append(BlockSize(stage, in_channels, width, stride=2 if stage > 0 and number == 0 else 1))
            in_channels = width
    return sizes


class FrameMixing(nn.Module):
    """Mix frames, then normalise: the temporal part of a block, which applies `dropout` together with the residual."""

    dropout: nn.Dropout | nn.Dropout2d

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """Return the BatchNorm of the result."""
        raise NotImplementedError

    def mixed(self, x: Tensor) -> Tensor:
        """Return what `last_norm` normalises: (C, T, B, V) -> (C, T / stride, B, V)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(C, T, B, V) -> (C, T / stride, B, V)."""
        return normalise(self.last_norm, self.mixed(x))


def drop_path_rates(last: float, blocks: int) -> list[float]:
    """Return the probability of `keep_paths` for each block: it grows linearly with depth, from 0 to `last`."""
    return [last * number / max(1, blocks - 1) for number in range(blocks)]


def keep_paths(x: Tensor, probability: float) -> Tensor:
    """Set the features (C, T, B, V) of whole bodies to zero, and scale the others so that the expectation stays.

    Stochastic depth (Huang et al., ECCV 2016; DropPath): a body skips the block, since the residual is added to zeros.
    Bodies are drawn on their own, also two of one clip. There are no parameters. The draws follow torch's seed.
    """
    kept = torch.rand(x.shape[2], device=x.device) >= probability
    return x * (kept / (1 - probability)).to(x.dtype)[:, None]


class Block(nn.Module):
    """Mix joints, weight frames and joints, mix frames; with a residual around all of it.

    Args:
        size: the block's channels and stride.
        spatial: mixes joints and changes the channels: (C, T, B, V) -> (C', T, B, V).
        attention: keeps the shape.
        temporal: mixes frames and has the stride: (C', T, B, V) -> (C', T / stride, B, V). Its `dropout` is applied
            here, together with the residual.
        drop_path: the probability with which all but the residual is left out for a body, see `keep_paths`.
    """

    def __init__(
        self, size: BlockSize, spatial: nn.Module, attention: nn.Module, temporal: FrameMixing, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.spatial = spatial
        self.norm = nn.BatchNorm2d(size.channels)
        self.attention = attention
        self.temporal = temporal
        self.residual: nn.Module = nn.Identity()
        if size.stride != 1 or size.in_channels != size.channels:
            projection = nn.Conv2d(size.in_channels, size.channels, kernel_size=1, stride=(size.stride, 1))
            self.residual = nn.Sequential(projection, nn.BatchNorm2d(size.channels))

    def forward(self, x: Tensor) -> Tensor:
        """(C, T, B, V) -> (C', T / stride, B, V)."""
        mixed = self.attention(normalise(self.norm, self.spatial(x), relu=True))
        dropout, norm, shortcut = self.temporal.dropout, self.temporal.last_norm, self.shortcut(x)
        drops_paths = self.drop_path > 0 and self.training
        if not drops_paths and not has_hooks(self.temporal) and cpu_kernels.can_close(norm, dropout, shortcut):
            return cpu_kernels.close(norm, dropout, self.temporal.mixed(mixed), shortcut)
        mixed = self.temporal(mixed)
        if drops_paths:
            mixed = keep_paths(mixed, self.drop_path)
        probability = dropout.p if dropout.training else 0.0
        if gpu_kernels.can_drop_and_sum(mixed, shortcut) and (probability == 0 or isinstance(dropout, nn.Dropout)):
            return gpu_kernels.dropped_sum(mixed, shortcut, probability)
        return cpu_kernels.dropped_sum(dropout, mixed, shortcut).relu_()

    def shortcut(self, x: Tensor) -> Tensor:
        """Return the residual of the block."""
        if not isinstance(self.residual, nn.Sequential):
            return x
        projection, norm = self.residual.children()
        assert isinstance(projection, nn.Conv2d)
        return normalise(norm, project(projection, x))


class Stages(nn.Sequential):
    """Apply blocks one after the other.

    Args:
        blocks: the blocks of all stages.
        sizes: the blocks' sizes, which determine the ends of stages.
        recompute: in training, recompute the features within blocks in the backward pass instead of storing them.
    """

    def __init__(self, blocks: Iterable[nn.Module], sizes: Sequence[BlockSize], recompute: bool = False) -> None:
        super().__init__(*blocks)
        following = [size.stage for size in sizes[1:]] + [-1]
        self.ends = [size.stage != after for size, after in zip(sizes, following, strict=True)]
        self.recompute = recompute

    def forward(self, x: Tensor) -> list[Tensor]:
        """(C, T, B, V) -> the output of each stage, (C', T', B, V)."""
        results: list[Tensor] = []
        for block, ends in zip(self, self.ends, strict=True):
            x = recomputed(block, x) if self.recompute and self.training else block(x)
            if ends:
                results.append(x)
        return results


def activity(x: Tensor) -> Tensor:
    """Return the activation of each frame and joint, the mean square over channels: (C, T, B, V) -> (B, T, V)."""
    return widened(x).square().mean(dim=0).transpose(0, 1)


def widened(x: Tensor) -> Tensor:
    """Return `x` in float32, or unchanged if wider: half precision is too inexact for sums and exponentials."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
