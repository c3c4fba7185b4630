"""A coordinate of a clip that is zero."""

import pytest
import torch

from last.data.loading import counter_rng
from last.data.loading.drop_axis import without_axis
from last.data.loading.loader import Batch
from last.data.loading.pipeline import InputPipeline
from last.settings.data import AugmentConfig, DataConfig, NormalizeConfig


def test_a_dropped_axis_is_zero_in_some_clips() -> None:
    store_like = torch.randn(200, 3, 4, 25, 1)
    found = without_axis(store_like, 0.5, counter_rng.clip_keys(0, 0, torch.arange(200)))
    zero = (found == 0).all(dim=(2, 3, 4))
    assert 70 < zero.any(dim=1).sum() < 130
    assert (zero.sum(dim=1) <= 1).all() and zero.any(dim=0).all()
    assert torch.equal(found[~zero], store_like[~zero])


@pytest.mark.parametrize("scale", ["none", "unit"])
def test_a_dropped_axis_is_zero_in_the_streams_however_clips_are_scaled(scale: str) -> None:
    augment = AugmentConfig(rotation_degrees=[], drop_axis=1.0)
    config = DataConfig(layout="ntu25", normalize=NormalizeConfig(scale=scale), augment=augment)
    present, clips = torch.ones(9, 1, 4, dtype=torch.bool), torch.arange(9)
    batch = Batch(torch.randn(9, 3, 4, 25, 1) + 5, present, clips, clips, clips, clips)
    streams = InputPipeline(config)(batch, training=True)
    dropped = (streams["joint"] == 0).all(dim=(2, 3, 4))
    assert (dropped.sum(dim=1) == 1).all()
    for stream in streams.values():
        assert not stream[dropped].any()
