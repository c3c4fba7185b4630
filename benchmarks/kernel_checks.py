"""Compare Triton's kernels with plain torch in float64; as a program it prints the largest differences as JSON.

On a machine without a GPU Triton has to interpret its kernels (TRITON_INTERPRET=1), which it decides when it is
imported: so this runs in a process of its own.
"""

import json
import math
import sys
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from last.models import triton_attention, triton_batch_norm, triton_dropout, triton_frames, triton_joints
from last.models.batch_norm import normalise_counted, normalise_rows
from last.models.padding import CountedPositions

Case = Callable[[torch.device], Iterable[tuple[Tensor, Tensor]]]
CASES: dict[str, Case] = {}
norm_by_kernels: Any = triton_batch_norm.NormByKernels.apply
means_by_kernels: Any = triton_attention.MeansByKernels.apply
weighed_by_kernels: Any = triton_attention.WeighedByKernels.apply
filter_by_kernels: Any = triton_frames.FilterByKernels.apply
mix_by_kernels: Any = triton_joints.MixByKernels.apply
sum_by_kernels: Any = triton_dropout.DroppedSumByKernels.apply


def gradients(found: Iterable[Tensor], expected: Iterable[Tensor]) -> Iterable[tuple[Tensor, Tensor]]:
    """Return pairs of gradients."""
    for one, other in zip(found, expected, strict=True):
        assert one.grad is not None and other.grad is not None
        yield one.grad, other.grad


def batch_norm_case(dtype: torch.dtype, shape: tuple[int, int], relu: bool, momentum: float | Tensor) -> Case:
    def compare(device: torch.device) -> Iterable[tuple[Tensor, Tensor]]:
        norm, reference = nn.BatchNorm2d(shape[0]).to(device), nn.BatchNorm2d(shape[0]).double().to(device)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        reference.load_state_dict(norm.state_dict())
        reference.momentum = float(momentum)
        values = (torch.randn(shape, device=device) * 3 + 20).to(dtype)
        values[:, 0] -= 7  # of the first place differences are taken
        rows, exact = values.clone().requires_grad_(), values.double().requires_grad_()
        running = (norm.running_mean, norm.running_var, norm.num_batches_tracked)
        step = momentum.to(device) if isinstance(momentum, Tensor) else momentum
        found = norm_by_kernels(rows, norm.weight, norm.bias, norm.eps, relu, step, running)
        expected = normalise_rows(reference, exact, relu)
        # No gradient where the result is so near zero that its sign is one of rounding.
        slopes = torch.randn(shape, device=device).to(dtype) * (expected.detach().abs() > 0.05 * (not relu) + 0.05)
        torch.autograd.backward([found, expected], [slopes, slopes.double()])
        yield found, expected
        yield from gradients([rows], [exact])
        yield from gradients(norm.parameters(), reference.parameters())
        yield from zip(norm.buffers(), reference.buffers(), strict=True)
        factor, offset = torch.rand(2, shape[0], device=device)
        scaled = rows.detach().double() * factor.double()[:, None] + offset.double()[:, None]
        yield triton_batch_norm.scaled(rows.detach(), factor, offset, relu), scaled.relu() if relu else scaled

    return compare


def counted_case(dtype: torch.dtype, outer: int, inner: int, relu: bool) -> Case:
    """Compare a BatchNorm whose statistics leave bodies out with plain torch."""

    def compare(device: torch.device) -> Iterable[tuple[Tensor, Tensor]]:
        bodies = torch.tensor([True, True, False, True, False], device=device)
        positions = CountedPositions(bodies, inner, outer * 5 * inner)
        norm, reference = nn.BatchNorm2d(3).to(device), nn.BatchNorm2d(3).double().to(device)
        values = (torch.randn(3, positions.positions, device=device) * 3 + 20).to(dtype)
        values[:, ~positions.mask()] += 9
        rows, exact = values.clone().requires_grad_(), values.double().requires_grad_()
        running = (norm.running_mean, norm.running_var, norm.num_batches_tracked)
        found = norm_by_kernels(rows, norm.weight, norm.bias, norm.eps, relu, 0.1, running, positions)
        expected = normalise_counted(reference, exact, relu, positions)
        slopes = torch.randn(values.shape, device=device).to(dtype) * (expected.detach().abs() > 0.1)
        torch.autograd.backward([found, expected], [slopes, slopes.double()])
        yield found, expected
        yield from gradients([rows, *norm.parameters()], [exact, *reference.parameters()])
        yield from zip(norm.buffers(), reference.buffers(), strict=True)

    return compare


