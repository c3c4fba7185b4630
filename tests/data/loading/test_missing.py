"""Missing joints: short gaps are interpolated, the rest has no part in anything that is computed from joints."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from last.data.loading.confidences import measured_joints
from last.data.loading.drop import JointDropper
from last.data.loading.loader import ClipDataset
from last.data.loading.missing import MissingJoints, fill_gaps
from last.data.loading.normalize import face_camera, scale_to_unit
from last.data.loading.pipeline import InputPipeline
from last.data.loading.placement import FileClipReader
from last.data.loading.run_data import training_data
from last.data.loading.samplers import BatchIndices
from last.data.loading.sampling import ClipSpans, read_positions
from last.data.loading.streams import derive_streams
from last.data.store.clip import Clip, confidence_bytes
from last.data.store.reader import Store, write_store
from last.settings.data import AugmentConfig, DataConfig, NormalizeConfig, ProtocolConfig, SamplingConfig
from last.settings.run import RunConfig
from last.skeleton import load_layout
from last.utils.errors import UserError

NTU = load_layout("ntu25")


def filled_plainly(joints: Tensor, mask: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Fill gaps by the rule, one at a time."""
    joints, filled = joints.clone(), mask.clone()
    clips, bodies, _, num_joints = mask.shape
    for clip, body, joint in np.ndindex(clips, bodies, num_joints):
        measured = mask[clip, body, :, joint].nonzero().flatten().tolist()
        for before, after in pairwise(measured):
            gap = range(before + 1, after)
            if 0 < len(gap) <= longest and all(mask[clip, body, frame].any() for frame in gap):
                ends = joints[clip, :, before, joint, body], joints[clip, :, after, joint, body]
                for frame in gap:
                    joints[clip, :, frame, joint, body] = torch.lerp(*ends, (frame - before) / (after - before))
                    filled[clip, body, frame, joint] = True
    return joints * filled.permute(0, 2, 3, 1)[:, None], filled


@pytest.mark.parametrize("longest", [0, 1, 3, 5, 15, 40])
def test_gaps_are_filled_by_the_rule(longest: int) -> None:
    joints, mask = torch.randn(3, 3, 16, 5, 2, dtype=torch.float64), torch.rand(3, 2, 16, 5) > 0.4
    mask[0, 0, 5:7] = mask[1, 1, 3] = mask[2, 0] = False  # a body that is absent for some frames, or always
    found, filled = fill_gaps(joints, mask, longest)
    expected, expected_mask = filled_plainly(joints, mask, longest)
    assert torch.equal(filled, expected_mask)
    torch.testing.assert_close(found, expected)


def test_a_gap_at_the_end_or_the_beginning_is_not_filled() -> None:
    joints, mask = torch.ones(1, 3, 6, 2, 1), torch.ones(1, 1, 6, 2, dtype=torch.bool)
    mask[0, 0, :2, 1] = mask[0, 0, 5:, 1] = False
    found, filled = fill_gaps(joints, mask, 5)
    assert torch.equal(filled, mask)
    assert not found[0, :, :2, 1].any()


def test_without_missing_joints_a_batch_stays_as_it_is() -> None:
    joints, frame_mask = torch.randn(2, 3, 6, 25, 1), torch.ones(2, 1, 6, dtype=torch.bool)
    dropper = JointDropper(NTU, random_shares=True)
    found = MissingJoints(5, dropper)(joints, frame_mask, None, torch.arange(2))
    assert found[0] is joints and found[1] is frame_mask and found[2] is None


def test_a_frame_that_lost_all_its_joints_is_a_frame_without_the_body() -> None:
    mask = torch.ones(1, 1, 6, 25, dtype=torch.bool)
    mask[0, 0, 2:4] = False
    _, frame_mask, joint_mask = MissingJoints(5)(
        torch.randn(1, 3, 6, 25, 1), torch.ones(1, 1, 6, dtype=torch.bool), mask, torch.arange(1)
    )
    assert frame_mask.tolist() == [[[True, True, False, False, True, True]]]
    assert torch.equal(joint_mask, mask)


