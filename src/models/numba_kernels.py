# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False
"""Kernels of training on a CPU, compiled by numba, that keep a channel in the cache: they are behind `cpu_kernels`.

torch writes the result of every operation to memory and reads it again for the next one. Here a channel of (C, P), some
hundred kilobytes, is normalised, filtered, dropped or weighed while it is in the cache; the backward pass computes it
again instead of reading it. Long sums are added in float64 from parts in float32. NaN stays NaN, without `nnan` among
the options, so that the guard sees it. Each kernel computes channels from `first` to `last`, its outputs come last.

Legend: C channels, T frames, B bodies, V joints, R = B*V columns of a frame, P = T*R positions, K taps of a filter.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from os import getpid
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

_untyped: Any = numba  # its types know neither its settings nor a set as `fastmath` beside signatures
if _untyped.config.DISABLE_JIT:
    raise ImportError("NUMBA_DISABLE_JIT is set")

_PART = 1024  # numbers that are summed in float32 before the sum is added in float64
_F1, _F2, _F3, _F4 = (numba.types.Array(numba.float32, dimensions, "C") for dimensions in range(1, 5))
_INDICES, _KEYS = numba.types.Array(numba.int64, 1, "C"), numba.types.Array(numba.uint32, 1, "C")
_WORD, _INDEX, _REAL = numba.uint32, numba.int64, numba.float64
_ZERO: Any = np.float32(0)
uncached: list[str] = []  # the kernels that are compiled at every start


def _compiled(*types: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile and cache a kernel for these types behind `first` and `last`; or a part, inlined so as to round alike."""
    signature = [numba.void(_INDEX, _INDEX, *types)] if types else []
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return _untyped.njit(*signature, cache=bool(types), forceinline=not types, **options)(function)
        except Exception:  # numba found no folder for its cache, or a damaged file in it
            uncached.append(function.__name__)
            return _untyped.njit(*signature, forceinline=not types, **options)(function)

    return compiled


@_compiled()
def _moments(row, eps):
    """Return the mean of a channel (P,) and the reciprocal of its standard deviation."""
    size, total = row.size, 0.0
    for start in range(0, size, _PART):  # the inner loop begins at 0, without which LLVM does not vectorise it
        piece, part = row[start : start + _PART], _ZERO
        for i in range(piece.size):
            part += piece[i]
        total += part
    mean = row.dtype.type(total / size)
    total = 0.0
    for start in range(0, size, _PART):
        piece, part = row[start : start + _PART], _ZERO
        for i in range(piece.size):
            part += (piece[i] - mean) * (piece[i] - mean)
        total += part
    return mean, row.dtype.type(1 / np.sqrt(total / size + eps))


@_compiled(_F2, _F1, _F1, _REAL, _REAL, _F2, _F1, _F1)
def normalise(first, last, x, weight, bias, eps, floor, out, mean, scale):
    """Normalise channels of (C, P); results below `floor` become `floor`."""
    for c in range(first, last):
        row, result = x[c], out[c]
        mean[c], scale[c] = _moments(row, eps)
        factor = weight[c] * scale[c]
        offset = bias[c] - mean[c] * factor
        for i in range(row.size):
            value = row[i] * factor + offset
            result[i] = floor if value < floor else value


@_compiled()
def _gradient_of_norm(row, mean, scale, weight, gradient):
    """Replace the gradient (P,) of a normalised channel by that of the channel; return those of weight and bias."""
    size, along, total = row.size, 0.0, 0.0
    for start in range(0, size, _PART):
        piece, given = row[start : start + _PART], gradient[start : start + _PART]
        one, other = _ZERO, _ZERO
        for i in range(piece.size):
            one += given[i] * (piece[i] - mean)
            other += given[i]
        along += one
        total += other
    factor = weight * scale
    slope = row.dtype.type(along / size * scale * scale)
    level = row.dtype.type(total / size)
    for i in range(size):
        gradient[i] = factor * (gradient[i] - level - (row[i] - mean) * slope)
    return along * scale, total


@_compiled(_F2, _F2, _F1, _F1, _REAL, _F1, _F1, _F2, _F1, _F1)
def normalise_back(first, last, gradient, x, weight, bias, floor, mean, scale, of_x, of_weight, of_bias):
    for c in range(first, last):
        factor = weight[c] * scale[c]
        offset = bias[c] - mean[c] * factor
        row, given, result = x[c], gradient[c], of_x[c]
        for i in range(row.size):
            result[i] = 0 if row[i] * factor + offset <= floor else given[i]
        of_weight[c], of_bias[c] = _gradient_of_norm(row, mean[c], scale[c], weight[c], result)


