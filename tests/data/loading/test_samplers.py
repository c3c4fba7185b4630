"""Which clips form a batch, and in which order."""

from itertools import chain

import numpy as np
import pytest
import torch

from last.data.loading.samplers import EvalSampler, FixedAugmentationSampler, TrainSampler

CLIPS = np.arange(10, 20)


def drawn(sampler: TrainSampler | FixedAugmentationSampler | EvalSampler) -> list[list[int]]:
    return [batch.indices.tolist() for batch in sampler]


@pytest.mark.parametrize("repeats", [1, 3])
def test_an_epoch_has_every_clip_as_often_as_it_is_repeated(repeats: int) -> None:
    batches = drawn(TrainSampler(CLIPS, 4, seed=0, repeats_per_epoch=repeats))
    assert sorted(chain(*batches)) == sorted(CLIPS.tolist() * repeats)
    assert {len(batch) for batch in batches[:-1]} == {4}


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    sampler, other = TrainSampler(CLIPS, 4, seed=0), TrainSampler(CLIPS, 4, seed=1)
    first = drawn(sampler)
    assert drawn(sampler) == first != drawn(other)
    sampler.epoch = 1
    assert drawn(sampler) != first


def test_a_resumed_epoch_has_the_remaining_batches() -> None:
    whole, rest = (TrainSampler(CLIPS, 4, seed=0) for _ in range(2))
    rest.start = 4
    assert drawn(rest) == drawn(whole)[1:]
    assert (len(whole), len(rest), rest.parts()) == (3, 2, [(4, 4), (2, 2)])
    rest.start = 10
    assert drawn(rest) == []


def test_processes_share_every_batch_and_have_as_many() -> None:
    alone = drawn(TrainSampler(CLIPS[:9], 4, seed=0))
    shares = [drawn(TrainSampler(CLIPS[:9], 4, seed=0, rank=rank, processes=2)) for rank in range(2)]
    assert [first + second for first, second in zip(*shares, strict=True)][:2] == alone[:2]
    assert [len(share) for share in shares] == [3, 3]
    assert sum(TrainSampler(CLIPS[:9], 4, 0, rank=rank, processes=2).parts()[-1][1] for rank in range(2)) == 1


def test_fixed_views_are_used_in_turn() -> None:
    sampler = TrainSampler(CLIPS, 10, seed=0, fixed_augmentations=2)
    keys = []
    for sampler.epoch in range(3):
        (batch,) = sampler
        keys.append(batch.rng_keys[batch.indices.argsort()])
    assert torch.equal(keys[0], keys[2]) and not torch.equal(keys[0], keys[1])
    views = FixedAugmentationSampler(torch.from_numpy(CLIPS), 2, batch_size=4)
    assert torch.equal(views.rng_keys[:, 0], keys[0]) and torch.equal(views.rng_keys[:, 1], keys[1])
    assert (len(views), views.num_clips, views.clips_before(4), views.view(4)) == (6, 20, 14, 1)


def test_a_test_has_every_clip_once_in_order() -> None:
    sampler = EvalSampler(CLIPS, 4)
    assert list(chain(*drawn(sampler))) == CLIPS.tolist()
    assert (len(sampler), sampler.num_clips, drawn(EvalSampler(CLIPS[:0], 4))) == (3, 10, [])
