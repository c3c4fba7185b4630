"""The stem of both families in closed form: input BatchNorms, a 1x1 projection, a BatchNorm and ReLU as one product.

A BatchNorm after a projection needs the mean and the variance of each projected channel. Both follow from the means and
the second moments of the few coordinates of the input, so that no projected feature has to be read for them: in
training too, every normalisation before the ReLU is a part of one small matrix. Moments and matrix are computed in
float64. Only the matrix and the blend of the streams have gradients, and so no feature of the size of the first block
is stored for the backward pass.

Legend: B folded bodies, S streams, I coordinates, C channels, T frames, V joints, P = T*B*V positions.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .batch_norm import MANY, move_statistics
from .padding import counted_bodies
from .tracing import has_hooks, is_traced

_CHUNK = 2**15  # numbers of a part of the features that stays in the cache, for each stream


def can_lift(norms: Sequence[nn.Module], stem: nn.Conv2d, norm: nn.Module, streams: Sequence[Tensor]) -> bool:
    """Tell whether `lift` supports these layers and streams: plain BatchNorms in one mode, on a CPU, no padding."""
    layers = (*norms, norm)
    known = all(type(each) is nn.BatchNorm2d and each.affine and each.running_mean is not None for each in layers)
    in_one_mode = len({each.training for each in layers}) == 1
    plain = stem.bias is None and stem.groups == 1 and not any(map(has_hooks, (*layers, stem)))
    on_cpu = all(each.device.type == "cpu" and not each.requires_grad for each in streams)
    return known and in_one_mode and plain and on_cpu and not is_traced() and counted_bodies() is None


def lift(
    norms: Sequence[nn.BatchNorm2d],
    stem: nn.Conv2d,
    norm: nn.BatchNorm2d,
    streams: Sequence[Tensor],
    masks: Sequence[Tensor | None],
    blend: Tensor | None = None,
) -> Tensor:
    """Return `sum_s blend_s relu(norm(stem(norms_s(stream_s))))`, (C, T, B, V); in training, update the statistics.

    Args:
        norms: the BatchNorm of each stream's input.
        stem: the projection.
        norm: the BatchNorm over all streams together.
        streams: S of (B, I, T, V), without a gradient.
        masks: S of (B, T, V) bool, the positions from which training takes an input's statistics; all where it is None.
        blend: (S, C), positive weights of the streams; 1 if None.
    """
    bodies, _, frames, joints = streams[0].shape
    with torch.no_grad():
        x = torch.stack([each.permute(1, 2, 0, 3).flatten(1) for each in streams])  # (S, I, P)
        rows, mean, covariance = _standardised(norms, x, masks)
    weights = _merged(norms, stem, norm, mean, covariance, x.shape[2])
    if blend is not None:
        weights = weights * blend.double()[:, :, None]
    autocast = torch.is_autocast_enabled("cpu")
    dtype = torch.get_autocast_dtype("cpu") if autocast else x.dtype
    lifted: Tensor = _SumOfLifted.apply(weights.to(x.dtype), rows, dtype)  # type: ignore[no-untyped-call]
    return lifted.view(-1, frames, bodies, joints)


def _standardised(
    norms: Sequence[nn.BatchNorm2d], x: Tensor, masks: Sequence[Tensor | None]
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise each stream as its BatchNorm does before its weight and bias; in training, update its statistics.

    Returns:
        (S, I + 1, P), the normalised coordinates and a row of ones; their means (S, I) and covariances (S, I, I) in
        float64.
    """
    wide = x.double()
    means = wide.mean(dim=2)
    covariances = wide @ wide.transpose(1, 2) / x.shape[2] - means[:, :, None] * means[:, None]
    found = [_input_statistics(*each) for each in zip(norms, wide, means, covariances, masks, strict=True)]
    origins, variances = (torch.stack(each) for each in zip(*found, strict=True))
    eps = variances.new_tensor([each.eps for each in norms])
    scales = torch.rsqrt(variances + eps[:, None])  # (S, I)
    rows = x.new_ones(len(x), x.shape[1] + 1, x.shape[2])
    torch.sub(x, origins.to(x.dtype)[:, :, None], out=rows[:, :-1])
    rows[:, :-1] *= scales.to(x.dtype)[:, :, None]
    return rows, (means - origins) * scales, covariances * scales[:, :, None] * scales[:, None]


