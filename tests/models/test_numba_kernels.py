"""numba's kernels compute what torch computes, in values, gradients and running statistics; their dropout is random."""

import importlib
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from model_probes import opened, random_streams
from torch import Tensor, nn

import last
from last.models import cpu_kernels
from last.models.channel_major import normalise_and_filter
from last.models.layers import STJointAttention

pytest.importorskip("numba", reason="needs numba, of the extra fast")

CLOSE = {"rtol": 2e-5, "atol": 2e-5}
# Channels, frames, bodies and joints; one of everything too.
SHAPES = pytest.mark.parametrize("shape", [(6, 9, 3, 25), (4, 1, 1, 17), (1, 40, 2, 5), (3, 5, 1, 1)])


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(cpu_kernels, "fast_kernels", lambda: None)
        yield


def a_norm(channels: int, dtype: torch.dtype) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels).to(dtype)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, -1.5, channels))
        norm.bias.copy_(torch.linspace(-0.5, 0.7, channels))
    return norm


def found_by(layers: nn.Module, function: object, *inputs: Tensor) -> list[Tensor]:
    """Return a function's result, the gradients of its inputs and of all weights, and all statistics, in float64."""
    leaves = [each.clone().requires_grad_() for each in inputs]
    result = function(*leaves)  # type: ignore[operator]
    weights = torch.linspace(-1, 2, result.numel(), dtype=torch.float64).view(result.shape).to(result.dtype)
    (result * weights).sum().backward()
    found = [result.detach(), *(each.grad for each in leaves), *(each.grad for each in layers.parameters())]
    return [each.double() for each in (*found, *layers.buffers()) if each is not None]


