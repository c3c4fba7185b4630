"""The network of an exported file: from the joints of recordings to probabilities, logits and features.

Legend: N clips, M bodies, B = N*M folded bodies, C coordinates, F frames of a recording, T frames after sampling,
V joints, D features, K classes.
"""

import torch
from torch import Tensor, nn

from ..data.loading.loader import Batch
from ..data.loading.normalize import face_camera, scale_to_unit
from ..data.loading.pipeline import InputPipeline
from ..models.classifier import ForwardDetails, SkeletonClassifier
from ..models.last_e import LastE
from ..models.multi_body import STREAMS, average_bodies
from ..settings.data import DataConfig
from .front import ClipFront
from .fused import fold


class ExportedNetwork(nn.Module):
    """Classify recordings of any length.

    Args:
        front: from recordings to clips as the model takes them.
        core: from such clips to logits and features.
        temperature: what the logits are divided by for the probabilities.
    """

    def __init__(self, front: ClipFront, core: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        self.front, self.core, self.temperature = front, core, temperature

    def forward(self, joints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return probabilities (N, K), logits (N, K) and features (N, D) of joints (N, M, F, V, C).

        A joint with a NaN is missing; a body is absent in a frame in which all its coordinates are zero or NaN. All of
        the result is NaN for a clip without a body: runtimes would differ in it.
        """
        clips, joint_mask = self.front(joints)
        logits, features = self.core(clips, joint_mask)
        has_body = joint_mask.flatten(1).any(dim=1)[:, None]
        logits, features = (torch.where(has_body, each, torch.nan) for each in (logits, features))
        calibrated = logits if self.temperature == 1.0 else logits / self.temperature
        return calibrated.softmax(dim=1), logits, features


class FoldedCore(nn.Module):
    """Classify clips with a folded LAST-E.

    Args:
        model: a trained LAST-E, which is not changed.
        data: the data configuration of its run: layout and normalisation.
        frames: T, which is fixed.
    """

    def __init__(self, model: LastE, data: DataConfig, frames: int) -> None:
        super().__init__()
        self.layout, self.normalize = data.skeleton, data.normalize
        self.network = fold(model, frames, self.layout.parents)

    def forward(self, joints: Tensor, joint_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, K) and features (N, D).

        Args:
            joints: (N, C, T, V, M), zeros where a joint is missing.
            joint_mask: (N, M, T, V) bool, which joints were measured.
        """
        folded = self._normalised(joints, joint_mask).permute(0, 4, 1, 3, 2).flatten(0, 1)  # (N*M, C, V, T)
        measured = joint_mask.to(joints.dtype).transpose(2, 3).flatten(0, 1).unsqueeze(1)  # (N*M, 1, V, T)
        features = self.network(folded, measured)  # (N*M, D)
        if joints.shape[4] > 1:
            features = average_bodies(features, joint_mask.any(dim=(2, 3)), None)  # (N, D)
        return self.network.classifier(features), features

    def _normalised(self, joints: Tensor, joint_mask: Tensor) -> Tensor:
        """Normalise clips as in training; (N, C, T, V, M) -> the same."""
        if self.normalize.face_camera:
            joints = face_camera(joints, joint_mask, self.layout)
        return scale_to_unit(joints, joint_mask) if self.normalize.scale == "unit" else joints


class PlainCore(nn.Module):
    """Classify clips with an unchanged model of any family.

    Args:
        model: a trained model.
        data: the data configuration of its run: layout and normalisation.
    """

    def __init__(self, model: SkeletonClassifier, data: DataConfig) -> None:
        super().__init__()
        self.model = model
        self.pipeline = InputPipeline(data, added_streams=model.facts.added_streams)

    def forward(self, joints: Tensor, joint_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, K) and features (N, D); the arguments are those of `FoldedCore.forward`."""
        frame_mask = joint_mask.any(dim=3)  # (N, M, T)
        unused = joints.new_zeros(joints.shape[0], dtype=torch.int64)
        batch = Batch(joints, frame_mask, unused, unused, unused, unused, joint_mask)
        streams = self.pipeline(batch, training=False)
        details = self.model(streams, batch.bodies, return_details=True, check_values=False)
        assert isinstance(details, ForwardDetails)
        return details.logits, details.features


def network_of(
    model: SkeletonClassifier,
    data: DataConfig,
    frames: int,
    *,
    keep_gaps: bool = False,
    centers: bool = True,
    temperature: float = 1.0,
) -> ExportedNetwork:
    """Return the network to export: a folded LAST-E; an unchanged model of another family or with added streams.

    Args:
        model: a trained model, which is not changed.
        data: the data configuration of its run.
        frames: T, to which clips are sampled.
        keep_gaps, centers: see `ClipFront`.
        temperature: what the logits are divided by for the probabilities.
    """
    front = ClipFront(data, frames, keep_gaps=keep_gaps, centers=centers)
    folds = isinstance(model, LastE) and set(model.streams) <= set(STREAMS)
    core = FoldedCore(model, data, frames) if isinstance(model, LastE) and folds else PlainCore(model, data)
    return ExportedNetwork(front, core, temperature).eval()
