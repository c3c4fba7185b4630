"""Masked-joint reconstruction: a model sees some joints and predicts the coordinates of the hidden ones.

Legend: N clips, C coordinates, T frames, V joints, M bodies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from last.data.loading.loader import Batch
from last.data.loading.run_data import TrainingData
from last.runtime.precision import Precision
from last.runtime.run_context import RunContext
from last.settings.run import RunConfig
from last.tasks.measures import Measures, Metric
from last.tasks.recipe import TaskRecipe
from last.tasks.task import Task, TaskOutput, TestOutput
from last.utils.limits import Interval


@dataclass
class Settings:
    """Settings of masked-joint reconstruction: which share of the joints is hidden."""

    hidden: Annotated[float, Interval(gt=0.0, lt=1.0)] = 0.4


class Reconstructor(nn.Module):
    """Predict all joints of a frame from those that are seen."""

    def __init__(self, num_joints: int, coordinates: int, width: int = 32) -> None:
        super().__init__()
        size = num_joints * coordinates
        self.layers = nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Linear(width, size))

    def forward(self, streams: Mapping[str, Tensor], body_mask: Tensor, body_slots: Tensor) -> Tensor:
        """Return joints (N, C, T, V, M) for the joint stream of that shape."""
        frames = streams["joint"].permute(0, 2, 4, 1, 3)  # (N, T, M, C, V)
        joints: Tensor = self.layers(frames.flatten(3)).view(frames.shape).permute(0, 3, 1, 4, 2)
        return joints * body_mask[:, None, None, None, :]


class MaskedJoints(Task):
    """Minimise the mean squared error of the hidden joints. Other joints are hidden for each clip and augmentation."""

    measures = Measures("masked joints", (Metric("mse", "MSE", higher_is_better=False),), primary="mse")
    hidden: Tensor

    def __init__(self, model: nn.Module, share: float) -> None:
        super().__init__(model)
        self.share = share
        self.register_buffer("hidden", torch.zeros((), dtype=torch.int64))  # how many joints were hidden so far

    def forward(self, batch: Batch) -> TaskOutput:
        """Return the mean error over a batch; the predictions are the errors of the clips, (N,)."""
        mask = self.mask(batch, batch.rng_keys)
        self.hidden += mask.sum()
        errors = self.errors(batch, mask)
        return TaskOutput(errors.mean(), errors)

    def sums(self, predictions: Tensor, batch: Batch) -> Sequence[Tensor]:
        """Return the sum of the clips' errors."""
        return (predictions.detach().sum(),)

    def predict(self, batch: Batch, precision: Precision | None = None) -> Tensor:
        """Return the errors (N,) with joints hidden that are the same in every test."""
        with torch.autocast(batch.joints.device.type, enabled=False) if precision is None else precision.autocast():
            return self.errors(batch, self.mask(batch, batch.indices))

    def test(self, predictions: Tensor, batch: Batch) -> TestOutput:
        """Return the mean error; a clip without a body cannot be measured."""
        unusable = ~batch.bodies.any(dim=1)
        return TestOutput(predictions.mean(), (predictions.sum(),), unusable)

    def errors(self, batch: Batch, mask: Tensor) -> Tensor:
        """Return the mean squared error (N,) of the joints in `mask` (N, V)."""
        hidden = mask[:, None, None, :, None]
        joints = batch.streams["joint"]
        seen = {"joint": torch.where(hidden, 0.0, joints)}
        squares = (self.model(seen, batch.bodies, batch.body_slots) - joints).square() * hidden
        return squares.flatten(1).sum(dim=1) / mask.sum(dim=1).clamp(min=1) / joints[0, :, :, 0].numel()

    def mask(self, batch: Batch, keys: Tensor) -> Tensor:
        """Return which joints are hidden, (N, V) bool: a function of the keys (N,), so there is no random state."""
        joints = torch.arange(batch.joints.shape[3], device=keys.device)
        mixed = torch.sin((keys % 4093)[:, None] * 12.9898 + joints * 78.233) * 43758.5453
        return mixed - mixed.floor() < self.share


class Recipe(TaskRecipe):
    """Set up masked-joint reconstruction for a run."""

    task = MaskedJoints.measures.task

    def build_model(self, config: RunConfig, data: TrainingData) -> nn.Module:
        """Return the untrained model."""
        layout = config.data.skeleton
        return Reconstructor(layout.num_joints, layout.coordinates)

    def build(self, model: nn.Module, config: RunConfig, data: TrainingData, run_context: RunContext) -> Task:
        """Return the task."""
        return MaskedJoints(model, self.settings(config).hidden)
