"""What an exported file computes: from joints to logits, normalisation and streams included.

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
    """Return in which frames each body is there, (N, M, T) bool: where not all of its joints are zero.

    Stores hold zeros where a body is absent, and a body that is there never has every joint in one point.

    Args:
        joints: (N, C, T, V, M).
    """
    return (joints.abs().amax(dim=(1, 3)) > 0).transpose(1, 2)


class Recogniser(nn.Module):
    """Classify clips of joints alone, with a folded network.

    Args:
        model: a trained LAST-E; it is left as it is.
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
        """Bring clips into the frame of reference that the run trained in; (N, C, T, V, M) -> the same."""
        if self.normalize.face_camera:
            joints = face_camera(joints, frame_mask, self.layout)
        return scale_to_unit(joints, frame_mask) if self.normalize.scale == "unit" else joints


class PlainRecogniser(nn.Module):
    """Classify clips of joints alone, with a model as it is.

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
    """Return what is exported of a model: a LAST-E folded, one of another family or with other streams as it is."""
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
    numbers = torch.arange(len(joints))
    batch = Batch(joints, frame_mask, torch.arange(frame_mask[..., 0].numel()), numbers, numbers, numbers)
    logits: Tensor = model(pipeline(batch, training=False), frame_mask.any(dim=2), **options)
    return logits
