"""How often the clips of rare classes are drawn, and how much they count in the loss."""

from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from last.data.loading.class_balance import ClassSampling, class_draws, class_weights
from last.data.loading.run_data import TrainingData, training_data
from last.data.loading.samplers import BatchIndices, FixedAugmentationSampler, TrainSampler
from last.data.store.find_store import find_store
from last.settings.run import RunConfig
from last.training.classification import Classification
from last.utils.errors import UserError

CLIPS = np.arange(100, 130)
LABELS = np.array([0] * 16 + [2] * 9 + [3] * 4 + [7])


def sampler(sampling: ClassSampling, *, repeats: int = 1, batch_size: int = 8, **more: Any) -> TrainSampler:
    classes = class_draws(LABELS, CLIPS, sampling, len(CLIPS) * repeats)
    return TrainSampler(CLIPS, batch_size, 0, repeats, classes=classes, **more)


def drawn(sampler: TrainSampler) -> list[list[int]]:
    return [batch.indices.tolist() for batch in sampler]


def draws_of_classes(clips: list[int]) -> dict[int, int]:
    return dict(sorted(Counter(int(LABELS[clip - CLIPS[0]]) for clip in clips).items()))


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("natural", {0: 32, 2: 18, 3: 8, 7: 2}),
        ("square_root", {0: 24, 2: 18, 3: 12, 7: 6}),
        ("balanced", {0: 15, 2: 15, 3: 15, 7: 15}),
    ],
)
def test_an_epoch_has_as_many_clips_and_those_of_each_class_as_often_as_asked(
    sampling: ClassSampling, expected: dict[int, int]
) -> None:
    of_epochs = sampler(sampling, repeats=2)
    assert of_epochs.num_clips == 60
    for of_epochs.epoch in range(3):
        batches = drawn(of_epochs)
        assert draws_of_classes(list(chain(*batches))) == expected
        assert [len(batch) for batch in batches] == [8] * 7 + [4]
    assert of_epochs.parts() == [(8, 8)] * 7 + [(4, 4)]


def test_draws_that_do_not_divide_evenly_add_up_to_the_epoch() -> None:
    for total in range(len(CLIPS), 50):
        draws = [each.draws for each in class_draws(LABELS, CLIPS, "square_root", total)]
        assert sum(draws) == total and min(draws) >= 1


def test_the_clips_of_a_class_are_drawn_equally_often_over_the_epochs() -> None:
    epochs = sampler("balanced")
    clips = [clip for epochs.epoch in range(7) for clip in chain(*drawn(epochs))]
    counts = Counter(clips)
    for label in np.unique(LABELS):
        of_class = [counts[clip] for clip in CLIPS[label == LABELS].tolist()]
        assert max(of_class) - min(of_class) <= 1


def test_the_draws_are_a_function_of_seed_and_epoch_and_a_resumed_epoch_has_the_rest() -> None:
    whole, rest = sampler("square_root"), sampler("square_root")
    whole.epoch = rest.epoch = 3
    batches = drawn(whole)
    assert drawn(sampler("square_root")) != batches == drawn(whole)
    rest.start = 16
    assert drawn(rest) == batches[2:]


def test_every_draw_of_a_clip_is_augmented_afresh() -> None:
    epochs = sampler("balanced")
    batches: list[BatchIndices] = [batch for epochs.epoch in range(3) for batch in epochs]
    keys = [int(key) for batch in batches for key in batch.rng_keys]
    assert len(set(keys)) == len(keys) == 90


def test_processes_share_the_batches() -> None:
    alone = drawn(sampler("balanced"))
    shares = [drawn(sampler("balanced", rank=rank, processes=2)) for rank in range(2)]
    assert [first + second for first, second in zip(*shares, strict=True)] == alone