def _input_statistics(
    norm: nn.BatchNorm2d, wide: Tensor, mean: Tensor, covariance: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the mean (I,) and the variance (I,) by which a BatchNorm normalises; in training, update its own.

    Args:
        norm: the BatchNorm of a stream.
        wide: the stream (I, P), zero where it was not measured.
        mean, covariance: of all positions, (I,) and (I, I).
        mask: (B, T, V) bool, the positions that count. With fewer than two, the running statistics are used.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    if not norm.training:
        return norm.running_mean.double(), norm.running_var.double()
    if mask is None:
        variance = covariance.diagonal().clamp(min=0)
        move_statistics(norm, mean, variance, wide.shape[1])
        return mean, variance
    measured = mask.transpose(0, 1).flatten()  # (P,)
    count, kept = measured.sum().double(), torch.where(measured, wide, 0.0)
    mean = kept.sum(dim=1) / count.clamp(min=1)
    variance = (kept.square().sum(dim=1) / count.clamp(min=1) - mean**2).clamp(min=0)
    mean, variance = (
        torch.where(count > 1, found, own.double())
        for found, own in ((mean, norm.running_mean), (variance, norm.running_var))
    )
    move_statistics(norm, mean, variance, torch.where(count > 1, count, MANY))
    return mean, variance


def _merged(
    norms: Sequence[nn.BatchNorm2d],
    stem: nn.Conv2d,
    norm: nn.BatchNorm2d,
    mean: Tensor,
    covariance: Tensor,
    positions: int,
) -> Tensor:
    """Return the matrices (S, C, I + 1) that replace everything before the ReLU, in float64.

    Args:
        norms, stem, norm: the layers.
        mean, covariance: of the normalised streams, (S, I) and (S, I, I).
        positions: P.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    weight = stem.weight.flatten(1).double()  # (C, I)
    scales, shifts = (torch.stack([getattr(each, name) for each in norms]).double() for name in ("weight", "bias"))
    if norm.training:
        means = scales * mean + shifts  # (S, I)
        centre = means.mean(dim=0)
        apart = means - centre
        within = (scales[:, :, None] * scales[:, None] * covariance).mean(dim=0)
        whole = within + apart.t() @ apart / len(means)  # (I, I)
        centre, variance = weight @ centre, ((weight @ whole) * weight).sum(dim=1).clamp(min=0)  # (C,)
        with torch.no_grad():
            move_statistics(norm, centre, variance, len(means) * positions)
    else:
        centre, variance = norm.running_mean.double(), norm.running_var.double()
    factor = norm.weight.double() * torch.rsqrt(variance + norm.eps)
    projection = factor[:, None] * weight  # (C, I)
    offsets = shifts @ projection.t() + (norm.bias.double() - factor * centre)  # (S, C)
    return torch.cat([projection * scales[:, None], offsets[:, :, None]], dim=2)


class _SumOfLifted(torch.autograd.Function):
    """Return `sum_s relu(weights_s @ rows_s)`, (S, C, I) x (S, I, P) -> (C, P); `rows` have no gradient.

    Positions are computed in parts that stay in the cache; the backward pass computes them again.
    """

    @staticmethod
    def forward(context: Any, weights: Tensor, rows: Tensor, dtype: torch.dtype) -> Tensor:
        context.save_for_backward(weights, rows)
        total = rows.new_empty(weights.shape[1], rows.shape[2], dtype=dtype)
        for part in _parts(rows, weights.shape[1]):
            lifted = torch.bmm(weights, rows[:, :, part]).relu_()
            total[:, part] = lifted[0] if len(lifted) == 1 else lifted.sum(dim=0)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        weights, rows = context.saved_tensors
        of_weights = torch.zeros_like(weights)
        for part in _parts(rows, weights.shape[1]):
            lifted = torch.bmm(weights, rows[:, :, part])
            passed = torch.ops.aten.threshold_backward(gradient[:, part].to(rows.dtype), lifted, 0)
            of_weights.baddbmm_(passed, rows[:, :, part].transpose(1, 2))
        return of_weights, None, None


def _parts(rows: Tensor, channels: int) -> list[slice]:
    """Return slices of the positions of `rows` (S, I, P), so that a part of (C, P) fits the cache."""
    length = max(1, _CHUNK // channels)
    return [slice(start, start + length) for start in range(0, rows.shape[2], length)]
