"""One of two bodies is absent, or the second one becomes the first, with the origin."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from last.data.loading import counter_rng
from last.data.loading.body_choice import BodyChoice, body_choice
from last.data.loading.loader import Batch, ClipDataset, build_loader
from last.data.loading.pipeline import InputPipeline
from last.data.loading.placement import place_clips
from last.data.loading.run_data import training_dataset
from last.data.loading.samplers import BatchIndices, TrainSampler
from last.data.preparation.clean import finish_clip
from last.data.store.clip import Clip, confidence_bytes
from last.data.store.reader import Store, write_store
from last.settings.data import AugmentConfig, DataConfig, HardwareConfig, NormalizeConfig, SamplingConfig
from last.settings.run import RunConfig
from last.skeleton import load_layout

NTU = load_layout("ntu25")
WHOLE = SamplingConfig(crop_min=1.0, crop_max=1.0)
PLAIN = AugmentConfig(rotation_degrees=[])
FRAMES = 6


def recorded(number: int, hidden: bool) -> np.ndarray:
    """Return (M, T, V, C) of a recording: two bodies, every fourth has one; NaN where nothing was measured."""
    random = np.random.default_rng(number)
    points = random.normal(size=(1 if number % 4 == 3 else 2, FRAMES, 25, 3))
    if hidden:
        points[-1, :2] = np.nan  # the last body comes later
        points[:, :, 5] = np.nan
        if number % 4 == 1:
            points[:, :, NTU.center] = np.nan
    return points


def prepared(number: int, points: np.ndarray) -> Clip:
    joints, measured, _ = finish_clip(points, NTU.center)
    confidence = None if measured.all() else confidence_bytes(np.where(measured, 1.0, np.nan))
    return Clip(f"clip{number:02}", joints, measured.any(axis=2), number % 3, confidence=confidence)


def store_of(path: Path, *, hidden: bool = False, exchanged: bool = False) -> Store:
    def clips() -> Iterator[Clip]:
        for number in range(40):
            points = recorded(number, hidden)
            yield prepared(number, points[::-1] if exchanged else points)

    return write_store(path, clips(), name="pairs", layout="ntu25", classes=["a", "b", "c"])


def batch_of(store: Store, augment: AugmentConfig, placement: str = "ram", epoch: int = 0) -> Batch:
    numbers = torch.arange(len(store))
    clips = place_clips(store, placement, torch.device("cpu")).clips
    data = DataConfig(layout="ntu25", sampling=WHOLE, augment=augment, max_gap=0)
    dataset = training_dataset(data, FRAMES, store, clips)
    return dataset[BatchIndices(numbers, counter_rng.clip_keys(0, epoch, numbers))]


def streams_of(batch: Batch, **normalize: object) -> dict[str, torch.Tensor]:
    config = DataConfig(layout="ntu25", augment=PLAIN, normalize=NormalizeConfig(**normalize))  # type: ignore[arg-type]
    return InputPipeline(config)(batch, training=True)


@pytest.mark.parametrize("placement", ["ram", "disk"])
@pytest.mark.parametrize("hidden", [False, True])
def test_an_exchanged_clip_is_the_one_whose_recording_had_its_bodies_in_the_other_order(
    tmp_path: Path, hidden: bool, placement: str
) -> None:
    plain, swapped = (store_of(tmp_path / str(each), hidden=hidden, exchanged=each) for each in (False, True))
    found = batch_of(plain, replace(PLAIN, exchange_bodies=1.0), placement)
    wanted = batch_of(swapped, PLAIN, placement)
    assert torch.equal(found.frame_mask, wanted.frame_mask) and torch.equal(found.body_slots, wanted.body_slots)
    for name, normalize in (("none", {}), ("all", {"face_camera": True, "scale": "unit"})):
        ours, theirs = streams_of(found, **normalize), streams_of(wanted, **normalize)
        for stream, each in theirs.items():
            torch.testing.assert_close(ours[stream], each, atol=2e-5, rtol=0, msg=f"{name} {stream}")


def test_a_clip_from_which_a_body_is_dropped_is_that_of_the_other_body_alone(tmp_path: Path) -> None:
    plain, swapped = (store_of(tmp_path / str(each), exchanged=each) for each in (False, True))
    found, whole, other = (
        batch_of(plain, replace(PLAIN, drop_body=1.0)),
        batch_of(plain, PLAIN),
        batch_of(swapped, PLAIN),
    )
    assert found.bodies[:, 0].all() and not found.bodies[:, 1].any()
    assert found.body_slots.tolist() == [2 * number for number in range(40)]
    streams = [streams_of(each)["joint"][..., 0] for each in (found, whole, other)]
    same = [torch.isclose(streams[0], each, atol=2e-5, rtol=0).flatten(1).all(dim=1) for each in streams[1:]]
    two = torch.from_numpy(plain.clips["bodies"] == 2)
    assert ((same[0] | same[1]) & two).sum() == 30 and 8 < int(same[1].sum()) < 22


def test_bodies_are_chosen_as_often_as_configured_and_only_where_two_are_present() -> None:
    keys = counter_rng.clip_keys(0, 0, torch.arange(4000))
    choice = BodyChoice(drop=0.3, exchange=0.5, origins=torch.ones(4000, 3))
    present = torch.ones(4000, 2, dtype=torch.bool)
    present[::4, 1] = False
    present[1::4, 0] = False
    joints = torch.zeros(4000, 3, 1, 25, 2)
    joints[..., 1] = 2.0
    about = {"indices": torch.arange(4000), "rng_keys": keys}
    moved, mask, _ = choice(joints, present[..., None], None, strength=1.0, **about)
    both = present.all(dim=1)
    assert torch.equal(moved[~both], joints[~both]) and torch.equal(mask[~both, :, 0], present[~both])
    dropped, exchanged = ~mask[both, 1, 0], moved[both, 0, 0, 0, 0] == 1
    assert 0.26 < float(dropped.float().mean()) < 0.34
    assert 0.45 < float(exchanged[dropped].float().mean()) < 0.55
    assert 0.45 < float(exchanged[~dropped].float().mean()) < 0.55
    assert torch.equal(choice.bodies(present, keys, 1.0), mask[..., 0])
    half = choice.bodies(present, keys, 0.5)
    assert 0.12 < float((present & ~half).any(dim=1)[both].float().mean()) < 0.18
    assert torch.equal(choice.bodies(present, keys, 0.0), present)


def test_a_clip_has_the_same_bodies_in_any_batch_and_on_the_device(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store")
    augment = replace(PLAIN, drop_body=0.5, exchange_bodies=0.5)
    data = DataConfig(layout="ntu25", sampling=WHOLE, augment=augment)
    found = {}
    for size, resident in ((40, False), (7, False), (7, True)):
        clips = training_dataset(data, FRAMES, store, place_clips(store, "ram", torch.device("cpu")).clips)
        loader = build_loader(clips, TrainSampler(np.arange(40), size, seed=1), HardwareConfig(), resident)
        batches = list(loader)
        order = torch.cat([each.indices for each in batches]).argsort()
        found[size, resident] = [
            torch.cat([getattr(each, name) for each in batches])[order] for name in ("joints", "frame_mask")
        ]
        for batch in batches:
            assert torch.equal(batch.body_slots, batch.bodies.flatten().nonzero().squeeze(1))
    first, *others = found.values()
    assert all(torch.equal(*pair) for each in others for pair in zip(first, each, strict=True))


def test_a_frame_that_only_the_dropped_body_had_does_not_count(tmp_path: Path) -> None:
    points, there = recorded(0, hidden=False).astype(np.float32), np.ones((2, FRAMES), np.bool_)
    there[0, 4:], there[1, :2] = False, False
    clip = Clip("apart", points * there[..., None, None], there, 0)
    store = write_store(
        tmp_path / "apart", [clip, replace(clip, name="again")], name="a", layout="ntu25", classes=["a"]
    )
    assert not batch_of(store, PLAIN).masks
    batch = batch_of(store, replace(PLAIN, drop_body=1.0))
    (counted,) = batch.masks.values()
    assert batch.frame_mask[:, 0].sum(dim=1).tolist() == [4, 4]
    assert torch.equal(counted[:, 0].all(dim=2), batch.frame_mask[:, 0])


def test_tests_and_clips_of_one_body_know_no_choice(tmp_path: Path, tiny_config: Callable[..., RunConfig]) -> None:
    store = store_of(tmp_path / "store")
    numbers = torch.arange(4)
    dataset = ClipDataset(store, FRAMES, WHOLE, training=False)
    assert torch.equal(dataset[BatchIndices(numbers, numbers)].joints, dataset[BatchIndices(numbers, numbers)].joints)
    single = write_store(
        tmp_path / "single",
        (prepared(3, recorded(3, False)) for _ in range(1)),
        name="s",
        layout="ntu25",
        classes=["a"],
    )
    reader = place_clips(single, "ram", torch.device("cpu")).clips
    assert body_choice(single, reader, replace(PLAIN, drop_body=1.0)) is None
    assert body_choice(store, place_clips(store, "ram", torch.device("cpu")).clips, PLAIN) is None