def test_streams_are_zero_where_either_end_is_missing() -> None:
    joints, mask = torch.randn(1, 3, 5, 25, 1) + 5, torch.ones(1, 1, 5, 25, dtype=torch.bool)
    mask[0, 0, 2, 4] = False  # left shoulder
    streams = derive_streams(joints, mask, NTU)
    assert not streams["joint"][0, :, 2, 4].any()
    assert not streams["velocity"][0, :, 1:3, 4].any() and streams["velocity"][0, :, 0, 4].all()
    children = [child for child, parent in NTU.bones if parent == 4]
    assert children and not streams["bone"][0, :, 2, [4, *children]].any()
    untouched = [joint for joint in range(25) if joint not in (4, *children, NTU.root)]
    assert streams["bone"][0, :, 2, untouched].all()


def test_a_mask_of_whole_frames_gives_the_streams_of_the_frame_mask() -> None:
    joints, frame_mask = torch.randn(2, 3, 5, 25, 2), torch.rand(2, 2, 5) > 0.3
    by_frame = derive_streams(joints, frame_mask, NTU)
    by_joint = derive_streams(joints, frame_mask[..., None].expand(2, 2, 5, 25), NTU)
    for name, stream in by_frame.items():
        assert torch.equal(stream, by_joint[name]), name
    for normalise in (lambda mask: face_camera(joints, mask, NTU), lambda mask: scale_to_unit(joints, mask)):
        torch.testing.assert_close(normalise(frame_mask), normalise(frame_mask[..., None].expand(2, 2, 5, 25)))


def test_values_at_missing_joints_have_no_part_in_facing_the_camera_or_in_scaling() -> None:
    joints, mask = torch.randn(2, 3, 5, 25, 2), torch.rand(2, 2, 5, 25) > 0.4
    mask[0, 0, 0] = False
    garbage = torch.where(mask.permute(0, 2, 3, 1)[:, None], joints, 77.0)
    there = mask.permute(0, 2, 3, 1)[:, None].expand_as(joints)
    for normalise in (lambda points: face_camera(points, mask, NTU), lambda points: scale_to_unit(points, mask)):
        assert torch.equal(normalise(joints)[there], normalise(garbage)[there])


def test_a_body_is_turned_by_the_pairs_that_were_measured() -> None:
    joints, mask = torch.randn(1, 3, 4, 25, 1), torch.zeros(1, 1, 4, 25, dtype=torch.bool)
    left, right = NTU.trunk_pairs[0]
    mask[0, 0, 2, [left, right]] = True
    turned = face_camera(joints, mask, NTU)
    across = turned[0, :, 2, right, 0] - turned[0, :, 2, left, 0]
    assert across[0] > 0
    torch.testing.assert_close(across[2], torch.tensor(0.0), atol=1e-5, rtol=0)


# From a store


def a_clip(number: int, frames: int = 9) -> Clip:
    generator = np.random.default_rng(number)
    joints = generator.normal(size=(1, frames, 25, 3)).astype(np.float32)
    joints -= joints[0, 0, NTU.center]
    return Clip(f"clip{number}", joints, np.ones((1, frames), bool), number % 2)


def a_store(folder: Path, *clips: Clip) -> Store:
    return write_store(folder / "store", clips, name="tiny", layout="ntu25", classes=["a", "b"])


def test_a_joint_below_the_threshold_is_missing_when_clips_are_loaded(tmp_path: Path) -> None:
    clip = a_clip(0)
    certain = np.ones((1, 9, 25))
    certain[0, 3, 7], certain[0, 4, 8], certain[0, 5, 9] = 0.3, 0.29, np.nan
    joints = clip.joints.copy()
    joints[0, 5, 9] = 0
    store = a_store(tmp_path, replace(clip, joints=joints, confidence=confidence_bytes(certain)), a_clip(1))
    assert np.argwhere(~store[0].joint_mask).tolist() == [[0, 5, 9]]
    for threshold, missing in ((0.0, [[5, 9]]), (0.3, [[4, 8], [5, 9]]), (0.31, [[3, 7], [4, 8], [5, 9]])):
        reader = FileClipReader(store, threshold)
        spans = ClipSpans(torch.tensor([0]), torch.tensor([9]), torch.tensor([1]))
        found, _, mask = read_positions(reader, spans, torch.arange(9.0)[None], 1)
        assert mask is not None
        assert (~mask[0, 0]).nonzero().tolist() == missing
        assert not found[0, 0][~mask[0, 0]].any()


def test_a_store_of_which_nothing_is_missing_has_no_mask(tmp_path: Path) -> None:
    certain = np.full((1, 9, 25), 0.5)
    store = a_store(tmp_path, replace(a_clip(0), confidence=confidence_bytes(certain)))
    assert store.confidence is not None
    assert measured_joints(store, np.array(store.valid), 0.5) is None
    assert measured_joints(store, np.array(store.valid), 0.51) is not None


