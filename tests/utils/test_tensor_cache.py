"""Tensors that are made once can be used everywhere, in whatever mode they were first made."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import last
from last.data.loading.device_constants import constant
from last.models.multi_body import STREAMS
from last.models.registry import create_model
from last.utils.tensor_cache import cache_tensors

MODES: list[Callable[[], AbstractContextManager[Any]]] = [torch.inference_mode, FakeTensorMode]
FIRST_IN = pytest.mark.parametrize("mode", MODES, ids=["inference", "fake"])


@FIRST_IN
def test_a_tensor_cached_in_another_mode_can_be_used_in_training(mode: Callable[[], Any]) -> None:
    zeros = cache_tensors(4)(lambda count: torch.zeros(count))
    with mode():
        zeros(3)
    weight = torch.ones(3, requires_grad=True)
    (weight * zeros(3)).sum().backward()
    assert zeros(3) is zeros(3)


@FIRST_IN
def test_constants_serve_every_mode(mode: Callable[[], Any]) -> None:
    ask = partial(constant, [3.0, 1.0, 4.0, 1.0, 5.0], torch.float64, torch.device("cpu"))
    with mode():
        ask()
    weight = torch.ones(5, dtype=torch.float64, requires_grad=True)
    (weight * ask()).sum().backward()
    assert ask().tolist() == [3.0, 1.0, 4.0, 1.0, 5.0]


@pytest.mark.parametrize(("name", "frames"), [("nano_e", 21), ("small", 22)])
def test_a_model_trains_after_it_was_first_used_for_inference(name: str, frames: int) -> None:
    model = create_model(name, num_classes=4).eval()
    streams = {stream: torch.randn(1, 3, frames, 25, 1) for stream in STREAMS}  # a length that no other test has
    with torch.inference_mode():
        model(streams)
    model.train()(streams).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_only_the_configured_number_of_tensors_is_kept() -> None:
    made: list[int] = []

    def zeros(count: int) -> Tensor:
        made.append(count)
        return torch.zeros(count)

    cached_function = cache_tensors(2)(zeros)
    for count in (1, 2, 2, 3, 1):
        cached_function(count)
    assert made == [1, 2, 3, 1]


def modules() -> Iterator[Any]:
    for found in pkgutil.walk_packages(last.__path__, "last."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def test_no_other_cache_of_the_program_holds_tensors() -> None:
    held = {
        f"{module.__name__}.{name}"
        for module in modules()
        for name, value in vars(module).items()
        if hasattr(value, "cache_info") and "Tensor" in str(getattr(value.__wrapped__, "__annotations__", {}))
    }
    assert held == set()
