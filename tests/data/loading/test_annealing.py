"""The strength of augmentation falls to none at the end of a training."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from last.data.loading import counter_rng
from last.data.loading.annealing import Annealing, at_strength
from last.data.loading.augmentations import AddedAugmentations, Draws
from last.data.loading.run_data import TrainingData, training_data
from last.data.loading.samplers import TrainSampler
from last.data.store.find_store import find_store
from last.settings.data import AugmentConfig
from last.settings.run import RunConfig
from last.skeleton import load_layout
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]


def strengths(share: float, epochs: int) -> list[float]:
    return [Annealing(share, epochs).strength(epoch) for epoch in range(epochs)]


def test_the_strength_falls_over_the_last_share_of_the_epochs_and_is_none_in_the_last() -> None:
    assert strengths(0.4, 10) == [1.0] * 6 + [0.75, 0.5, 0.25, 0.0]
    assert strengths(1.0, 5) == [0.8, 0.6, 0.4, 0.2, 0.0]
    assert strengths(0.01, 4) == [1.0, 1.0, 1.0, 0.0]
    assert strengths(0.01, 1) == strengths(1.0, 1) == [0.0], "the only epoch is the last one"
    assert strengths(0.0, 3) == [1.0, 1.0, 1.0]


def test_every_strength_and_probability_falls() -> None:
    kept = {"added", "anneal", "mix_share", "drop_probability"}
    values: dict[str, Any] = {item.name: 0.3 for item in fields(AugmentConfig) if item.name not in kept}
    full = AugmentConfig(**{**values, "rotation_degrees": [10.0, 20.0, 30.0]}, anneal=0.2, mix_share=0.4)
    half = at_strength(full, 0.5)
    assert half.rotation_degrees == [5.0, 10.0, 15.0]
    assert all(getattr(half, name) == 0.15 for name in values if name != "rotation_degrees")
    assert all(getattr(half, name) == getattr(full, name) for name in kept)
    assert at_strength(full, 1.0) is full


class Shifted:
    """An augmentation that changes every clip."""

    @staticmethod
    def augment(joints: Tensor, draws: Draws, settings: Any, layout: Any, frame_mask: Tensor) -> Tensor:
        return joints + 1


def test_an_added_augmentation_changes_as_large_a_share_of_the_clips_as_the_strength() -> None:
    added = AddedAugmentations(AugmentConfig())
    added._steps = [(Shifted(), 7, None)]  # type: ignore[list-item]
    keys = counter_rng.clip_keys(0, 0, torch.arange(2000))
    joints, mask = torch.zeros(2000, 3, 1, 2, 1), torch.ones(2000, 1, 1, dtype=torch.bool)
    found = added(joints, load_layout("ntu25"), mask, keys, 0.25)
    changed = found.flatten(1).all(dim=1)
    assert 0.21 < float(changed.float().mean()) < 0.29 and not found[~changed].any()
    assert torch.equal(added(joints, load_layout("ntu25"), mask, keys), joints + 1)
    assert torch.equal(added(joints, load_layout("ntu25"), mask, keys, 0.0), joints)


def data_of(config: RunConfig) -> TrainingData:
    return training_data(config, find_store(config.data, Path(config.data_root)))


STRONG = [
    *("mirror_probability=0.5", "scale=0.3", "jitter_metres=0.1", "drop_joints=0.5", "drop_axis=0.5", "mask_crop=0.5"),
    *("drop_body=0.5", "exchange_bodies=0.5", "drift_metres=0.1", "time_warp=0.5", "mix_add=0.5", "mix_splice=0.5"),
]


@pytest.mark.parametrize("placement", ["device", "disk"])
def test_the_last_epoch_sees_clips_as_if_nothing_were_augmented(tiny_config: MakeConfig, placement: str) -> None:
    common = ("epochs=4", "data.sampling.crop_min=1.0", f"hardware.data_placement={placement}")
    strong = data_of(tiny_config(*common, *(f"data.augment.{each}" for each in [*STRONG, "anneal=0.5"])))
    plain = data_of(tiny_config(*common, "data.augment.rotation_degrees=[]"))
    for epoch, alike in ((0, False), (2, False), (3, True)):
        for data in (strong, plain):
            data.sampler.epoch = epoch
        for ours, theirs in zip(strong.loader, plain.loader, strict=True):
            assert ours.strength == {0: 1.0, 2: 0.5, 3: 0.0}[epoch]
            streams = [each.pipeline(batch, training=True) for each, batch in ((strong, ours), (plain, theirs))]
            assert torch.equal(streams[0]["joint"], streams[1]["joint"]) == alike
            assert torch.equal(ours.body_slots, theirs.body_slots) or not alike


def test_statistics_are_measured_with_the_strength_of_the_epoch(tiny_config: MakeConfig) -> None:
    data = data_of(tiny_config("epochs=4", "data.augment.anneal=0.5"))
    for epoch, strength in ((0, 1.0), (2, 0.5), (3, 0.0)):
        data.sampler.epoch = epoch
        assert {batch.strength for batch in data.sample} == {strength}


def test_the_strength_depends_on_the_epoch_alone() -> None:
    sampler = TrainSampler(np.arange(6), 4, seed=0, annealing=Annealing(0.5, 4))
    sampler.epoch, sampler.start = 2, 4
    assert [each.strength for each in sampler] == [0.5]


def test_views_that_are_fixed_for_the_run_cannot_be_annealed(tiny_config: MakeConfig) -> None:
    config = tiny_config("data.augment.anneal=0.2", "distillation.fixed_augmentations=3")
    config.distillation.teachers = ["teacher.pth"]
    with pytest.raises(UserError, match=r"anneal: 0\.2.*fixed_augmentations: 3"):
        data_of(config)