def attention_case(dtype: torch.dtype, shape: tuple[int, int, int, int]) -> Case:
    def compare(device: torch.device) -> Iterable[tuple[Tensor, Tensor]]:
        channels, frames, bodies, joints = shape
        sizes = (shape, (channels, frames, bodies, 1), (channels, 1, bodies, joints), (channels, 1, 1, 1))
        inputs = [torch.randn(size, device=device).to(dtype).requires_grad_() for size in sizes]
        exact = [each.detach().double().requires_grad_() for each in inputs]
        x, over_joints, over_frames = means_by_kernels(inputs[0])
        found = [weighed_by_kernels(x, *inputs[1:]), over_joints, over_frames]
        x, frame_gate, joint_gate, alpha = exact
        expected = [x + alpha * (x * frame_gate * joint_gate - x), x.mean(dim=3), x.mean(dim=1)]
        slopes = [torch.randn(each.shape, device=device).to(dtype) for each in found]
        torch.autograd.backward(found, slopes)
        torch.autograd.backward(expected, [each.double() for each in slopes])
        yield from zip(found, expected, strict=True)
        yield from gradients(inputs, exact)

    return compare


def sum_case(dtype: torch.dtype, probability: float) -> Case:
    def compare(device: torch.device) -> Iterable[tuple[Tensor, Tensor]]:
        x, other = (torch.randn(7, 3, 5, 25, device=device).to(dtype).requires_grad_() for _ in range(2))
        found = sum_by_kernels(x, other, probability)
        slopes = torch.randn(x.shape, device=device).to(dtype)
        of_x, of_other = torch.autograd.grad(found, (x, other), slopes)
        # What was kept shows in the gradient: where the result is positive and the gradient is not zero.
        kept = torch.where(found > 0, (of_x != 0) | (slopes == 0), True).double() / (1 - probability)
        shown = found > 0
        exact = torch.relu(x.double() * kept + other.double())
        yield found[shown], exact[shown]
        yield of_other, slopes.double() * shown
        yield of_x, slopes.double() * shown * kept

    return compare


def share_dropped(device: torch.device) -> Iterable[tuple[Tensor, Tensor]]:
    """Compare the share of dropped places, and that masks follow torch's seed and change with it."""
    ones = torch.ones(40_000, device=device)
    torch.manual_seed(3)
    first, second = (sum_by_kernels(ones, ones * 0, 0.25) for _ in range(2))
    torch.manual_seed(3)
    again = sum_by_kernels(ones, ones * 0, 0.25)
    yield torch.equal(first, again) * ones[:1], ones[:1]
    yield torch.equal(first, second) * ones[:1] + 1, ones[:1]
    yield (first == 0).double().mean().mul(40).round(), ones[0] * 10


def filter_case(dtype: torch.dtype, frames: int, width: int, taps: int, stride: int) -> Case:
    """Compare a filter whose halves of the channels have two dilations with torch's convolutions."""

    def compare(device: torch.device) -> Iterable[tuple[Tensor, Tensor]]:
        dilations = torch.tensor([1, 1, 2, 2], dtype=torch.int32, device=device)
        x = torch.randn(4, frames, width, device=device).to(dtype).requires_grad_()
        weight = torch.randn(4, taps, device=device, requires_grad=True)
        exact = [each.detach().double().requires_grad_() for each in (x, weight)]
        found = filter_by_kernels(x, weight, dilations, stride)
        expected = _convolved(exact[0], exact[1], stride)
        slopes = torch.randn(expected.shape, device=device).to(dtype)
        torch.autograd.backward([found, expected], [slopes, slopes.double()])
        yield found, expected
        yield from gradients((x, weight), exact)

    return compare


