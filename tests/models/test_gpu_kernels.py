"""Where Triton's kernels compute: only where they were chosen and work, with what models give them."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from golden_runs import LAST_V2
from model_probes import opened, random_streams
from torch import Tensor, nn

from last.models import gpu_kernels
from last.models.registry import build_model, create_model
from last.skeleton import load_layout


def plain_filter(x: Tensor, taps: Tensor, dilations: Tensor, stride: int) -> Tensor:
    """Compute what the kernel is to compute, channel by channel."""
    size = taps.shape[1]
    done = [
        nn.functional.conv1d(rows.t()[:, None], each[None, None], None, stride, (size - 1) // 2 * step, step)[:, 0].t()
        for rows, each, step in zip(x, taps, dilations.tolist(), strict=True)
    ]
    return torch.stack(done)


@pytest.fixture
def plain_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let plain torch stand for the kernels on trial; return the names of those that were used."""
    used: list[str] = []

    def filtered(*given: Any) -> Tensor:
        used.append("filter")
        return plain_filter(*given)

    def mixed(x: Tensor, adjacency: Tensor) -> Tensor:
        used.append("joints")
        return x @ adjacency

    monkeypatch.setattr(gpu_kernels, "can_use_kernels", lambda _: True)
    monkeypatch.setattr(gpu_kernels, "_works", lambda *_: True)
    monkeypatch.setattr(gpu_kernels, "filter_frames", filtered)
    monkeypatch.setattr(gpu_kernels, "mix_joints", mixed)
    yield used


def test_a_model_computes_the_same_with_the_kernels_on_trial(
    plain_kernels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton")  # for the largest number of joints
    model = opened(create_model("nano_e", num_classes=4)).double().eval()
    streams = {stream: each.double() for stream, each in random_streams(clips=2).items()}
    monkeypatch.setattr(gpu_kernels, "can_drop_and_sum", lambda *_: False)
    found = []
    for chosen in ((), ("filter", "joints")):
        with gpu_kernels.trial_kernels(chosen), monkeypatch.context() as patches:
            patches.setattr(gpu_kernels, "joint_and_frame_means", lambda x: (x, x.mean(dim=3), x.mean(dim=1)))
            patches.setattr(gpu_kernels, "apply_gates", lambda x, t, s, alpha: x + alpha * (x * t * s - x))
            logits = model(streams)
        found.append([logits, *torch.autograd.grad(logits.square().sum(), list(model.parameters()))])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)
    assert set(plain_kernels) == {"filter", "joints"}


def test_kernels_on_trial_are_used_only_while_they_are_chosen(plain_kernels: list[str]) -> None:
    x = torch.ones(2, 3, 4, 5)
    assert not gpu_kernels.can_filter_frames(x)
    with gpu_kernels.trial_kernels(["filter"]):
        assert gpu_kernels.can_filter_frames(x)
        with gpu_kernels.trial_kernels(["filter"]):
            pass
        assert gpu_kernels.can_filter_frames(x) and not gpu_kernels.can_mix_joints(x)
    assert not gpu_kernels.can_filter_frames(x)
    assert plain_kernels == []


@pytest.mark.parametrize("joint_mask", [False, True])
def test_products_on_trial_give_a_model_the_same_results_and_gradients(joint_mask: bool) -> None:
    torch.manual_seed(0)
    two = {"channels": [8, 12], "blocks": [1, 1], "temporal": ["convolution", "attention"]}
    model = opened(build_model(replace(LAST_V2, **two), 4, load_layout("ntu25"))).double().train()
    for module in model.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
    streams = {stream: each.double() for stream, each in random_streams(clips=2).items()}
    options = {"joint_mask": torch.rand(2, 2, 8, 25) > 0.3} if joint_mask else {}
    found = []
    for chosen in ((), ("gates", "subsets")):
        with gpu_kernels.trial_kernels(chosen):
            logits = model(streams, **options)
            found.append([logits, *torch.autograd.grad(logits.square().sum(), list(model.parameters()))])
    torch.testing.assert_close(*found, rtol=1e-7, atol=1e-9)


def test_a_cpu_never_uses_them() -> None:
    with gpu_kernels.trial_kernels(["filter", "joints"]):
        assert not gpu_kernels.can_filter_frames(torch.ones(2, 3, 4, 5))
        assert not gpu_kernels.can_mix_joints(torch.ones(2, 3, 4, 5))


def test_a_kernel_that_cannot_be_built_is_named_once_and_the_usual_way_is_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: torch.device) -> Tensor:
        raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable.\nmore")

    gpu_kernels._works.cache_clear()
    monkeypatch.setattr(gpu_kernels, "can_use_kernels", lambda _: True)
    monkeypatch.setattr(gpu_kernels, "_try_filter", fail)
    x = torch.ones(2, 3, 4, 5)
    with gpu_kernels.trial_kernels(["filter"]), caplog.at_level(logging.WARNING):
        assert not gpu_kernels.can_filter_frames(x)
        assert not gpu_kernels.can_filter_frames(x)
    gpu_kernels._works.cache_clear()
    (record,) = caplog.records
    assert "hardware.trial_kernels: filter does not work here" in record.getMessage()
    assert record.getMessage().endswith("(Failed to find C compiler. Please specify via CC environment variable.).")


def test_without_a_working_triton_the_usual_kernels_give_way_to_torch_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fork(_: Any) -> None:
        raise ImportError("No module named 'triton'")

    gpu_kernels.has_kernels.cache_clear()
    monkeypatch.setattr(torch.random, "fork_rng", fork)
    with caplog.at_level(logging.WARNING):
        assert not gpu_kernels.has_kernels(torch.device("cpu"))
        assert not gpu_kernels.has_kernels(torch.device("cpu"))
    gpu_kernels.has_kernels.cache_clear()
    (record,) = caplog.records
    assert "plain torch is used, several times slower" in record.getMessage()
