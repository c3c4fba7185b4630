"""The environment of one run: device, processes, stop signals, progress."""

from dataclasses import dataclass, field

import torch

from ..utils.progress import SILENT, Progress
from .distributed import ALONE, World
from .stop_requests import StopWatch


@dataclass(frozen=True)
class RunContext:
    """Device, process group, stop signals and progress display of a run.

    Attributes:
        device: the device of this process.
        world: the processes that train together.
        watch: the stop signals and the time limit.
        progress: the progress display.
    """

    device: torch.device
    world: World = ALONE
    watch: StopWatch = field(default_factory=StopWatch)
    progress: Progress = SILENT