def _convolved(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Return (4, T, W) filtered by torch, the second half of the channels with a dilation of 2."""
    halves = zip(torch.split(x, 2), torch.split(weight, 2), (1, 2), strict=True)
    options = ((part[None], taps[:, None, :, None], dilation) for part, taps, dilation in halves)
    done = [
        nn.functional.conv2d(
            part, taps, None, (stride, 1), ((taps.shape[2] - 1) // 2 * dilation, 0), (dilation, 1), groups=2
        )[0]
        for part, taps, dilation in options
    ]
    return torch.cat(done)


def joints_case(dtype: torch.dtype, positions: int, joints: int) -> Case:
    def compare(device: torch.device) -> Iterable[tuple[Tensor, Tensor]]:
        sizes = (3, positions, joints), (3, joints, joints)
        inputs = [torch.randn(size, device=device).to(dtype).requires_grad_() for size in sizes]
        exact = [each.detach().double().requires_grad_() for each in inputs]
        found, expected = mix_by_kernels(*inputs), torch.bmm(*exact)
        slopes = torch.randn(expected.shape, device=device).to(dtype)
        torch.autograd.backward([found, expected], [slopes, slopes.double()])
        yield found, expected
        yield from gradients(inputs, exact)

    return compare


def products_with_nan(device: torch.device) -> Iterable[tuple[Tensor, Tensor]]:
    """Compare which results are NaN: those of the taps that read it, and those of its position."""
    x = torch.randn(4, 9, 30, device=device)
    x[3, 4, 7] = math.nan
    weight, dilations = torch.randn(4, 3, device=device), torch.tensor([1, 1, 2, 2], dtype=torch.int32, device=device)
    yield filter_by_kernels(x, weight, dilations, 2).isnan(), _convolved(x, weight, 2).isnan()
    adjacency = torch.randn(4, 30, 30, device=device)
    yield mix_by_kernels(x, adjacency).isnan(), torch.bmm(x, adjacency).isnan()


def nan_case(device: torch.device) -> Iterable[tuple[Tensor, Tensor]]:
    """Compare which results are NaN where a value of one channel, or of one place, is."""
    rows = torch.randn(3, 200, device=device)
    rows[1, 150] = math.nan
    norm = nn.BatchNorm2d(3).to(device)
    result = norm_by_kernels(rows, norm.weight, norm.bias, norm.eps, True, 0.1, None)
    yield result.isnan().double(), torch.tensor([[0.0], [1.0], [0.0]], device=device).expand(3, 200)
    total = sum_by_kernels(rows, rows, 0.0)
    yield total.isnan().double(), rows.isnan()


for _relu in (True, False):
    for _shape in ((5, 400), (3, 641), (5, 7)):
        CASES[f"BatchNorm {_shape} relu={_relu} float32"] = batch_norm_case(torch.float32, _shape, _relu, 0.1)
for _outer, _inner, _relu in ((4, 7, True), (1, 25, False), (30, 1, True)):
    CASES[f"counted BatchNorm ({_outer}, {_inner}) float32"] = counted_case(torch.float32, _outer, _inner, _relu)
CASES["counted BatchNorm bfloat16"] = counted_case(torch.bfloat16, 4, 7, True)
for _size in ((3, 5, 7, 25), (2, 1, 1, 17), (2, 3, 33, 20)):
    CASES[f"attention {_size} float32"] = attention_case(torch.float32, _size)
CASES["sum without dropout float32"] = sum_case(torch.float32, 0.0)
for _dtype in (torch.float32, torch.float16, torch.bfloat16):
    _name = str(_dtype).removeprefix("torch.")
    CASES[f"sum {_name}"] = sum_case(_dtype, 0.3)
for _dtype in (torch.float16, torch.bfloat16):
    _name = str(_dtype).removeprefix("torch.")
    CASES[f"BatchNorm {_name}"] = batch_norm_case(_dtype, (3, 321), True, 0.1)
    CASES[f"attention {_name}"] = attention_case(_dtype, (2, 5, 7, 25))
CASES["BatchNorm that keeps its statistics float32"] = batch_norm_case(torch.float32, (3, 150), True, 0.0)
CASES["BatchNorm whose momentum is a tensor float32"] = batch_norm_case(
    torch.float32, (3, 150), True, torch.tensor(0.5)
)
for _options in ((7, 70, 3, 1), (9, 40, 9, 2), (1, 25, 9, 1), (2, 17, 5, 2), (3, 30, 1, 2)):
    CASES[f"filter {_options} float32"] = filter_case(torch.float32, *_options)
for _positions, _joints in ((70, 25), (1, 17), (33, 5), (20, 34)):
    CASES[f"joints ({_positions}, {_joints}) float32"] = joints_case(torch.float32, _positions, _joints)
for _dtype in (torch.float16, torch.bfloat16):
    _name = str(_dtype).removeprefix("torch.")
    CASES[f"filter {_name}"] = filter_case(_dtype, 8, 50, 9, 2)
    CASES[f"joints {_name}"] = joints_case(_dtype, 40, 25)
CASES["products with NaN float32"] = products_with_nan
CASES["share dropped float32"] = share_dropped
CASES["NaN float32"] = nan_case


def difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, of the largest value that is expected."""
    found, expected = found.detach().double(), expected.detach().double()
    largest = float((found - expected).abs().max()) / max(float(expected.abs().max()), 1e-9)
    return largest if math.isfinite(largest) else 1e9


def differences(device: torch.device) -> dict[str, float]:
    """Return the largest relative difference of each case; the last word of its name is the number format."""
    found = {}
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        for name, case in CASES.items():
            if device.type == "cpu" and name == "joints bfloat16":  # Triton's interpreter multiplies its bits
                continue
            torch.manual_seed(0)
            found[name] = max(difference(*pair) for pair in case(device))
    return found


def main() -> None:
    """Print the differences on the device that is the first argument."""
    device = torch.device(sys.argv[1])
    torch.set_num_threads(1)
    if device.type == "cpu":  # small blocks, so that channels have several parts and rests
        triton_batch_norm._BLOCK, triton_batch_norm._PROGRAMS = 64, 30
        triton_attention._BLOCK, triton_attention._TILE, triton_dropout._BLOCK = 64, 128, 4096
        triton_frames._BLOCK, triton_frames._FRAMES, triton_frames._SUMMED_BLOCK = 64, 5, 32
        triton_joints._BLOCK, triton_joints._PROGRAMS = 16, 6
    sys.stdout.write(json.dumps(differences(device)))


if __name__ == "__main__":
    main()
