"""The placement of clips does not change what is read, and one that is too small is skipped with a warning."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from last.data.loading import placement as residence
from last.data.loading.loader import Batch, ClipDataset, build_loader
from last.data.loading.placement import available_memory, place_clips, too_large_for_memory
from last.data.loading.samplers import EvalSampler, TrainSampler
from last.data.store.clip import Clip, confidence_bytes
from last.data.store.reader import Store, write_store
from last.settings.data import HardwareConfig, SamplingConfig

CPU = torch.device("cpu")


def some_clips(count: int) -> Iterator[Clip]:
    """Yield clips of one and two bodies; some second bodies are present in the first frames alone."""
    generator = np.random.default_rng(0)
    for number in range(count):
        bodies, frames = 1 + number % 2, 6 + number
        valid = np.ones((bodies, frames), np.bool_)
        valid[1:, 2 if number % 4 == 1 else frames :] = False
        joints = generator.normal(size=(bodies, frames, 25, 3)).astype(np.float32) * valid[..., None, None]
        yield Clip(f"clip{number}", joints, valid, number % 3)


def with_missing_joints(clip: Clip) -> Clip:
    """Return a clip of which some joints are missing, others uncertain, the centre in its first frames."""
    generator = np.random.default_rng(clip.joints.size)
    certain = generator.random(clip.joints.shape[:3])
    certain[:, :2, 1] = 0.1
    confidence = confidence_bytes(np.where(certain < 0.2, np.nan, certain))
    confidence[:, :2, 1] = 20
    confidence[~clip.frame_mask] = 0
    return replace(clip, confidence=confidence, joints=np.where(confidence[..., None] > 0, clip.joints, 0))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return write_store(tmp_path / "store", some_clips(21), name="tiny", layout="ntu25", classes=["a", "b", "c"])


def batches(store: Store, kind: str, order: TrainSampler | EvalSampler) -> list[Batch]:
    place = place_clips(store, kind, CPU, min_confidence=0.3)
    assert place.kind == kind
    training = isinstance(order, TrainSampler)
    clips = ClipDataset(store, 8, SamplingConfig(), training=training, clips=place.clips)
    return list(build_loader(clips, order, HardwareConfig(), place.on_device))


UNMIXED = ("cameras", "partners", "partner_shares")


@pytest.mark.parametrize("kind", ["ram", "device"])
@pytest.mark.parametrize(
    "order",
    [
        TrainSampler(np.arange(21), 4, seed=3, repeats_per_epoch=2),
        EvalSampler(np.arange(21), 5),
        EvalSampler(np.arange(0), 5),
    ],
)
@pytest.mark.parametrize("missing", [False, True])
def test_batches_are_the_same_to_the_bit_wherever_the_clips_lie(
    tmp_path: Path, kind: str, order: TrainSampler | EvalSampler, missing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("last.data.loading.loader._CLIPS_AT_ONCE", 7)
    monkeypatch.setattr("last.data.store.row_file.CHUNK_ROWS", 70)
    clips = map(with_missing_joints, some_clips(21)) if missing else some_clips(21)
    store = write_store(tmp_path / "store", clips, name="tiny", layout="ntu25", classes=["a", "b", "c"])
    expected, found = batches(store, "disk", order), batches(store, kind, order)
    assert len(found) == len(expected) == len(order)
    for one, other in zip(expected, found, strict=True):
        assert one.streams == other.streams == {}, "they are derived later"
        assert (one.strength, one.padded) == (other.strength, other.padded) == (1.0, False)
        for name in vars(one).keys() - {"streams", "strength", "padded"}:
            if vars(one)[name] is None:
                assert vars(other)[name] is None
                assert name in UNMIXED or (name in ("joint_mask", "absent") and not missing)
                continue
            mine, theirs = vars(one)[name], vars(other)[name]
            assert torch.equal(mine, theirs) if isinstance(mine, torch.Tensor) else mine == theirs, name


def test_a_body_that_a_crop_has_missed_is_not_computed(store: Store) -> None:
    counted = [len(batch.body_slots) for batch in batches(store, "device", TrainSampler(np.arange(21), 21, seed=0))]
    assert 21 < counted[0] < 31, "the case of interest, a second body that no sampled frame has, did not happen"


def test_automatic_choice_is_memory_on_a_cpu(store: Store) -> None:
    assert str(place_clips(store, "auto", CPU)) == "clips in memory"


@pytest.mark.parametrize("wanted", ["device", "ram"])
def test_a_set_that_does_not_fit_falls_back_with_a_message(
    store: Store, wanted: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(residence, "available_memory", lambda: 1000.0)
    with caplog.at_level(logging.WARNING):
        assert place_clips(store, wanted, CPU).kind == "disk"
    assert "The clips of tiny take" in caplog.text


def test_clips_that_do_not_fit_into_the_memory_are_told_with_what_to_do(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert too_large_for_memory(store) == ""
    monkeypatch.setattr(residence, "available_memory", lambda: 1000.0)
    told = too_large_for_memory(store)
    assert "they stay on the disk" in told and "data.fps" in told


def test_several_processes_share_the_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residence, "available_memory", lambda: 4.0 * store.joints.nbytes)
    assert [place_clips(store, "auto", CPU, processes).kind for processes in (1, 2)] == ["ram", "disk"]


def test_running_out_of_memory_while_loading_falls_back_too(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def exhausted(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(residence, "_loaded", exhausted)
    assert place_clips(store, "device", CPU).kind == "disk"
    assert "next slower place" in caplog.text


def test_available_memory_is_no_more_than_a_container_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert available_memory() > 2**20
    (tmp_path / "limit").write_text("12345\n")
    monkeypatch.setattr(residence, "_CONTAINER_LIMITS", (str(tmp_path / "limit"), str(tmp_path / "none")))
    assert available_memory() == 12345


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_clips_lie_on_a_gpu_by_themselves_and_are_read_alike(store: Store) -> None:
    place = place_clips(store, "auto", torch.device("cuda"))
    assert place.kind == "device"
    order = TrainSampler(np.arange(21), 4, seed=3)
    clips = ClipDataset(store, 8, SamplingConfig(), training=True, clips=place.clips)
    for one, other in zip(
        build_loader(clips, order, HardwareConfig(), True), batches(store, "disk", order), strict=True
    ):
        torch.testing.assert_close(one.joints.cpu(), other.joints)
        assert torch.equal(one.body_slots.cpu(), other.body_slots)
