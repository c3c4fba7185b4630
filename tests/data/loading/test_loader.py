"""Batches: what they hold and in which order they come."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from last.data.loading import loader
from last.data.loading.loader import Batch, ClipDataset, build_loader
from last.data.loading.samplers import EvalSampler, TrainSampler
from last.data.store.clip import Clip
from last.data.store.reader import Store, write_store
from last.settings.data import HardwareConfig, SamplingConfig


def some_clips(count: int = 7) -> Iterator[Clip]:
    for number in range(count):
        bodies, frames = 1 + number % 2, 5 + number
        joints = np.full((bodies, frames, 25, 3), number + 1, np.float32)
        yield Clip(f"clip{number}", joints, np.ones((bodies, frames), np.bool_), number % 3)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return write_store(tmp_path / "store", some_clips(), name="tiny", layout="ntu25", classes=["a", "b", "c"])


def batches(store: Store, order: TrainSampler | EvalSampler, workers: int = 0) -> list[Batch]:
    clips = ClipDataset(store, 8, SamplingConfig(), training=isinstance(order, TrainSampler))
    return list(build_loader(clips, order, HardwareConfig(num_workers=workers)))


def test_batch_has_the_shapes_of_the_specification(store: Store) -> None:
    batch = batches(store, EvalSampler(np.arange(7), 4))[0]
    assert batch.joints.shape == (4, 3, 8, 25, 2)
    assert batch.frame_mask.shape == (4, 2, 8)
    assert batch.labels.tolist() == [0, 1, 2, 0]


def test_rows_name_the_bodies_that_are_there(store: Store) -> None:
    batch = batches(store, EvalSampler(np.arange(4), 4))[0]
    assert batch.body_slots.tolist() == [0, 2, 3, 4, 6, 7]
    assert batch.bodies.tolist() == [[True, False], [True, True], [True, False], [True, True]]


def test_every_clip_keeps_its_own_joints(store: Store) -> None:
    for batch in batches(store, TrainSampler(np.arange(7), 3, seed=0)):
        for joints, number in zip(batch.joints, batch.indices, strict=True):
            torch.testing.assert_close(joints[..., 0], torch.full((3, 8, 25), float(number + 1)))


def test_test_order_draws_every_clip_once_with_the_short_batch_last(store: Store) -> None:
    found = batches(store, EvalSampler(np.array([1, 3, 4, 6]), 3))
    assert [batch.indices.tolist() for batch in found] == [[1, 3, 4], [6]]


def test_train_order_draws_every_clip_as_often_as_it_is_repeated() -> None:
    order = TrainSampler(np.arange(5), 4, seed=0, repeats_per_epoch=3)
    numbers = torch.cat([draw.indices for draw in order]).tolist()
    assert len(list(order)) == len(order) == 4
    assert sorted(numbers) == sorted([0, 1, 2, 3, 4] * 3)


def test_repeated_clips_are_augmented_freshly_each_time() -> None:
    keys = torch.cat([draw.rng_keys for draw in TrainSampler(np.arange(5), 4, seed=0, repeats_per_epoch=3)])
    assert len(keys.unique()) == 15


def test_train_order_is_a_function_of_seed_and_epoch() -> None:
    order = TrainSampler(np.arange(50), 50, seed=0)
    first = next(iter(order)).indices.tolist()
    order.epoch = 1
    second = next(iter(order)).indices.tolist()
    order.epoch = 0
    assert next(iter(order)).indices.tolist() == first != second


@pytest.mark.parametrize("order", [TrainSampler(np.arange(7), 3, seed=0), EvalSampler(np.arange(7), 3)])
def test_reading_takes_no_random_number_that_training_would_draw(
    store: Store, order: TrainSampler | EvalSampler
) -> None:
    before = torch.get_rng_state()
    batches(store, order)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("cores", "warnings"), [(1, 1), (2, 0)])
def test_more_workers_than_cores_are_reported_once_and_in_one_line(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, cores: int, warnings: int
) -> None:
    monkeypatch.setattr(loader, "usable_cores", lambda: cores)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)  # what torch queries
    loader._warn_of_too_many_workers.cache_clear()
    for _ in range(2):
        assert len(batches(store, EvalSampler(np.arange(len(store)), 4), workers=2)) == 2
    line = "hardware.num_workers is 2, but only 1 can run at once: loading may be slower than with fewer workers."
    assert [record.getMessage() for record in caplog.records] == [line] * warnings


@pytest.mark.slow
def test_workers_give_the_same_batches_as_this_process(store: Store) -> None:
    order = TrainSampler(np.arange(7), 3, seed=1)
    for here, there in zip(batches(store, order), batches(store, order, workers=1), strict=True):
        assert torch.equal(here.joints, there.joints)
        assert torch.equal(here.body_slots, there.body_slots)
