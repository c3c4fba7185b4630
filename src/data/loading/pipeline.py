"""From a sampled batch to what a model reads, on the device that computes."""

import torch
from torch import Tensor

from ...settings.data import DataConfig
from ...skeleton import Layout
from .augment import augment
from .loader import Batch
from .normalize import face_camera, scale_to_unit
from .streams import derive_streams


class InputPipeline:
    """Turn, augment, scale and derive the streams, in this order, so that one rotation turns all three alike.

    Args:
        config: what is done.
        layout: of the skeletons; that of `config` where it is None.
    """

    def __init__(self, config: DataConfig, layout: Layout | None = None) -> None:
        self.config = config
        self.layout = layout or config.skeleton

    def __call__(self, batch: Batch, training: bool) -> dict[str, Tensor]:
        """Return the streams of a batch, each (N, C, T, V, M), in the precision of its joints.

        A caller's autocast does not reach in here: in half precision the differences of neighbouring frames, which
        velocities are, would be mostly rounding.
        """
        with torch.no_grad(), torch.autocast(batch.joints.device.type, enabled=False):
            joints = batch.joints
            if self.config.normalize.face_camera:
                joints = face_camera(joints, batch.frame_mask, self.layout)
            if training:
                joints = augment(joints, self.config.augment, self.layout, batch.rng_keys)
            if self.config.normalize.scale == "unit":
                joints = scale_to_unit(joints, batch.frame_mask)
            return derive_streams(joints, batch.frame_mask, self.layout)
