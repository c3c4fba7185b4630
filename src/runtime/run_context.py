"""Where a training takes place."""

from dataclasses import dataclass, field

import torch

from ..utils.progress import SILENT, Progress
from .distributed import ALONE, World
from .stop_requests import StopWatch


@dataclass(frozen=True)
class RunContext:
    """Say where a run computes and in what company.

    Attributes:
        device: where this process computes.
        world: the processes that train together.
        watch: what notices reasons to stop.
        progress: who is told how far it is.
    """

    device: torch.device
    world: World = ALONE
    watch: StopWatch = field(default_factory=StopWatch)
    progress: Progress = SILENT
