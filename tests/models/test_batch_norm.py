"""The BatchNorm of GPUs and of several processes is torch's formula, in values, gradients and running statistics."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import torch
from model_probes import opened, random_streams
from torch import Tensor, nn

from last.models import batch_norm, channel_major, last_e, last_v2, layers
from last.models.batch_norm import can_normalise_rows, normalise_rows
from last.models.registry import create_model

RELU = pytest.mark.parametrize("relu", [False, True])
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def a_norm(dtype: torch.dtype = torch.float64, **options: Any) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(5, **options).to(dtype)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


def like(norm: nn.Module) -> Any:
    copied = a_norm(**({} if norm.momentum == 0.1 else {"momentum": norm.momentum}))
    copied.load_state_dict(norm.state_dict())
    return copied.train(norm.training)


def plain(norm: nn.Module, rows: Tensor, relu: bool) -> Tensor:
    normed: Tensor = norm(rows[None, :, :, None])[0, :, :, 0]
    return torch.relu(normed) if relu else normed


def with_gradients(norm: nn.Module, apply: Callable[[Tensor], Tensor], rows: Tensor) -> list[Tensor]:
    """Return a result, the gradients of the rows, the weight and the bias, and the running statistics."""
    rows = rows.clone().requires_grad_()
    result = apply(rows)
    weights = torch.arange(result.numel(), dtype=torch.float64).view(result.shape).sin()
    (result * weights).sum().backward()
    gradients = [each.grad for each in (rows, *norm.parameters())]
    return [result.detach(), *(each for each in gradients if each is not None), *norm.buffers()]


@RELU
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("momentum", [0.1, 0.0, 1.0, None])
def test_it_is_a_batch_norm(relu: bool, training: bool, momentum: float | None) -> None:
    ours = a_norm(momentum=momentum)
    ours.running_var.uniform_(0.5, 2)
    reference = like(ours.train(training))
    rows = torch.randn(5, 60, dtype=torch.float64) * 3 + 2
    found = with_gradients(ours, lambda x: normalise_rows(ours, x, relu), rows)
    expected = with_gradients(reference, lambda x: plain(reference, x, relu), rows)
    torch.testing.assert_close(found, expected, **CLOSE)


@RELU
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_features_are_normalised_in_float32(dtype: torch.dtype, relu: bool, training: bool) -> None:
    ours = a_norm(torch.float32).train(training)
    reference = like(ours)  # in float64
    rows = (torch.randn(5, 4000) * 3 + 20).to(dtype)
    found = with_gradients(ours, lambda x: normalise_rows(ours, x, relu), rows)
    expected = with_gradients(reference, lambda x: plain(reference, x, relu), rows.double())
    assert found[0].dtype == found[1].dtype == dtype
    eps = torch.finfo(dtype).eps
    for one, other, exact in zip(found, expected, (False, False, False, False, True, True, True), strict=True):
        # Statistics are as exact as float32 is; what has the features' type is rounded to it.
        bound = 1e-5 if exact else 2 * eps + 1e-5
        torch.testing.assert_close(one.double(), other.double(), rtol=bound, atol=bound * float(other.abs().max()))


def test_large_values_of_half_precision_do_not_overflow() -> None:
    ours = a_norm(torch.float32)
    rows = torch.randn(5, 4000).mul(3e4).clamp(-6e4, 6e4).half()
    assert normalise_rows(ours, rows, relu=False).isfinite().all()
    assert ours.running_var.isfinite().all()


def test_evaluation_without_gradients_gives_the_same() -> None:
    ours = a_norm(torch.float32).eval()
    rows = torch.randn(5, 60).half()
    with torch.no_grad():
        without = normalise_rows(ours, rows, relu=True)
    assert torch.equal(without, normalise_rows(ours, rows, relu=True))


@RELU
def test_several_processes_normalise_as_one_does_over_all_their_places(relu: bool) -> None:
    parts = [torch.randn(5, places, dtype=torch.float64) * 3 + 2 for places in (60, 7, 31)]
    alone = a_norm()
    norms = [like(alone) for _ in parts]
    barrier, messages = Barrier(len(parts)), [torch.empty(0)] * len(parts)

    def learn(rank: int) -> list[Tensor]:
        def all_reduce_sum(message: Tensor) -> None:
            messages[rank] = message.clone()
            barrier.wait()
            message.copy_(torch.stack(messages).sum(dim=0))
            barrier.wait()

        rows = parts[rank].clone().requires_grad_()
        result = normalise_rows(norms[rank], rows, relu, all_reduce_sum)
        (result**3).sum().backward()
        return [result, *(each.grad for each in (rows, *norms[rank].parameters())), *norms[rank].buffers()]

    with ThreadPoolExecutor(len(parts)) as threads:
        learned = list(threads.map(learn, range(len(parts))))
    results, rows, weights, biases, *buffers = (list(each) for each in zip(*learned, strict=True))
    together = torch.cat(parts, dim=1).requires_grad_()
    expected = plain(alone, together, relu)
    (expected**3).sum().backward()
    torch.testing.assert_close(torch.cat(results, dim=1), expected, **CLOSE)
    torch.testing.assert_close(torch.cat(rows, dim=1), together.grad, **CLOSE)
    torch.testing.assert_close([sum(weights), sum(biases)], [alone.weight.grad, alone.bias.grad], **CLOSE)
    for ours, theirs in zip(buffers, alone.buffers(), strict=True):
        for each in ours:
            torch.testing.assert_close(each, theirs, **CLOSE)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[nn.Module]]:
    """Make models on the CPU normalise as on a GPU; return the layers for which this was queried."""
    queried: list[nn.Module] = []

    def everywhere(norm: nn.Module, _: Tensor) -> bool:
        queried.append(norm)
        return True

    for module in (channel_major, layers):
        monkeypatch.setattr(module, "can_normalise_rows", everywhere)
    monkeypatch.setattr(channel_major, "can_normalise_by_batch", lambda *_: False)
    for family in (last_e, last_v2):
        monkeypatch.setattr(family, "can_lift", lambda *_: False)
    yield queried


@pytest.mark.parametrize(
    ("name", "sizes"), [("nano_e", {}), ("small", {"channels": [16, 32, 32], "blocks": [1, 1, 1]})]
)
def test_models_compute_the_same_with_it(
    name: str, sizes: dict[str, Any], as_on_a_gpu: list[nn.Module], monkeypatch: Any
) -> None:
    model = opened(create_model(name, num_classes=4, **sizes)).double()
    for module in model.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
    streams = {stream: each.double() for stream, each in random_streams(clips=3).items()}
    found = []
    for _ in range(2):
        state = {key: value.clone() for key, value in model.state_dict().items()}
        logits = model.train()(streams)
        gradients = torch.autograd.grad(logits.square().sum(), list(model.parameters()))
        found.append([logits, *gradients, *(each.clone() for each in model.buffers()), model.eval()(streams)])
        model.load_state_dict(state)
        monkeypatch.undo()
    torch.testing.assert_close(*found, rtol=1e-7, atol=1e-8)
    norms = {module for module in model.modules() if isinstance(module, batch_norm.Norm)}
    assert set(as_on_a_gpu) == norms  # no layer is normalised another way


def test_compiled_and_recorded_models_and_other_devices_keep_torchs_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu = torch.empty(5, 3, device="meta")
    assert not can_normalise_rows(a_norm(), torch.randn(5, 3))
    assert not can_normalise_rows(a_norm(), on_gpu)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert batch_norm.is_traced()
