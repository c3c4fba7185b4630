"""Random numbers that depend on the clip and on nothing else."""

import torch

from last.data.loading import counter_rng as counter
from last.data.loading.augmentations import Draws

CLIPS = torch.arange(20_000)


def test_numbers_of_a_clip_do_not_depend_on_its_batch() -> None:
    together = counter.uniform(counter.clip_keys(3, 5, CLIPS), 1, 4)
    alone = counter.uniform(counter.clip_keys(3, 5, CLIPS[7:8]), 1, 4)
    assert torch.equal(together[7:8], alone)


def test_more_numbers_begin_with_the_same_ones() -> None:
    keys = counter.clip_keys(0, 0, CLIPS[:5])
    assert torch.equal(counter.uniform(keys, 1, 9)[:, :4], counter.uniform(keys, 1, 4))


def test_seed_epoch_repetition_and_purpose_each_change_the_numbers() -> None:
    numbers = [
        counter.uniform(counter.clip_keys(seed, epoch, CLIPS[:1], repetition), purpose, 1).item()
        for seed in range(3)
        for epoch in range(3)
        for repetition in range(3)
        for purpose in range(3)
    ]
    assert len(set(numbers)) == 81


def test_uniform_numbers_fill_the_unit_interval_evenly() -> None:
    numbers = counter.uniform(counter.clip_keys(0, 0, CLIPS), 2, 5)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    shares = torch.histc(numbers, bins=20, min=0, max=1) / numbers.numel()
    assert (shares - 0.05).abs().max() < 0.003


def test_numbers_of_neighbouring_clips_and_draws_are_uncorrelated() -> None:
    numbers = counter.uniform(counter.clip_keys(0, 0, CLIPS), 2, 2)
    between_draws = torch.corrcoef(numbers.T)[0, 1]
    between_clips = torch.corrcoef(torch.stack([numbers[:-1, 0], numbers[1:, 0]]))[0, 1]
    assert max(between_draws.abs(), between_clips.abs()) < 0.03


def test_normal_numbers_have_zero_mean_and_unit_variance() -> None:
    numbers = counter.normal(counter.clip_keys(0, 0, CLIPS), 3, 5)
    assert torch.isfinite(numbers).all()
    assert abs(numbers.mean()) < 0.02
    assert abs(numbers.std() - 1) < 0.02


def test_shuffling_keeps_every_clip_and_differs_by_epoch() -> None:
    first, second = (counter.shuffled(0, epoch, CLIPS[:100]) for epoch in (0, 1))
    assert sorted(first.tolist()) == list(range(100))
    assert not torch.equal(first, second)
    assert torch.equal(first, counter.shuffled(0, 0, CLIPS[:100]))


def test_an_added_augmentation_draws_the_normal_numbers_of_its_own_purpose() -> None:
    keys = torch.tensor([1, 2])
    draws = Draws(keys, 7)
    assert torch.equal(draws.normal(3), counter.normal(keys, 7, 3))
