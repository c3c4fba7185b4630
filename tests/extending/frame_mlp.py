"""Frame MLP: what a body does in a frame passes two layers, and a clip is the mean over its frames.

Legend: B bodies, S streams (3), C coordinates, T frames, V joints, D features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from last.models.classifier import BodyFeatures, SkeletonClassifier
from last.models.multi_body import STREAMS
from last.settings.model import ModelConfig
from last.skeleton import Layout
from last.utils.limits import Interval


@dataclass
class Config(ModelConfig):
    """Sizes of a frame MLP."""

    family: str = "frame_mlp"
    width: Annotated[int, Interval(ge=1, le=4096)] = 64
    dropout: Annotated[float, Interval(ge=0.0, le=0.9)] = 0.1


class Model(SkeletonClassifier):
    """Classify a clip by the mean of its frames."""

    def __init__(self, config: Config, layout: Layout, num_classes: int) -> None:
        super().__init__(layout, num_features=config.width)
        size = len(STREAMS) * layout.coordinates * layout.num_joints
        self.norm = nn.BatchNorm1d(size)
        self.layers = nn.Sequential(nn.Linear(size, config.width), nn.ReLU(), nn.Linear(config.width, config.width))
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.width, num_classes)

    def body_features(self, streams: Mapping[str, Tensor]) -> BodyFeatures:
        """Return the features (B, D) of single bodies; each stream is (B, C, T, V)."""
        frames = torch.stack([streams[name] for name in STREAMS], dim=1)  # (B, S, C, T, V)
        frames = frames.permute(0, 3, 1, 2, 4).flatten(2)  # (B, T, S*C*V)
        normed = self.norm(frames.flatten(0, 1)).view(frames.shape)
        return BodyFeatures(self.layers(normed).relu().mean(dim=1), stages=[])
