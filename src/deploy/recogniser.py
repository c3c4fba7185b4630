"""The network of an exported file: from joints to logits, including normalisation and streams.

Legend: N clips, M bodies, B = N*M folded bodies, C coordinates, T frames, V joints, D features.
"""

import torch
from torch import Tensor, nn

from ..data.loading.loader import Batch
from ..data.loading.missing import fill_gaps
from ..data.loading.normalize import face_camera, scale_to_unit
from ..data.loading.pipeline import InputPipeline
from ..models.classifier import SkeletonClassifier
from ..models.last_e import LastE
from ..models.multi_body import STREAMS, average_bodies
from ..settings.data import DataConfig
from .fused import fold


def measured_joints(joints: Tensor, max_gap: int) -> tuple[Tensor, Tensor]:
    """Return joints as a model takes them, and which of them were measured or interpolated, (N, M, T, V) bool.

    A joint with a NaN is missing; a body is absent in a frame in which all of its joints are zero or all are missing.
    If some are missing, the others count as measured even at zero: a lone joint is the origin of its clip.

    Args:
        joints: (N, C, T, V, M).
        max_gap: the longest gap of a joint, in frames, that is interpolated.
    """
    missing = joints.isnan().any(dim=1)  # (N, T, V, M)
    joints = torch.where(missing[:, None], 0.0, joints)
    present = (joints.abs().amax(dim=(1, 3)) > 0) | missing.any(dim=2)  # (N, T, M)
    joint_mask = (~missing & present[:, :, None]).permute(0, 3, 1, 2)
    return fill_gaps(joints, joint_mask, max_gap)


class Recogniser(nn.Module):
    """Classify clips from their joints, with a folded network.

    Args:
        model: a trained LAST-E, which is not changed.
        data: the data configuration of its run: layout and normalisation.
        frames: T, which is fixed.
    """

    def __init__(self, model: LastE, data: DataConfig, frames: int) -> None:
        super().__init__()
        self.layout = data.skeleton
        self.normalize, self.max_gap = data.normalize, data.max_gap
        self.network = fold(model, frames, self.layout.parents)

    def forward(self, joints: Tensor) -> Tensor:
        """Return the logits (N, classes) of joints (N, C, T, V, M), NaN where one is missing, 0 where a body is."""
        joints, joint_mask = measured_joints(joints, self.max_gap)
        folded = self._normalised(joints, joint_mask).permute(0, 4, 1, 3, 2).flatten(0, 1)  # (N*M, C, V, T)
        measured = joint_mask.to(joints.dtype).transpose(2, 3).flatten(0, 1).unsqueeze(1)  # (N*M, 1, V, T)
        features = self.network(folded, measured)  # (N*M, D)
        if joints.shape[4] > 1:
            features = average_bodies(features, joint_mask.any(dim=(2, 3)), None)  # (N, D)
        return _nan_without_body(self.network.classifier(features), joint_mask)

    def _normalised(self, joints: Tensor, joint_mask: Tensor) -> Tensor:
        """Normalise clips as in training; (N, C, T, V, M) -> the same."""
        if self.normalize.face_camera:
            joints = face_camera(joints, joint_mask, self.layout)
        return scale_to_unit(joints, joint_mask) if self.normalize.scale == "unit" else joints


class PlainRecogniser(nn.Module):
    """Classify clips from their joints, with an unchanged model.

    Args:
        model: a trained model of any family.
        data: the data configuration of its run: layout and normalisation.
    """

    def __init__(self, model: SkeletonClassifier, data: DataConfig) -> None:
        super().__init__()
        self.model, self.pipeline = model, _pipeline(model, data)

    def forward(self, joints: Tensor) -> Tensor:
        """Return the logits (N, classes) of joints (N, C, T, V, M), NaN where one is missing, 0 where a body is."""
        logits = _logits(self.model, self.pipeline, joints, check_values=False)
        return _nan_without_body(logits, measured_joints(joints, 0)[1])


def _nan_without_body(logits: Tensor, joint_mask: Tensor) -> Tensor:
    """Return the logits (N, classes), NaN for clips of which no joint was measured; runtimes would differ in them."""
    return torch.where(joint_mask.any(dim=3).any(dim=2).any(dim=1)[:, None], logits, torch.nan)


def recogniser_of(model: SkeletonClassifier, data: DataConfig, frames: int) -> nn.Module:
    """Return the network to export: a folded LAST-E; an unchanged model of another family or with other streams."""
    if isinstance(model, LastE) and model.streams == STREAMS:
        return Recogniser(model, data, frames)
    return PlainRecogniser(model, data)


@torch.no_grad()
def evaluated_logits(model: nn.Module, data: DataConfig, joints: Tensor) -> Tensor:
    """Return the logits (N, classes) that `evaluate` computes for joints (N, C, T, V, M)."""
    return _logits(model, _pipeline(model, data), joints)


def _pipeline(model: nn.Module, data: DataConfig) -> InputPipeline:
    added = model.facts.added_streams if isinstance(model, SkeletonClassifier) else {}
    return InputPipeline(data, added_streams=added)


def _logits(model: nn.Module, pipeline: InputPipeline, joints: Tensor, **options: bool) -> Tensor:
    joints, joint_mask = measured_joints(joints, pipeline.config.max_gap)
    frame_mask = joint_mask.any(dim=3)  # (N, M, T)
    indices = torch.arange(len(joints))
    slots = torch.arange(frame_mask[..., 0].numel())
    batch = Batch(joints, frame_mask, slots, indices, indices, indices, joint_mask)
    logits: Tensor = model(pipeline(batch, training=False), batch.bodies, **options)
    return logits
