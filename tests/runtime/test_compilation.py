"""Compiled models meet few shapes."""

from collections.abc import Callable
from pathlib import Path

import torch

from last.data.loading.run_data import training_data
from last.data.store.find_store import find_store
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
