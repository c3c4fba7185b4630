"""The settings of optimizer, learning rates and batches, which are top-level keys of a configuration."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class OptimizationSettings:
    """Settings of a run's updates: optimizer, learning rates, batches and epochs.

    `RunConfig` holds them as keys of its top level, with their limits; `RunConfig.optimization` returns them.
    """

    optimizer: str
    optimizer_settings: dict[str, Any]
    momentum: float
    nesterov: bool
    weight_decay: float
    grad_clip: float

    learning_rate: float
    warmup_learning_rate: float
    min_learning_rate: float
    warmup_epochs: int

    epochs: int
    batch_size: int
    reference_batch_size: int
    gradient_accumulation_steps: int
