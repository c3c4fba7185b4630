"""How busy a GPU is, looked at now and then while something else runs."""

import subprocess
import time

import torch

from .watch import Watch

_EVERY_S = 1.0
_PATIENCE_S = 10.0


class GpuWatch(Watch):
    """Ask nvidia-smi once a second, while a block runs, for what share of the time the GPU computes.

    Where there is no GPU, or nobody to ask, there is no figure.
    """

    patience_s = _PATIENCE_S

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._device = device
        self._seen: list[tuple[float, float]] = []  # when, and the percentage

    def busy_percent(self, since: float) -> float | None:
        """Return the mean of what was seen after the `time.monotonic()` that is given."""
        found = [percent for when, percent in self._seen if when >= since]
        return sum(found) / len(found) if found else None

    def _watch(self) -> None:
        if self._device.type != "cuda":
            return
        while not self._over.wait(_EVERY_S):
            percent = _utilisation(self._device)
            if percent is None:
                return
            self._seen.append((time.monotonic(), percent))


def _utilisation(device: torch.device) -> float | None:
    """Return the percentage of the last moments in which the GPU computed; None where it cannot be known."""
    identity = str(getattr(torch.cuda.get_device_properties(device), "uuid", "")).removeprefix("GPU-")
    which = [f"--id=GPU-{identity}"] if identity else []
    command = ["nvidia-smi", *which, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=True)
        return float(answer.stdout.split()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