@_compiled()
def _mix(rows, first, step, taps, result):
    """Set `result` (R,) to the sum of `taps` (K,) times the rows `first`, `first + step`, ..."""
    result[:] = 0
    for k in range(0, taps.size - 2, 3):  # three at once, which saves two thirds of the reading and writing of `result`
        one, two, three = taps[k], taps[k + 1], taps[k + 2]
        start = first + k * step
        row, following, last = rows[start], rows[start + step], rows[start + 2 * step]
        for r in range(result.size):
            result[r] += one * row[r] + two * following[r] + three * last[r]
    for k in range(taps.size - taps.size % 3, taps.size):
        one, row = taps[k], rows[first + k * step]
        for r in range(result.size):
            result[r] += one * row[r]


@_compiled()
def _correlate(rows, first, step, given, sums):
    """Add the products of `given` (R,) with the rows `first`, `first + step`, ... to `sums` (K,)."""
    for k in range(sums.size):
        row, part = rows[first + k * step], _ZERO
        for r in range(given.size):
            part += given[r] * row[r]
        sums[k] += part


@_compiled()
def _rectified(x, factor, offset, padding, y):
    """Write `relu(x * factor + offset)` of (T, R) into the rows of `y` from `padding` on, with zeros around them."""
    y[:padding] = 0
    y[padding + len(x) : 2 * padding + len(x)] = 0
    for t in range(len(x)):
        row, result = x[t], y[padding + t]
        for r in range(row.size):
            value = row[r] * factor + offset
            result[r] = _ZERO if value < _ZERO else value


@_compiled(_F3, _F1, _F1, _REAL, _F2, _INDICES, _INDEX, _F3, _F1, _F1)
def filter(first, last, x, weight, bias, eps, taps, dilations, stride, out, mean, scale):
    """Normalise channels of (C, T, R), apply ReLU, and filter their frames with (C, K) taps."""
    frames, columns = x.shape[1:]
    reach = (taps.shape[1] - 1) // 2
    y = np.empty((frames + 2 * reach * dilations.max(), columns), x.dtype)
    for c in range(first, last):
        mean[c], scale[c] = _moments(x[c].reshape(-1), eps)
        factor = weight[c] * scale[c]
        _rectified(x[c], factor, bias[c] - mean[c] * factor, reach * dilations[c], y)
        for t in range(out.shape[1]):
            _mix(y, t * stride, dilations[c], taps[c], out[c, t])


@_compiled(_F3, _F3, _F1, _F1, _F2, _INDICES, _INDEX, _F1, _F1, _F3, _F1, _F1, _F2)
def filter_back(
    first, last, gradient, x, weight, bias, taps, dilations, stride, mean, scale, of_x, of_weight, of_bias, of_taps
):
    frames, columns = x.shape[1:]
    count = taps.shape[1]
    reach = (count - 1) // 2
    padded = frames + 2 * reach * dilations.max()
    y, spread = np.empty((padded, columns), x.dtype), np.empty((padded, columns), x.dtype)
    sums = np.empty(count, np.float64)
    for c in range(first, last):
        padding = reach * dilations[c]
        factor = weight[c] * scale[c]
        _rectified(x[c], factor, bias[c] - mean[c] * factor, padding, y)
        spread[:] = 0
        sums[:] = 0
        for t in range(gradient.shape[1]):
            given, row = gradient[c, t], spread[padding + t * stride]
            for r in range(given.size):
                row[r] = given[r]
            _correlate(y, t * stride, dilations[c], gradient[c, t], sums)
        of_taps[c] = sums
        mirrored = taps[c, ::-1].copy()
        for t in range(frames):
            _mix(spread, t, dilations[c], mirrored, of_x[c, t])
            row, result = y[padding + t], of_x[c, t]
            for r in range(result.size):
                result[r] = _ZERO if row[r] <= _ZERO else result[r]
        of_weight[c], of_bias[c] = _gradient_of_norm(
            x[c].reshape(-1), mean[c], scale[c], weight[c], of_x[c].reshape(-1)
        )


@_compiled()
def _drawn(index, key):
    """Return 32 random bits of a number and a key, by Wellons' lowbias32."""
    bits = np.uint32(np.uint32(index) ^ key)
    bits = np.uint32((bits ^ (bits >> np.uint32(16))) * np.uint32(0x7FEB352D))
    bits = np.uint32((bits ^ (bits >> np.uint32(15))) * np.uint32(0x846CA68B))
    return np.uint32(bits ^ (bits >> np.uint32(16)))