def assert_as_torch(build: object, *inputs: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare a function of float32 numbers by numba with torch's in float64; `build` makes layers and the function."""
    layers, function = build(torch.float32)  # type: ignore[operator]
    assert cpu_kernels.is_fast(inputs[0])
    ours = found_by(layers, function, *inputs)
    monkeypatch.setattr(cpu_kernels, "fast_kernels", lambda: None)
    layers, function = build(torch.float64)  # type: ignore[operator]
    exact = found_by(layers, function, *(each.double() for each in inputs))
    largest = max(float(each.abs().max()) for each in exact)
    for one, other in zip(ours, exact, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-5, atol=2e-6 * max(1.0, largest))


@SHAPES
@pytest.mark.parametrize("relu", [False, True])
def test_normalising_is_that_of_torch(shape: tuple[int, ...], relu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(dtype: torch.dtype) -> object:
        norm = a_norm(shape[0], dtype)
        return norm, lambda x: cpu_kernels.normalise_by_batch(norm, x.view(shape[0], -1), relu)

    if shape[1] * shape[2] * shape[3] > 5:
        assert_as_torch(build, torch.randn(shape) * 3 + 1, monkeypatch=monkeypatch)


@SHAPES
@pytest.mark.parametrize(
    ("stride", "taps", "dilations"), [(1, 9, (1,)), (2, 9, (1,)), (1, 3, (2,)), (2, 5, (3,)), (1, 1, (1,))]
)
def test_normalising_and_filtering_are_those_of_torch(
    shape: tuple[int, ...], stride: int, taps: int, dilations: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(dtype: torch.dtype) -> object:
        torch.manual_seed(1)
        filters = [depthwise(shape[0] // len(dilations), taps, stride, each) for each in dilations]
        layers = nn.ModuleList([a_norm(shape[0], dtype), *filters]).to(dtype)
        return layers, lambda x: normalise_and_filter(layers[0], layers[1:], x)

    if shape[1] * shape[2] * shape[3] > 5:
        assert_as_torch(build, torch.randn(shape), monkeypatch=monkeypatch)


def test_filters_of_several_dilations_share_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(dtype: torch.dtype) -> object:
        torch.manual_seed(1)
        layers = nn.ModuleList([a_norm(6, dtype), depthwise(3, 9, 2, 1), depthwise(3, 9, 2, 4)]).to(dtype)
        return layers, lambda x: normalise_and_filter(layers[0], layers[1:], x)

    assert_as_torch(build, torch.randn(6, 21, 2, 7), monkeypatch=monkeypatch)


def depthwise(width: int, taps: int, stride: int, dilation: int) -> nn.Conv2d:
    padding = ((taps - 1) // 2 * dilation, 0)
    how = {"stride": (stride, 1), "padding": padding, "dilation": (dilation, 1)}
    return nn.Conv2d(width, width, (taps, 1), groups=width, bias=False, **how)


def test_the_end_of_a_block_is_that_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(dtype: torch.dtype) -> object:
        norm = a_norm(6, dtype)
        return norm, lambda x, other: torch.relu(close(norm, 0.0, x, other))

    def close(norm: nn.BatchNorm2d, probability: float, x: Tensor, other: Tensor) -> Tensor:
        if cpu_kernels.can_close(norm, nn.Dropout(probability), x):
            return cpu_kernels.close(norm, nn.Dropout(probability), x, other)
        return cpu_kernels.normalise_by_batch(norm, x.view(6, -1), False).view(x.shape) + other

    assert_as_torch(build, torch.randn(6, 9, 3, 5), torch.randn(6, 9, 3, 5), monkeypatch=monkeypatch)


@pytest.mark.parametrize("shape", [(6, 9, 3, 25), (4, 2, 2, 17)])
def test_joint_attention_is_that_of_torch(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def build(dtype: torch.dtype) -> object:
        torch.manual_seed(1)
        layer = opened(STJointAttention(shape[0])).to(dtype)
        return layer, layer

    assert_as_torch(build, torch.randn(shape), monkeypatch=monkeypatch)


def closed(probability: float, channels: int = 40, positions: int = 5000) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `close` makes of positive numbers with dropout, the numbers, and their gradient's factors."""
    norm = nn.BatchNorm2d(channels)
    nn.init.constant_(norm.bias, 9.0)
    x = torch.randn(channels, 1, 1, positions)
    other = torch.zeros_like(x, requires_grad=True)
    given = nn.functional.batch_norm(x.permute(1, 0, 2, 3), None, None, norm.weight, norm.bias, True).permute(
        1, 0, 2, 3
    )
    out = cpu_kernels.close(norm, nn.Dropout(probability), x, other)
    out.sum().backward()
    return out.detach(), given.detach(), norm.bias.grad


def test_dropout_zeroes_its_share_and_keeps_the_expectation() -> None:
    out, given, of_bias = closed(0.25)
    kept = out > 0
    assert float(kept.float().mean()) == pytest.approx(0.75, abs=0.005)
    torch.testing.assert_close(out[kept], given[kept] / 0.75, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(of_bias, kept.float().sum(dim=(1, 2, 3)) / 0.75)  # the backward pass drops the same


def test_what_is_dropped_is_independent_of_place_channel_and_call() -> None:
    first, second = ((closed(0.5)[0] > 0).flatten(1).float() - 0.5 for _ in range(2))
    pairs = {
        "neighbours": (first[:, 1:], first[:, :-1]),
        "channels": (first[1:], first[:-1]),
        "powers of two": (first[:, 64:], first[:, :-64]),
        "calls": (first, second),
    }
    for name, (one, other) in pairs.items():
        assert abs(float((4 * one * other).mean())) < 0.01, name  # the deviation is 0.002
    for values in (first.mean(dim=1), first.mean(dim=0)):
        expected = 0.5 / (first.numel() / len(values)) ** 0.5
        assert float(values.std()) == pytest.approx(expected, rel=0.4)


def test_torchs_generator_determines_what_is_dropped() -> None:
    outs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        outs.append(closed(0.5)[0])
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


@pytest.mark.parametrize("operation", ["normalise", "filter", "close"])
def test_nan_reaches_the_result(operation: str) -> None:
    x = torch.randn(3, 6, 2, 5)
    x[1, 2, 1, 3] = torch.nan
    norm = nn.BatchNorm2d(3)
    result = {
        "normalise": lambda: cpu_kernels.normalise_by_batch(norm, x.view(3, -1), True),
        "filter": lambda: normalise_and_filter(norm, [depthwise(3, 3, 1, 1)], x),
        "close": lambda: cpu_kernels.close(norm, nn.Dropout(0.1), x, torch.zeros_like(x)),
    }[operation]()
    assert result[1].isnan().any()
    assert not result[0].isnan().any()


def losses(steps: int = 5) -> list[float]:
    """Train a student without dropout."""
    torch.manual_seed(0)
    model = last.create_model("nano_e", num_classes=4, dropout=0.0, block_dropout=0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    streams, labels, found = random_streams(clips=4), torch.arange(4), []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(streams), labels)
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    return found


def test_a_student_has_the_same_losses_without_numba(request: pytest.FixtureRequest) -> None:
    ours = losses()
    request.getfixturevalue("without_numba")
    assert losses() == pytest.approx(ours, rel=1e-4)


def test_threads_share_the_channels() -> None:
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(losses(2))
    finally:
        torch.set_num_threads(threads)
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_a_numba_that_does_not_work_is_left_out_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(name: str, *_: object) -> None:
        raise ImportError("no such processor")

    monkeypatch.setattr(cpu_kernels, "fast_kernels", cpu_kernels.fast_kernels.__wrapped__)
    monkeypatch.setitem(importlib.sys.modules, "last.models.numba_kernels", None)
    monkeypatch.delattr("last.models.numba_kernels", raising=False)
    with caplog.at_level(logging.WARNING):
        assert cpu_kernels.fast_kernels() is None
    assert "numba's kernels do not work here" in caplog.text


def test_nothing_is_drawn_where_nothing_is_dropped() -> None:
    before = torch.get_rng_state()
    cpu_kernels.close(a_norm(2, torch.float32), nn.Dropout(0.0), *torch.ones(2, 2, 3, 2, 5))
    assert torch.equal(torch.get_rng_state(), before)
    cpu_kernels.close(a_norm(2, torch.float32), nn.Dropout(0.1), *torch.ones(2, 2, 3, 2, 5))
    assert not torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("uncached", "when"), [([], "first time only"), (["close"], "every start.*NUMBA_CACHE_DIR")])
def test_a_long_compilation_is_explained(
    uncached: list[str], when: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from last.models import numba_kernels

    monkeypatch.setattr(numba_kernels, "uncached", uncached)
    monkeypatch.setattr(cpu_kernels, "_SLOW_S", -1.0)
    with caplog.at_level(logging.INFO):
        assert cpu_kernels.fast_kernels.__wrapped__() is numba_kernels
    assert re.search(when, caplog.text)


@pytest.mark.parametrize("error", [RuntimeError("cannot cache function: no locator"), EOFError("a damaged file")])
def test_without_a_usable_cache_numba_compiles_all_the_same(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    from last.models import numba_kernels

    made = []

    def njit(*_: object, cache: bool = False, **__: object) -> object:
        if cache:
            raise error
        return lambda function: made.append(function) or function

    monkeypatch.setattr(numba_kernels, "uncached", [])
    monkeypatch.setattr(numba_kernels.numba, "njit", njit)
    numba_kernels._compiled(numba_kernels._F1)(losses)
    assert made == [losses]
    assert numba_kernels.uncached == ["losses"]


@pytest.mark.long  # compiles all kernels, twice
def test_kernels_that_were_just_compiled_compute_as_those_read_from_the_cache(tmp_path: Path) -> None:
    code = (
        "import hashlib, torch\n"
        "from last.models.registry import create_model\n"
        "torch.manual_seed(0)\n"
        "model = create_model('nano_e', 3, 'ntu25').train()\n"
        "clips = {name: torch.randn(2, 3, 16, 25, 1) for name in model.streams}\n"
        "model(clips, torch.ones(2, 1, dtype=torch.bool)).square().sum().backward()\n"
        "gradients = torch.cat([each.grad.flatten() for each in model.parameters()])\n"
        "print(hashlib.sha256(gradients.numpy().tobytes()).hexdigest())\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    found = [
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert any(tmp_path.rglob("*.nbi"))
    assert found[0] == found[1]
