"""The plain data path computes what ours does from the same random choices."""

import math
from pathlib import Path

import numpy as np
import torch

from last.benchmarks import plain_data
from last.benchmarks.content import write_clips
from last.benchmarks.steps import benchmark_config
from last.data.loading import augment
from last.data.loading import counter_rng as counter
from last.data.loading.run_data import training_data
from last.data.loading.sampling import training_positions
from last.skeleton import load_layout


def test_plain_streams_are_ours_where_places_and_angles_are_the_same(tmp_path: Path) -> None:
    config = benchmark_config("nano_e", batch_size=6, input_frames=16)
    store = write_clips(tmp_path, train=12, test=1, seed=0)
    data = training_data(config, store)
    batch = next(iter(data.loader))
    ours = data.pipeline(batch, training=True)
    assert batch.frame_mask.shape[1] == 2

    clips = [store[int(number)] for number in batch.indices]
    lengths = torch.tensor([clip.frame_mask.shape[1] for clip in clips])
    places = training_positions(lengths, 16, config.data.sampling, batch.rng_keys).double().numpy()
    limits = torch.tensor(config.data.augment.rotation_degrees) * (math.pi / 180)
    angles = (limits * (2 * counter.uniform(batch.rng_keys, augment._ROTATION, 3) - 1)).double().numpy()
    plain = plain_data.stack(
        [
            plain_data.streams(plain_data.rotate(plain_data.read_clip(*read, 2), turn), load_layout("ntu25"))
            for *read, turn in zip(clips, places, angles, strict=True)
        ]
    )
    for name, stream in ours.items():
        assert stream.abs().max() > 0.01
        torch.testing.assert_close(plain[name], stream, rtol=0.0, atol=1e-5)


def test_a_crop_lies_within_the_clip_and_has_the_requested_share() -> None:
    sampling = benchmark_config("nano_e").data.sampling
    random = np.random.default_rng(0)
    for _ in range(50):
        places = plain_data.crop(41, 9, sampling, random)
        assert places.min() >= 0
        assert places.max() <= 40
        assert 20 <= places[-1] - places[0] <= 40
        np.testing.assert_allclose(np.diff(places), np.diff(places)[0])
