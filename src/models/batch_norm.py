"""BatchNorm over channels of contiguous memory, for GPUs and for several processes.

On NVIDIA GPUs with a working Triton it is computed by the kernels of `triton_batch_norm`; everywhere else, and as the
reference of those kernels, by plain torch.

torch's CUDA kernels process each channel of (1, C, P) with one block, in evaluation too: 24 to 256 blocks, while
a large GPU can run many more at once. Sums and element-wise operations over (C, P) use all of it. torch's
SyncBatchNorm uses the same kernels, and makes the host wait for the device in every layer. Compiled code uses torch's
own BatchNorm, since the compiler splits sums itself.

Legend: C channels, P positions of a channel: T frames, B bodies, V joints.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeGuard

import torch
from torch import Tensor, distributed, nn

from .gpu_kernels import can_use_kernels
from .padding import CountedPositions
from .tracing import has_hooks, is_traced

Norm = nn.modules.batchnorm._BatchNorm  # base class of all BatchNorms, including SyncBatchNorm
MANY = 1e15  # positions, of which a variance needs no correction
AllReduceSum = Callable[[Tensor], Any]  # replaces a tensor by its sum over all processes


def can_normalise_rows(norm: nn.Module, x: Tensor) -> TypeGuard[Norm]:
    """Tell whether `normalise_rows` supports a BatchNorm on `x`."""
    known = isinstance(norm, Norm) and norm.running_mean is not None
    return x.device.type == "cuda" and known and not is_traced() and not has_hooks(norm)


def normalise_rows(norm: Norm, rows: Tensor, relu: bool, all_reduce_sum: AllReduceSum | None = None) -> Tensor:
    """Apply a BatchNorm, then ReLU if `relu`, (C, P) -> (C, P); in training, update its running statistics.

    Args:
        norm: the BatchNorm with its weights and running statistics.
        rows: the features of this process.
        relu: whether negative results become zero.
        all_reduce_sum: sums a tensor over the processes that normalise together; the group of a SyncBatchNorm if None.
    """
    all_reduce_sum = all_reduce_sum or _of_group(norm)
    by_kernels = all_reduce_sum is None and can_use_kernels(rows)
    if not norm.training:
        return _evaluate(norm, rows, relu, by_kernels)
    if by_kernels:
        return _train_by_kernels(norm, rows, relu)
    normed, mean, variance, positions = _NormByRows.apply(rows, norm.weight, norm.bias, norm.eps, relu, all_reduce_sum)  # type: ignore[no-untyped-call]
    move_statistics(norm, mean, variance, positions)
    result: Tensor = normed
    return result


def can_count(norm: nn.Module) -> TypeGuard[Norm]:
    """Tell whether `normalise_counted` supports a BatchNorm."""
    if not isinstance(norm, Norm) or norm.running_mean is None or not norm.training:
        return False
    return not is_traced() and not has_hooks(norm) and _of_group(norm) is None


def normalise_counted(norm: Norm, rows: Tensor, relu: bool, counted: CountedPositions) -> Tensor:
    """Apply a BatchNorm in training, then ReLU if `relu`, (C, P) -> (C, P), with the statistics of some positions.

    Every position is normalised. A single process computes the statistics.
    """
    if can_use_kernels(rows):
        return _train_by_kernels(norm, rows, relu, counted)
    counts = counted.mask()
    wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
    positions = counts.sum()
    mean = torch.where(counts, wide, 0.0).sum(dim=1) / positions
    centred = wide - mean[:, None]
    variance = torch.where(counts, centred, 0.0).square().sum(dim=1) / positions
    factor = norm.weight * torch.rsqrt(variance + norm.eps)
    normed = torch.addcmul(norm.bias[:, None], centred, factor[:, None]).to(rows.dtype)
    with torch.no_grad():
        move_statistics(norm, mean, variance, positions)
    return torch.relu(normed) if relu else normed


def normalise_measured(norm: Norm, x: Tensor, measured: Tensor, all_reduce_sum: AllReduceSum | None = None) -> Tensor:
    """Apply a BatchNorm in training to a model's input, with the statistics of its measured positions alone.

    Every position is normalised, so that a missing one, a zero, becomes the same constant as in evaluation. A batch
    with fewer than two measured positions is normalised by the running statistics and leaves them as they are.

    Args:
        norm: the BatchNorm with its weights and running statistics.
        x: (C, T, B, V), from which no gradient is taken.
        measured: (T, B, V) bool.
        all_reduce_sum: sums a tensor over the processes that normalise together; the group of a SyncBatchNorm if None.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    all_reduce_sum = all_reduce_sum or _of_group(norm)
    with torch.no_grad():
        wide = torch.where(measured, x, 0.0).double().flatten(1)  # (C, P); squares are too inexact in float32
        sums = torch.cat([wide.sum(dim=1), wide.square().sum(dim=1), measured.sum().double()[None]])
        if all_reduce_sum is not None:
            all_reduce_sum(sums)
        positions = sums[-1]
        mean, squares = (sums[:-1] / positions.clamp(min=1)).chunk(2)
        variance = (squares - mean**2).clamp(min=0)
        mean = torch.where(positions > 1, mean, norm.running_mean).to(norm.running_mean)
        variance = torch.where(positions > 1, variance, norm.running_var).to(norm.running_var)
    factor = norm.weight * torch.rsqrt(variance + norm.eps)
    normed = _scaled(x.flatten(1), factor, norm.bias - mean * factor).view(x.shape)
    with torch.no_grad():
        move_statistics(norm, mean, variance, torch.where(positions > 1, positions, MANY))
    return normed


