"""Clips that take a share of another clip of their batch, and of its label."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from last.data.loading import counter_rng
from last.data.loading.loader import Batch
from last.data.loading.mixing import mixed
from last.data.loading.pipeline import InputPipeline
from last.data.loading.run_data import training_data
from last.data.store.find_store import find_store
from last.settings.data import AugmentConfig, DataConfig
from last.settings.run import RunConfig
from last.training.classification import Classification
from last.utils.errors import UserError

ADD, SPLICE, AXES = (
    AugmentConfig(rotation_degrees=[], **{name: 1.0}) for name in ("mix_add", "mix_splice", "mix_axes")
)
WAYS = pytest.mark.parametrize("config", [ADD, SPLICE, AXES], ids=["add", "splice", "axes"])


def batch_of(clips: int = 60, *, cameras: int = 3, frames: int = 10, missing: bool = False) -> Batch:
    """Return clips of which every third has two bodies; the joints of clip n are between n and n + 0.1."""
    numbers = torch.arange(clips)
    joints = torch.rand(clips, 3, frames, 25, 2) / 10 + numbers[:, None, None, None, None]
    frame_mask = torch.ones(clips, 2, frames, dtype=torch.bool)
    frame_mask[numbers % 3 > 0, 1] = False
    batch = Batch(
        joints * frame_mask.permute(0, 2, 1)[:, None, :, None],
        frame_mask,
        frame_mask.any(dim=2).flatten().nonzero().squeeze(1),
        labels=numbers % 5,
        indices=numbers,
        rng_keys=counter_rng.clip_keys(0, 0, numbers),
        cameras=numbers // 3 % cameras,
    )
    if not missing:
        return batch
    joint_mask = frame_mask[..., None] & (counter_rng.uniform(batch.rng_keys, 99, 500).view(clips, 2, 10, 25) < 0.8)
    return replace(batch, joint_mask=joint_mask, joints=batch.joints * joint_mask.permute(0, 2, 3, 1)[:, None])


def partners_of(batch: Batch) -> tuple[Tensor, Tensor]:
    assert batch.partners is not None and batch.partner_shares is not None
    return batch.partners, batch.partner_shares


@WAYS
@pytest.mark.parametrize("missing", [False, True])
def test_partners_are_of_the_same_camera_and_have_the_same_bodies(config: AugmentConfig, missing: bool) -> None:
    batch = batch_of(missing=missing)
    assert batch.cameras is not None
    found = mixed(batch, config)
    partners, shares = partners_of(found)
    assert (partners != torch.arange(60)).all() and (shares >= 0).all() and (shares <= 0.5).all()
    assert torch.equal(batch.cameras[partners], batch.cameras) and torch.equal(batch.bodies[partners], batch.bodies)
    assert torch.equal(found.bodies, batch.bodies) and torch.equal(found.body_slots, batch.body_slots)
    assert len(partners.unique()) > 30


def test_a_sum_is_weighted_by_the_share() -> None:
    batch = batch_of()
    found = mixed(batch, replace(ADD, mix_share=0.3))
    partners, shares = partners_of(found)
    assert 0.13 < float(shares.mean()) < 0.17 and float(shares.max()) < 0.3
    wanted = batch.joints + shares[:, None, None, None, None] * (batch.joints[partners] - batch.joints)
    torch.testing.assert_close(found.joints, wanted)


def test_a_splice_has_the_first_frames_of_one_and_the_last_of_the_other() -> None:
    batch = batch_of()
    found = mixed(batch, SPLICE)
    partners, shares = partners_of(found)
    own, other = ((found.joints == each).all(dim=(1, 3, 4)) for each in (batch.joints, batch.joints[partners]))
    assert (own ^ other).all()
    assert torch.equal(other.float().mean(dim=1), shares) and shares.unique().numel() == 6
    changes = (own[:, 1:] != own[:, :-1]).sum(dim=1)
    assert torch.equal(changes, (shares > 0).int())
    theirs_first = other[shares > 0, 0].float().mean()
    assert 0.3 < float(theirs_first) < 0.7


@pytest.mark.parametrize("coordinates", [2, 3])
def test_one_axis_is_that_of_the_other_clip(coordinates: int) -> None:
    batch = batch_of()
    batch = replace(batch, joints=batch.joints[:, :coordinates])
    found = mixed(batch, AXES)
    partners, shares = partners_of(found)
    other = (found.joints == batch.joints[partners]).all(dim=(2, 3, 4))
    own = (found.joints == batch.joints).all(dim=(2, 3, 4))
    assert (other.sum(dim=1) == 1).all() and (own ^ other).all() and other.any(dim=0).all()
    assert torch.equal(shares, torch.full((60,), 1 / coordinates))


def test_a_joint_is_missing_where_it_is_missing_in_a_clip_that_a_mixed_one_is_made_of() -> None:
    batch = batch_of(missing=True)
    assert batch.joint_mask is not None
    for config in (ADD, AXES):
        found = mixed(batch, config)
        partners, _ = partners_of(found)
        assert torch.equal(found.joint_mask, batch.joint_mask & batch.joint_mask[partners])
    found = mixed(batch, SPLICE)
    assert found.joint_mask is not None
    seen = found.joint_mask.permute(0, 2, 3, 1)[:, None].expand_as(found.joints)
    assert (found.joints[seen] != 0).all()
    assert torch.equal(found.frame_mask, found.joint_mask.any(dim=3))


def test_a_clip_that_would_lose_a_body_stays_as_it_is() -> None:
    batch = batch_of(2, cameras=1)
    keep = torch.zeros(2, 2, 10, 25, dtype=torch.bool)
    keep[0, 0, :5], keep[1, 0, 5:] = True, True  # no frame in common
    batch = replace(batch, frame_mask=keep.any(dim=3), joint_mask=keep)
    found = mixed(batch, ADD)
    assert partners_of(found)[1].tolist() == [0, 0] and torch.equal(found.joints, batch.joints)
    assert torch.equal(found.joint_mask, keep)


@WAYS
def test_a_batch_without_a_partner_stays_as_it_is(config: AugmentConfig) -> None:
    batch = batch_of(3, cameras=1)
    lonely = replace(batch, cameras=torch.arange(3))
    for each in (lonely, batch_of(1)):
        found = mixed(each, config)
        assert torch.equal(found.joints, each.joints) and not partners_of(found)[1].any()
        assert torch.equal(partners_of(found)[0], torch.arange(len(each)))


@WAYS
def test_partners_do_not_depend_on_the_order_of_a_batch(config: AugmentConfig) -> None:
    batch, order = batch_of(), torch.randperm(60)
    found = mixed(batch, config)
    names = ("joints", "frame_mask", "labels", "indices", "rng_keys", "cameras")
    other = mixed(replace(batch, **{name: getattr(batch, name)[order] for name in names}), config)
    assert torch.equal(other.joints, found.joints[order])
    assert torch.equal(order[partners_of(other)[0]], partners_of(found)[0][order])


def test_each_way_is_taken_as_often_as_configured() -> None:
    batch = batch_of(2000, cameras=1, frames=3)
    config = AugmentConfig(mix_add=0.2, mix_splice=0.1, mix_axes=0.3)
    partners, shares = partners_of(mixed(batch, config))
    other = partners != torch.arange(2000)
    third = torch.isclose(shares, torch.tensor(1 / 3))
    assert 0.56 < float(other.float().mean()) < 0.64
    assert 0.26 < float(third.float().mean()) < 0.45  # axes, and splices of one frame of three


def test_more_than_one_way_for_a_clip_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"mix_add: 0\.5, mix_splice: 0\.4 and mix_axes: 0\.2 should add up to at most 1"
    ):
        AugmentConfig(mix_add=0.5, mix_splice=0.4, mix_axes=0.2)
    assert AugmentConfig(mix_add=0.6, mix_splice=0.3, mix_axes=0.1).mixes and not AugmentConfig().mixes


def soft(labels: Tensor, batch: Batch, smoothing: float, classes: int) -> Tensor:
    """Return the target of each clip, (N, K): both labels with their shares, each smoothed."""
    partners, shares = partners_of(batch)
    hot = functional.one_hot(labels, classes).double()
    target = (1 - shares.double())[:, None] * hot + shares.double()[:, None] * hot[partners]
    return (1 - smoothing) * target + smoothing / classes


class Logits(torch.nn.Module):
    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(logits)

    def forward(self, *_: object, **__: object) -> Tensor:
        return self.logits


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_a_mixed_clip_is_that_of_both_labels(smoothing: float, weighted: bool) -> None:
    batch = mixed(batch_of(), ADD)
    logits = torch.randn(60, 5, dtype=torch.float64)
    weights = torch.tensor([0.5, 1.0, 2.0, 1.0, 0.25]) if weighted else None
    task = Classification(Logits(logits), smoothing, class_weights=weights)
    partners, shares = partners_of(batch)
    if weights is None:
        wanted = -(soft(batch.labels, batch, smoothing, 5) * logits.log_softmax(dim=1)).sum(dim=1).mean()
    else:
        each = [
            functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none") * weights[labels]
            for labels in (batch.labels, batch.labels[partners])
        ]
        wanted = ((1 - shares) * each[0] + shares * each[1]).mean()
    torch.testing.assert_close(task(batch).loss, wanted, check_dtype=False)
    unmixed = replace(batch, partners=None, partner_shares=None)
    assert torch.equal(task(unmixed).loss, task.cross_entropy(logits, batch.labels))


def test_only_known_labels_count_in_a_mixed_clip() -> None:
    batch = mixed(batch_of(), ADD)
    task = Classification(Logits(torch.randn(60, 5)), 0.1)
    known = torch.arange(60) % 2 == 0
    partners, shares = partners_of(batch)
    found = task.mixed_losses(task.model.logits, batch, known)
    own = task.clip_losses(task.model.logits, batch.labels)
    other = task.clip_losses(task.model.logits, batch.labels[partners])
    torch.testing.assert_close(found, (1 - shares) * own * known + shares * other * known[partners])


def test_training_mixes_and_a_test_does_not(tiny_config: Callable[..., RunConfig]) -> None:
    config = tiny_config("data.augment.mix_add=1", "batch_size=12", "data.augment.rotation_degrees=[]")
    data = training_data(config, find_store(config.data, Path(config.data_root)))
    (batch,) = data.loader
    found = data.pipeline.prepared(batch, training=True)
    assert found.partners is not None and not torch.equal(found.streams["joint"], data.pipeline(batch, False)["joint"])
    (tested,) = data.test.loaders[0]
    assert tested.cameras is None and data.pipeline.prepared(tested, training=False).partners is None
    plain = InputPipeline(DataConfig(augment=AugmentConfig(rotation_degrees=[])))
    assert torch.equal(plain(batch, training=True)["joint"], data.pipeline(batch, training=False)["joint"])
