"""The network of an exported file: from joints to logits, including normalisation and streams.

Legend: N clips, M bodies, B = N*M folded bodies, C coordinates, T frames, V joints, D features.
"""

import torch
from torch import Tensor, nn

from ..data.loading.loader import Batch
from ..data.loading.normalize import face_camera, scale_to_unit
from ..data.loading.pipeline import InputPipeline
from ..models.classifier import SkeletonClassifier
from ..models.last_e import LastE
from ..models.multi_body import STREAMS, average_bodies
from ..settings.data import DataConfig
from .fused import fold


def bodies_present(joints: Tensor) -> Tensor:
    """Return in which frames each body is present, (N, M, T) bool: those in which not all its joints are zero.

    Stores have zeros where a body is absent, and a present body never has all its joints at one point.

    Args:
        joints: (N, C, T, V, M).
    """
    return (joints.abs().amax(dim=(1, 3)) > 0).transpose(1, 2)


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
        self.normalize = data.normalize
        self.network = fold(model, frames, self.layout.parents)

    def forward(self, joints: Tensor) -> Tensor:
        """Return the logits (N, classes) of joints (N, C, T, V, M), zeros where a body is absent."""
        clips, _, frames, _, bodies = joints.shape
        frame_mask = bodies_present(joints)  # (N, M, T)
        folded = self._normalised(joints, frame_mask).permute(0, 4, 1, 3, 2).flatten(0, 1)  # (N*M, C, V, T)
        present = frame_mask.to(joints.dtype).reshape(clips * bodies, 1, 1, frames)
        features = self.network(folded, present)  # (N*M, D)
        if bodies > 1:
            features = average_bodies(features, frame_mask.any(dim=2), None)  # (N, D)
        logits: Tensor = self.network.classifier(features)
        return logits

    def _normalised(self, joints: Tensor, frame_mask: Tensor) -> Tensor:
        """Normalise clips as in training; (N, C, T, V, M) -> the same."""
        if self.normalize.face_camera:
            joints = face_camera(joints, frame_mask, self.layout)
        return scale_to_unit(joints, frame_mask) if self.normalize.scale == "unit" else joints


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
        """Return the logits (N, classes) of joints (N, C, T, V, M), zeros where a body is absent."""
        return _logits(self.model, self.pipeline, joints, check_values=False)


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
    frame_mask = bodies_present(joints)
    indices = torch.arange(len(joints))
    batch = Batch(joints, frame_mask, torch.arange(frame_mask[..., 0].numel()), indices, indices, indices)
    logits: Tensor = model(pipeline(batch, training=False), frame_mask.any(dim=2), **options)
    return logits
