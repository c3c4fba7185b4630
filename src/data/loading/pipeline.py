"""From a sampled batch to the model's input streams, on the training device."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ...settings.data import DataConfig
from ...skeleton import Layout
from .added_streams import AddedStreams
from .annealing import at_strength
from .augment import augment, mirrored_mask
from .augmentations import AddedAugmentations
from .drift import drifting
from .drop_axis import without_axis
from .loader import Batch
from .mixing import mixed
from .normalize import face_camera, scale_to_unit
from .streams import derive_streams
from .views import PLAIN, View


class InputPipeline:
    """The steps from joints to streams: face the camera, augment, scale, derive; all streams share one rotation.

    Args:
        config: which of these steps to apply.
        layout: the joint layout; that of `config` if None.
        added_streams: the settings of each stream in addition to joint, velocity and bone, by name.
        view: how tested clips are turned or mirrored; as training does it, after they face the camera.
    """

    def __init__(
        self,
        config: DataConfig,
        layout: Layout | None = None,
        added_streams: Mapping[str, Mapping[str, Any]] = {},
        view: View = PLAIN,
    ) -> None:
        self.config, self.view = config, view
        self.layout = layout or config.skeleton
        self._added_streams = AddedStreams(added_streams)

    @cached_property
    def _added(self) -> AddedAugmentations:
        return AddedAugmentations(self.config.augment)  # created in training only: a trained model does not need them

    def __call__(self, batch: Batch, training: bool) -> dict[str, Tensor]:
        """Return the streams of a batch, each (N, C, T, V, M)."""
        return dict(self.prepared(batch, training).streams)

    def prepared(self, batch: Batch, training: bool) -> Batch:
        """Return a batch with its streams, each (N, C, T, V, M) in the precision of its joints, and their joint mask.

        The joint mask is that of the streams: in a mirrored clip a missing left joint is a missing right one.

        Autocast is disabled here: in half precision the velocities, differences of neighbouring frames, would be mostly
        rounding error.
        """
        with torch.no_grad(), torch.autocast(batch.joints.device.type, enabled=False):
            joints, mask, joint_mask = batch.joints, batch.mask, batch.joint_mask
            if self.config.normalize.face_camera:
                joints = face_camera(joints, mask, self.layout)
            how = at_strength(self.config.augment, batch.strength)
            if training:
                if how.mixes:
                    batch = mixed(replace(batch, joints=joints), how)
                    joints, mask, joint_mask = batch.joints, batch.mask, batch.joint_mask
                joints = augment(joints, how, self.layout, batch.rng_keys)
                if how.drift_metres > 0:
                    joints = drifting(joints, how.drift_metres, batch.rng_keys)
                if joint_mask is not None:
                    mask = joint_mask = mirrored_mask(joint_mask, how, self.layout, batch.rng_keys)
                joints = self._added(joints, self.layout, batch.frame_mask, batch.rng_keys, batch.strength)
            elif self.view != PLAIN:
                joints, joint_mask = self.view(joints, joint_mask, self.layout)
                mask = mask if joint_mask is None else joint_mask
            if self.config.normalize.scale == "unit":
                joints = scale_to_unit(joints, mask)
            if training and how.drop_axis > 0:
                joints = without_axis(joints, how.drop_axis, batch.rng_keys)
            streams = derive_streams(joints, mask, self.layout)
            streams = self._added_streams(streams, batch.frame_mask, self.layout, mask)
            return replace(batch, streams=streams, joint_mask=joint_mask)