def test_a_joint_is_read_from_the_neighbouring_frame_that_has_it(tmp_path: Path) -> None:
    clip = a_clip(0)
    certain = np.ones((1, 9, 25))
    certain[0, 4, 6] = np.nan
    joints = clip.joints.copy()
    joints[0, 4, 6] = 0
    store = a_store(tmp_path, replace(clip, joints=joints, confidence=confidence_bytes(certain)))
    spans = ClipSpans(torch.tensor([0]), torch.tensor([9]), torch.tensor([1]))
    found, _, mask = read_positions(FileClipReader(store), spans, torch.tensor([[3.4, 3.6, 5.0]]), 1)
    assert mask is not None and mask[0, 0, :, 6].tolist() == [True, False, True]
    torch.testing.assert_close(found[0, 0, 0, 6], torch.from_numpy(clip.joints[0, 3, 6]))


def test_a_clip_whose_centre_is_not_confident_is_centred_on_the_first_frame_where_it_is(tmp_path: Path) -> None:
    certain = np.ones((1, 9, 25))
    certain[0, :3, NTU.center] = 0.2
    store = a_store(tmp_path, a_clip(1), replace(a_clip(0), confidence=confidence_bytes(certain)))

    def first_batch(threshold: float) -> Tensor:
        dataset = ClipDataset(
            store, 9, SamplingConfig(test_crop=1.0), training=False, clips=FileClipReader(store, threshold)
        )
        return dataset[BatchIndices(torch.arange(2), torch.arange(2))].joints[..., 0]

    kept, moved = first_batch(0.0), first_batch(0.5)
    origin = torch.tensor(store[1].joints[0, 3, NTU.center])
    assert torch.equal(kept[0], moved[0])
    torch.testing.assert_close(moved[1, :, 3, NTU.center], torch.zeros(3))
    torch.testing.assert_close(moved[1, :, 5], kept[1, :, 5] - origin[:, None])
    assert not moved[1, :, 0, NTU.center].any()


def test_the_pipeline_never_sees_what_a_missing_joint_held(tmp_path: Path) -> None:
    clips = [a_clip(number) for number in range(4)]
    certain = np.random.default_rng(5).random((1, 9, 25))
    config = DataConfig(
        layout="ntu25", normalize=NormalizeConfig(face_camera=True, scale="unit"), augment=AugmentConfig(), max_gap=2
    )
    found = []
    for number, filler in enumerate((0.0, 500.0)):
        uncertain = [
            replace(clip, joints=np.where(certain[..., None] < 0.4, filler, clip.joints).astype(np.float32))
            for clip in clips
        ]
        with_confidence = [replace(clip, confidence=confidence_bytes(certain)) for clip in uncertain]
        store = a_store(tmp_path / str(number), *with_confidence)
        dataset = ClipDataset(
            store,
            8,
            config.sampling,
            training=True,
            clips=FileClipReader(store, 0.4),
            missing=MissingJoints(config.max_gap),
        )
        batch = dataset[BatchIndices(torch.arange(4), torch.arange(4))]
        found.append([*InputPipeline(config)(batch, training=True).values(), batch.joint_mask])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def hardly_measured(number: int) -> Clip:
    return replace(a_clip(number), confidence=confidence_bytes(np.full((1, 9, 25), 0.1)))


def a_run(**changes: Any) -> RunConfig:
    protocols = {"own": ProtocolConfig(by="subject", train=[1], test=[2])}
    data = DataConfig(name="tiny", classes=["a", "b"], protocols=protocols, split="own", **changes)
    return RunConfig(data=data, input_frames=8, batch_size=4)