def test_each_clip_shows_its_fixed_views_in_turn() -> None:
    epochs = sampler("balanced", fixed_augmentations=3)
    views = FixedAugmentationSampler(torch.from_numpy(CLIPS), 3).rng_keys.tolist()
    seen: dict[int, Counter[int]] = {clip: Counter() for clip in CLIPS.tolist()}
    for epochs.epoch in range(6):
        for batch in epochs:
            for clip, key in zip(batch.indices.tolist(), batch.rng_keys.tolist(), strict=True):
                seen[clip][views[clip - CLIPS[0]].index(key)] += 1
    for counts in seen.values():
        assert max(counts[view] for view in range(3)) - min(counts[view] for view in range(3)) <= 1


@pytest.mark.parametrize("kind", ["balanced", "effective"])
def test_weights_favour_rare_classes_and_their_mean_over_the_clips_is_one(kind: Any) -> None:
    weights = class_weights(LABELS, kind, 8)
    assert weights is not None
    assert weights[LABELS].mean().item() == pytest.approx(1)
    assert weights[7] > weights[3] > weights[2] > weights[0] and weights[1] == 1
    if kind == "balanced":
        assert (weights[7] / weights[0]).item() == pytest.approx(16)
    assert class_weights(LABELS, "none", 8) is None


def test_the_effective_number_is_that_of_the_paper() -> None:
    weights = class_weights(np.repeat([0, 1], [1, 300]), "effective", 2)
    assert weights is not None
    assert (weights[0] / weights[1]).item() == pytest.approx((1 - 0.99**300) / (1 - 0.99))


def test_a_clip_has_the_same_weight_in_every_batch() -> None:
    logits, labels = torch.randn(6, 3), torch.tensor([0, 0, 0, 0, 1, 2])
    weights = torch.tensor([0.5, 2.0, 1.5])
    task = Classification(torch.nn.Identity(), 0.1, class_weights=weights)
    each = functional.cross_entropy(logits, labels, label_smoothing=0.1, reduction="none") * weights[labels]
    assert torch.allclose(task.cross_entropy(logits, labels), each.mean())
    halves = [task.cross_entropy(logits[part], labels[part]) for part in (slice(0, 3), slice(3, 6))]
    assert torch.allclose(torch.stack(halves).mean(), each.mean())
    assert not task.extra_state()


def test_equal_weights_change_no_loss() -> None:
    logits, labels = torch.randn(6, 3), torch.tensor([0, 0, 1, 1, 2, 2])
    plain = Classification(torch.nn.Identity(), 0.1)
    weighted = Classification(torch.nn.Identity(), 0.1, class_weights=class_weights(labels.numpy(), "balanced", 3))
    assert torch.allclose(plain.cross_entropy(logits, labels), weighted.cross_entropy(logits, labels))


def made(config: RunConfig) -> TrainingData:
    return training_data(config, find_store(config.data, Path(config.data_root)))


def test_only_training_clips_whose_label_may_be_used_are_drawn(tiny_config: Callable[..., RunConfig]) -> None:
    keys = ("validation=split", "validation_fraction=0.3", "label_fraction=0.5")
    plain, balanced = made(tiny_config(*keys)), made(tiny_config(*keys, "class_sampling=balanced"))
    drawn_clips = {int(clip) for batch in balanced.sampler for clip in batch.indices}
    assert drawn_clips <= set(plain.sampler.indices.tolist()) == set(balanced.sampler.indices.tolist())


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        (("class_sampling=balanced", "class_weights=effective"), "twice"),
        (
            (
                "class_sampling=square_root",
                "label_fraction=0.5",
                "distillation.unlabelled=true",
                "distillation.teachers=[teacher.pth]",
            ),
            "unlabelled",
        ),
    ],
)
def test_settings_that_contradict_class_sampling_are_refused(
    keys: tuple[str, ...], named: str, tiny_config: Callable[..., RunConfig]
) -> None:
    with pytest.raises(UserError, match=named):
        made(tiny_config(*keys))
