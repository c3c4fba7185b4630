"""Streams are derived in the precision of the joints, wherever the pipeline is called."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from last.data.loading.loader import ClipDataset
from last.data.loading.pipeline import InputPipeline
from last.data.loading.samplers import BatchIndices
from last.data.store.find_store import find_store
from last.settings.run import RunConfig


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_callers_autocast_does_not_round_the_streams(
    tiny_config: Callable[..., RunConfig], dtype: torch.dtype, training: bool
) -> None:
    config = tiny_config("data.normalize.face_camera=true", "data.augment.scale=0.2", "data.augment.shear=0.1")
    store = find_store(config.data, Path(config.data_root))
    numbers = torch.arange(6)
    batch = ClipDataset(store, 8, config.data.sampling, training=training)[BatchIndices(numbers, numbers)]
    pipeline = InputPipeline(config.data)
    expected = pipeline(batch, training)
    with torch.autocast("cpu", dtype=dtype):
        streams = pipeline(batch, training)
    assert all(torch.equal(streams[name], each) for name, each in expected.items())
