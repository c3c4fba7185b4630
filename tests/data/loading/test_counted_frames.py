"""Which frames count in the statistics of a model: the same ones, whether a joint of another clip is missing or not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from last.data.loading.confidences import has_empty_frames
from last.data.loading.drop import JointDropper
from last.data.loading.loader import Batch, ClipDataset
from last.data.loading.missing import MissingJoints
from last.data.loading.pipeline import InputPipeline
from last.data.loading.samplers import BatchIndices
from last.data.store.clip import Clip, confidence_bytes
from last.data.store.reader import write_store
from last.models.stream_masks import stream_masks
from last.settings.data import AugmentConfig, DataConfig, SamplingConfig
from last.skeleton import load_layout

NTU = load_layout("ntu25")
FRAMES = 9


def a_clip(number: int, bodies: int = 1, absent: dict[int, slice] | None = None) -> Clip:
    joints = np.random.default_rng(number).normal(3, 1, size=(bodies, FRAMES, 25, 3)).astype(np.float32)
    mask = np.ones((bodies, FRAMES), bool)
    for body, frames in (absent or {}).items():
        mask[body, frames] = False
    return Clip(f"clip{number}", np.where(mask[..., None, None], joints, 0).astype(np.float32), mask, 0)


def missing_a_joint(clip: Clip) -> Clip:
    certain = np.where(clip.frame_mask[..., None], np.ones(clip.joints.shape[:3]), np.nan)
    certain[0, 4, 7] = np.nan
    joints = np.where(np.isnan(certain)[..., None], 0, clip.joints).astype(np.float32)
    return replace(clip, joints=joints, confidence=confidence_bytes(certain))


def a_batch(folder: Path, *clips: Clip, missing: MissingJoints = MissingJoints()) -> Batch:  # noqa: B008 - frozen
    store = write_store(folder, clips, name="tiny", layout="ntu25", classes=["a"])
    dataset = ClipDataset(store, FRAMES, SamplingConfig(test_crop=1.0), training=False, missing=missing)
    numbers = torch.arange(len(clips))
    batch = dataset[BatchIndices(numbers, numbers)]
    return InputPipeline(DataConfig(layout="ntu25", augment=AugmentConfig())).prepared(batch, training=False)


def counted(batch: Batch, clip: int) -> dict[str, Tensor]:
    """Return the values of the present bodies of a clip that enter the statistics, by stream."""
    bodies = batch.bodies[clip]
    if batch.masks:
        mask = batch.masks["joint_mask"][clip, bodies]
        masks = stream_masks(mask, torch.tensor(NTU.parents), list(batch.streams))
    else:  # everything counts
        masks = dict.fromkeys(batch.streams, torch.ones(int(bodies.sum()), FRAMES, 25, dtype=torch.bool))
    return {
        name: stream[clip].permute(3, 1, 2, 0)[bodies][masks[name]].sort(dim=0).values
        for name, stream in batch.streams.items()
    }


KINDS = {
    "whole": a_clip(0),
    "a second body that comes and goes": a_clip(1, 2, {1: slice(2, 5)}),
    "frames without a body": a_clip(2, 1, {0: slice(3, 6)}),
    "two bodies, frames without either": a_clip(3, 2, {0: slice(3, 6), 1: slice(2, 6)}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_joint_elsewhere_changes_nothing_that_counts_of_another_clip(kind: str, tmp_path: Path) -> None:
    clip, other = KINDS[kind], a_clip(9)
    alone = counted(a_batch(tmp_path / "whole", clip, other), 0)
    beside = counted(a_batch(tmp_path / "missing", clip, missing_a_joint(other)), 0)
    torch.testing.assert_close(alone, beside)


def test_frames_without_a_body_do_not_count_and_a_store_without_any_has_no_mask(tmp_path: Path) -> None:
    empty = a_batch(tmp_path / "empty", KINDS["frames without a body"], KINDS["whole"])
    assert [len(counted(empty, clip)["joint"]) for clip in (0, 1)] == [6 * 25, 9 * 25]
    whole = a_batch(tmp_path / "whole", KINDS["a second body that comes and goes"], KINDS["whole"])
    assert not whole.masks and len(counted(whole, 0)["joint"]) == 2 * 9 * 25


def test_a_dropped_frame_does_not_count_even_beside_another_body(tmp_path: Path) -> None:
    clips = a_clip(1, 2, {1: slice(2, 5)}), a_clip(2, 2)
    batch = a_batch(tmp_path / "store", *clips, missing=MissingJoints(0, JointDropper(NTU, frames=0.5)))
    dropped = torch.from_numpy(np.stack([clip.frame_mask for clip in clips])) & ~batch.frame_mask
    assert dropped.any() and not batch.masks["joint_mask"][dropped].any()
    assert batch.masks["joint_mask"][~dropped].all()


def test_empty_frames_are_found_by_clip() -> None:
    for clips, expected in (([0, 1], False), ([0, 2, 1], True), ([3], True), ([0], False)):
        chosen = [[*KINDS.values()][each] for each in clips]
        present = np.concatenate([clip.frame_mask.ravel() for clip in chosen])
        index = np.zeros(len(chosen), [("offset", np.int64), ("frames", np.int32), ("bodies", np.int32)])
        index["frames"], index["bodies"] = FRAMES, [len(clip.joints) for clip in chosen]
        index["offset"] = np.cumsum([0, *(clip.frame_mask.size for clip in chosen[:-1])])
        assert has_empty_frames(index, present) is expected