@_compiled(_F2, _F2, _F1, _F1, _REAL, _KEYS, _WORD, _F2, _F1, _F1)
def close(first, last, x, other, weight, bias, eps, keys, dropped, out, mean, scale):
    """Return `relu(dropout(norm(x)) + other)` of channels of (C, P); `dropped` of 2^32 are zero."""
    kept = x.dtype.type(2.0**32 / (2.0**32 - dropped))
    for c in range(first, last):
        mean[c], scale[c] = _moments(x[c], eps)
        factor = weight[c] * scale[c]
        offset = bias[c] - mean[c] * factor
        row, added, result = x[c], other[c], out[c]
        key = _drawn(c, keys[0]) ^ keys[1]
        for i in range(row.size):
            value = (row[i] * factor + offset) * kept
            value = (_ZERO if dropped > 0 and _drawn(i, key) < dropped else value) + added[i]
            result[i] = _ZERO if value < _ZERO else value


@_compiled(_F2, _F2, _F2, _F1, _KEYS, _WORD, _F1, _F1, _F2, _F2, _F1, _F1)
def close_back(first, last, gradient, out, x, weight, keys, dropped, mean, scale, of_x, of_other, of_weight, of_bias):
    kept = x.dtype.type(2.0**32 / (2.0**32 - dropped))
    for c in range(first, last):
        key = _drawn(c, keys[0]) ^ keys[1]
        given, made, result, of_added = gradient[c], out[c], of_x[c], of_other[c]
        for i in range(given.size):
            value = _ZERO if made[i] <= _ZERO else given[i]
            of_added[i] = value
            result[i] = _ZERO if dropped > 0 and _drawn(i, key) < dropped else value * kept
        of_weight[c], of_bias[c] = _gradient_of_norm(x[c], mean[c], scale[c], weight[c], result)


@_compiled(_F4, _F3, _F3, _F1, _F4)
def weigh(first, last, x, frame_gate, joint_gate, alpha, out):
    """Weight (C, T, B, V) by `1 - alpha + alpha * g_t * g_s`, with gates (C, T, B) and (C, B, V) and alpha (C,)."""
    for c in range(first, last):
        share, rest = alpha[c], x.dtype.type(1) - alpha[c]
        for t in range(x.shape[1]):
            for b in range(x.shape[2]):
                factor = share * frame_gate[c, t, b]
                row, gate, result = x[c, t, b], joint_gate[c, b], out[c, t, b]
                for v in range(row.size):
                    result[v] = row[v] * (rest + factor * gate[v])


@_compiled(_F4, _F4, _F3, _F3, _F1, _F4, _F3, _F3, _F1)
def weigh_back(first, last, gradient, x, frame_gate, joint_gate, alpha, of_x, of_frames, of_joints, of_alpha):
    for c in range(first, last):
        share, rest, total = alpha[c], x.dtype.type(1) - alpha[c], 0.0
        of_joints[c] = 0
        for t in range(x.shape[1]):
            for b in range(x.shape[2]):
                one, all_ones, whole = frame_gate[c, t, b], _ZERO, _ZERO
                given, row, gate = gradient[c, t, b], x[c, t, b], joint_gate[c, b]
                result, of_gate = of_x[c, t, b], of_joints[c, b]
                for v in range(row.size):
                    product = given[v] * row[v]
                    all_ones += product
                    whole += product * gate[v]
                    of_gate[v] += share * one * product
                    result[v] = given[v] * (rest + share * one * gate[v])
                of_frames[c, t, b] = share * whole
                total += one * whole - all_ones
        of_alpha[c] = total


@_compiled(_F4, _F3, _F3, _F4)
def spread_means(first, last, gradient, over_joints, over_frames, out):
    """Add the gradients of means over joints (C, T, B) and over frames (C, B, V) to that of (C, T, B, V)."""
    frames, bodies, joints = gradient.shape[1:]
    of_frame, of_joint = gradient.dtype.type(1 / frames), gradient.dtype.type(1 / joints)
    for c in range(first, last):
        for t in range(frames):
            for b in range(bodies):
                level = over_joints[c, t, b] * of_joint
                given, others, result = gradient[c, t, b], over_frames[c, b], out[c, t, b]
                for v in range(given.size):
                    result[v] = given[v] + level + others[v] * of_frame


def run(kernel: Callable[..., Any], first: Tensor, *others: Any) -> None:
    """Run a kernel over all channels of its arguments, on as many threads as torch uses."""
    channels = len(first)
    given = [each.detach().numpy() if isinstance(each, Tensor) else each for each in (first, *others)]
    threads = min(torch.get_num_threads(), channels)
    ends = [channels * part // threads for part in range(threads + 1)]
    waiting = [_pool(getpid()).submit(kernel, *ends[part : part + 2], *given) for part in range(1, threads)]
    kernel(0, ends[1], *given)
    for each in waiting:
        each.result()


@cache
def _pool(_process: int) -> ThreadPoolExecutor:
    """Return the threads of a process beside the one that asks; a forked process needs its own."""
    return ThreadPoolExecutor(256, thread_name_prefix="last")
