"""Utilisation of a GPU, sampled while something else runs."""

import subprocess
import time

import torch

from .watch import Watch

_EVERY_S = 1.0
_PATIENCE_S = 10.0


class GpuWatch(Watch):
    """Query nvidia-smi once per second, while a block runs, for the share of the time in which the GPU computes.

    Without a GPU, or without nvidia-smi, there is no figure.
    """

    patience_s = _PATIENCE_S

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._device = device
        self._samples: list[tuple[float, float]] = []  # time and percentage

    def busy_percent(self, since: float) -> float | None:
        """Return the mean of the samples after a `time.monotonic()`."""
        percents = [percent for when, percent in self._samples if when >= since]
        return sum(percents) / len(percents) if percents else None

    def _watch(self) -> None:
        if self._device.type != "cuda":
            return
        while not self._over.wait(_EVERY_S):
            percent = _utilisation(self._device)
            if percent is None:
                return
            self._samples.append((time.monotonic(), percent))


def _utilisation(device: torch.device) -> float | None:
    """Return the GPU's recent utilisation in percent; None if it is unknown."""
    identity = str(getattr(torch.cuda.get_device_properties(device), "uuid", "")).removeprefix("GPU-")
    which = [f"--id=GPU-{identity}"] if identity else []
    command = ["nvidia-smi", *which, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=True)
        return float(result.stdout.split()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
