"""Compiled models meet few shapes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from last.data.loading.run_data import part_for_testing, training_data
from last.data.store.find_store import find_store
from last.runtime import compilation
from last.settings.run import RunConfig


def test_batches_for_a_compiled_model_compute_a_multiple_of_bodies(tiny_config: Callable[..., RunConfig]) -> None:
    found = {}
    for compiled in ("false", "true"):
        config = tiny_config("batch_size=16", f"compile={compiled}")
        data = training_data(config, find_store(config.data, Path(config.data_root)))
        (batch,) = data.loader
        found[compiled] = batch.body_slots
    plain, padded = found["false"], found["true"]
    assert len(plain) % 4
    assert len(padded) % 4 == 0
    assert torch.equal(padded[: len(plain)], plain)
    assert (padded[len(plain) :] >= 24).all()


def test_testing_pads_by_a_quarter_of_its_own_batch(tiny_config: Callable[..., RunConfig]) -> None:
    config = tiny_config("batch_size=4", "compile=true")
    store = find_store(config.data, Path(config.data_root))
    (loader,) = part_for_testing(config, store, np.arange(len(store.clips))).loaders
    (batch,) = loader
    assert len(batch.body_slots) % 16 == 0


def test_on_a_cpu_the_user_is_told_that_compiling_is_slower_and_torch_compiles_all_shapes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    config = torch._dynamo.config
    for name in ("recompile_limit", "suppress_errors"):
        monkeypatch.setattr(config, name, getattr(config, name))
    model = torch.nn.Linear(2, 2)
    assert compilation.compile_where_possible(model, torch.device("cpu"))
    assert "Leave --compile out" in caplog.text
    assert config.recompile_limit >= 2 * (5 + 1)  # training and testing, with their last batches
