"""Notice when several threads share their cores with other programs, which makes waiting threads spin in vain."""

import logging

import torch

from ..utils.openmp import threads_spin

_log = logging.getLogger(__name__)

_COLLAPSE = 0.25  # of the best speed: a program that takes one of the cores alone would leave half of it or more


class CrowdedCores:
    """Warn once if training on a CPU becomes several times slower than it was.

    Args:
        device: the device of the training.
    """

    def __init__(self, device: torch.device) -> None:
        self._watches = device.type == "cpu" and torch.get_num_threads() > 1 and threads_spin()
        self._best = 0.0

    def observe(self, clips_per_second: float) -> None:
        """Compare the speed of an epoch with the best one before."""
        self._best = max(self._best, clips_per_second)
        if not self._watches or clips_per_second >= _COLLAPSE * self._best:
            return
        self._watches = False
        _log.warning(
            f"This epoch had {clips_per_second:,.0f} clips/s, an earlier one {self._best:,.0f}: other programs use the "
            f"cores of this training's {torch.get_num_threads()} threads, which spin while they wait for each other. "
            "Stop it and resume it with OMP_WAIT_POLICY=passive in the environment, which changes no result, or train "
            "with one thread (hardware.cpu_threads=1)."
        )