def test_training_leaves_out_clips_without_a_confident_joint_and_names_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = [replace(a_clip(number), subject=1 + number // 4) for number in range(6)]
    clips[1] = replace(hardly_measured(1), subject=1)
    store = a_store(tmp_path, *clips)
    data = training_data(a_run(min_confidence=0.5), store)
    assert sorted(data.sampler.indices.tolist()) == [0, 2, 3]
    assert (
        "1 training clip of 4 without a joint of the confidence data.min_confidence=0.5 left out: clip1" in caplog.text
    )
    assert sorted(training_data(a_run(), store).sampler.indices.tolist()) == [0, 1, 2, 3]


def test_a_threshold_that_leaves_no_training_clip_is_refused(tmp_path: Path) -> None:
    clips = [replace(hardly_measured(number), subject=1 + number % 2) for number in range(4)]
    with pytest.raises(UserError, match=r"2 training clips of 2 without a joint .*Lower it"):
        training_data(a_run(min_confidence=0.5), a_store(tmp_path, *clips))


def test_a_tested_clip_without_a_confident_joint_has_no_body(tmp_path: Path) -> None:
    clips = [replace(a_clip(0), subject=1), replace(hardly_measured(1), subject=2), replace(a_clip(2), subject=2)]
    data = training_data(a_run(min_confidence=0.5), a_store(tmp_path, *clips))
    (batch,) = data.test.loaders[0]
    assert batch.bodies.tolist() == [[False], [True]]


def test_mirroring_a_clip_mirrors_what_is_missing(tmp_path: Path) -> None:
    clip = a_clip(0)
    certain = np.ones((1, 9, 25))
    left = [NTU.joints.index(name) for name in ("left_elbow", "left_wrist", "left_knee")]
    certain[0, :, left] = np.nan
    joints = np.where(np.isnan(certain)[..., None], 0, clip.joints).astype(np.float32)
    there = np.nan_to_num(certain[..., NTU.mirrored]).astype(bool)
    seen_in_a_mirror = np.where(there[..., None], joints[:, :, NTU.mirrored] * [-1, 1, 1], 0).astype(np.float32)
    recordings = {
        "as it is": replace(clip, joints=joints, confidence=confidence_bytes(certain)),
        "in a mirror": replace(
            clip, joints=seen_in_a_mirror, confidence=confidence_bytes(np.where(there, 1.0, np.nan))
        ),
    }
    found = {}
    for name, probability in (("as it is", 1.0), ("in a mirror", 0.0)):
        augment = AugmentConfig(rotation_degrees=[], mirror_probability=probability)
        config = DataConfig(layout="ntu25", normalize=NormalizeConfig(face_camera=True, scale="unit"), augment=augment)
        store = a_store(tmp_path / name, recordings[name])
        dataset = ClipDataset(store, 8, config.sampling, training=True, missing=MissingJoints(3))
        found[name] = InputPipeline(config).prepared(dataset[BatchIndices(torch.arange(1), torch.arange(1))], True)
    mirrored, expected = found["as it is"], found["in a mirror"]
    assert mirrored.joint_mask is not None and expected.joint_mask is not None
    assert torch.equal(mirrored.joint_mask, expected.joint_mask)
    for name, stream in mirrored.streams.items():
        torch.testing.assert_close(stream, expected.streams[name], atol=1e-5, rtol=1e-5)


def test_a_clip_whose_centre_is_never_confident_is_centred_on_the_mean_of_its_confident_joints(tmp_path: Path) -> None:
    certain = np.ones((1, 9, 25))
    certain[0, :, NTU.center] = 0.2
    certain[0, :2] = 0.1
    store = a_store(tmp_path, replace(a_clip(0), confidence=confidence_bytes(certain)))
    reader = FileClipReader(store, 0.5)
    dataset = ClipDataset(store, 9, SamplingConfig(test_crop=1.0), training=False, clips=reader)
    batch = dataset[BatchIndices(torch.arange(1), torch.arange(1))]
    others = [joint for joint in range(25) if joint != NTU.center]
    torch.testing.assert_close(batch.joints[0, :, 2, others, 0].mean(dim=1), torch.zeros(3), atol=1e-6, rtol=0)
    assert not batch.bodies.all() or not batch.frame_mask[0, 0, :2].any()


def test_an_added_stream_is_zero_where_a_joint_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from last.data.loading import added_streams

    class Ones:
        @staticmethod
        def derive(streams: dict[str, Tensor], *_: Any) -> Tensor:
            return torch.ones_like(streams["joint"])

    monkeypatch.setattr(added_streams, "get_stream", lambda _: Ones)
    monkeypatch.setattr(added_streams, "settings_from", lambda *_: None)
    mask = torch.rand(2, 1, 5, 25) > 0.4
    streams = {"joint": torch.randn(2, 3, 5, 25, 1)}
    found = added_streams.AddedStreams({"ones": {}})(streams, mask.any(dim=3), NTU, mask)["ones"]
    assert torch.equal(found[:, 0, ..., 0].bool(), mask[:, 0])