def move_statistics(norm: Norm, mean: Tensor, variance: Tensor, positions: float | Tensor) -> None:
    """Update a BatchNorm's running statistics from those of a batch (C,), over `positions` values per channel."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked += 1
    momentum = norm.num_batches_tracked.to(norm.running_mean).reciprocal() if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean), momentum)
    norm.running_var.lerp_(variance.to(norm.running_var) * (positions / (positions - 1)), momentum)


def _evaluate(norm: Norm, rows: Tensor, relu: bool, by_kernels: bool) -> Tensor:
    """Normalise by the running statistics; the kernel has no gradient."""
    assert norm.running_mean is not None and norm.running_var is not None
    factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    offset = norm.bias - norm.running_mean * factor
    if by_kernels and not torch.is_grad_enabled():
        from .triton_batch_norm import scaled

        return scaled(rows, factor, offset, relu)
    evaluated = _scaled(rows, factor, offset)
    return evaluated.relu_() if relu else evaluated


def _train_by_kernels(norm: Norm, rows: Tensor, relu: bool, counted: CountedPositions | None = None) -> Tensor:
    from .triton_batch_norm import NormByKernels

    mean, variance, count = norm.running_mean, norm.running_var, norm.num_batches_tracked
    assert mean is not None and variance is not None
    momentum: float | Tensor | None = norm.momentum
    if momentum is None and count is not None:  # mean over all batches, whose weight is only known on the device
        momentum = (count + 1).float().reciprocal()
    normed: Tensor = NormByKernels.apply(  # type: ignore[no-untyped-call]
        *(rows, norm.weight, norm.bias, norm.eps, relu, momentum),
        None if count is None else (mean, variance, count),
        counted,
    )
    return normed


def _of_group(norm: Norm) -> AllReduceSum | None:
    """Return the sum over the processes of a SyncBatchNorm; None for a single process or another BatchNorm."""
    if not isinstance(norm, nn.SyncBatchNorm) or not (distributed.is_available() and distributed.is_initialized()):
        return None
    group = norm.process_group or distributed.group.WORLD
    return partial(distributed.all_reduce, group=group) if distributed.get_world_size(group) > 1 else None


def _scaled(rows: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """Return `rows * factor + offset` in the type of `rows`, (C, P), (C,) and (C,), computed in the widest of them."""
    if torch.is_grad_enabled():
        return torch.addcmul(offset[:, None], rows, factor[:, None]).to(rows.dtype)
    return torch.addcmul(offset[:, None], rows, factor[:, None], out=torch.empty_like(rows))  # converts the type too


def _pooled(
    mean: Tensor, variance: Tensor, positions: int, all_reduce_sum: AllReduceSum
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean (C,), the variance (C,) and the number () of the positions in all processes."""
    means, variances = mean.double(), variance.double()  # the difference of squares is too inexact in float32
    message = torch.cat([means, variances + means**2, means.new_ones(1)]) * positions
    all_reduce_sum(message)
    means, squares = (message[:-1] / message[-1]).chunk(2)
    return means.to(mean), (squares - means**2).clamp(min=0).to(variance), message[-1]


class _NormByRows(torch.autograd.Function):
    """Normalise by the statistics of the batch, over all processes if there are several, and apply ReLU if requested.

    The variance is the mean square without a correction. All sums are in float32 at least.
    """

    @staticmethod
    def forward(
        context: Any,
        rows: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        relu: bool,
        all_reduce_sum: AllReduceSum | None,
    ) -> tuple[Tensor, Tensor, Tensor, float | Tensor]:
        wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
        variance, mean = torch.var_mean(wide, dim=1, correction=0)
        positions: int | Tensor = rows.shape[1]
        if all_reduce_sum is not None:
            mean, variance, positions = _pooled(mean, variance, rows.shape[1], all_reduce_sum)
        scale = torch.rsqrt(variance + eps)
        factor = weight * scale
        normed = _scaled(rows, factor, bias - mean * factor)
        normed = normed.relu_() if relu else normed
        context.save_for_backward(rows, weight, mean, scale, normed if relu else None)
        context.positions, context.all_reduce_sum = positions, all_reduce_sum
        context.mark_non_differentiable(*(each for each in (mean, variance, positions) if isinstance(each, Tensor)))
        return normed, mean, variance, positions

    @staticmethod
    def backward(context: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        rows, weight, mean, scale, normed = context.saved_tensors
        if normed is not None:
            gradient = torch.ops.aten.threshold_backward(gradient, normed, 0)
        centred = rows - mean[:, None]
        sums = torch.stack([gradient.sum(dim=1, dtype=mean.dtype), (centred * gradient).sum(dim=1)])  # (2, C)
        of_bias, of_weight = (
            sums[0].clone(),
            sums[1] * scale,
        )  # of this process only, like the gradients of all other weights
        if context.all_reduce_sum is not None:
            context.all_reduce_sum(sums)
        over_positions, along_rows = sums / context.positions
        factor = weight * scale
        slope = -factor * scale**2 * along_rows
        of_rows = torch.addcmul(-(factor * over_positions)[:, None], centred, slope[:, None])
        of_rows = torch.addcmul(of_rows, gradient, factor[:, None], out=torch.empty_like(rows))
        return of_rows, of_weight, of_bias, None, None, None
