"""Clips with unusable values, as distinct from clips on which a model fails and from a model that diverged.

One damaged recording does not end a run. Training skips batches with values that are not finite, and those without any
body (`guard`); a test counts such a clip as wrong, and the statistics for testing and the teachers ignore its values.

Legend: N clips, M bodies, C coordinates, T frames, V joints.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..runtime.distributed import ALONE, World
from ..utils.names import first_few
from ..utils.numbers import counted

_log = logging.getLogger(__name__)

# The largest number of float16. Real coordinates (metres, millimetres, pixels) are far smaller. For a larger value
# squares and sums can overflow, and in float16 the value itself does.
LARGEST = 65504.0
_NAMES_SHOWN = 3
NOT_RECOGNISED = "count as not recognised and are excluded from the loss"


def with_zeros(streams: Mapping[str, Tensor], largest: float = torch.inf) -> dict[str, Tensor]:
    """Return the streams with zeros in place of values that are not finite or larger than `largest`."""
    return {
        name: torch.where(stream.isfinite() & (stream.abs() <= largest), stream, 0.0)
        for name, stream in streams.items()
    }


def unusable(streams: Mapping[str, Tensor], bodies: Tensor, outputs: Tensor) -> Tensor:
    """Return which clips are unusable, (N,) bool; nothing is read on the host.

    A clip is unusable if it has no body, if a value of a present body is not finite, or if its outputs are not finite
    and a value is larger than `LARGEST`.

    Args:
        streams: each (N, C, T, V, M), unmodified.
        bodies: (N, M) bool, which are present.
        outputs: (N, ...), the model's outputs for them.
    """
    present = bodies[:, None, None, None, :]
    sizes = [
        torch.where(present, stream, 0.0).abs().nan_to_num(nan=torch.inf, posinf=torch.inf)
        for stream in streams.values()
    ]
    largest = torch.stack([size.flatten(1).amax(dim=1) for size in sizes]).amax(dim=0)  # (N,)
    failed = ~outputs.isfinite().flatten(1).all(dim=1)
    return largest.isinf() | (failed & (largest > LARGEST)) | ~bodies.any(dim=1)


class UnusableClips:
    """Collect unusable clips and warn about each once.

    Args:
        names: the names of the store's clips.
        consequence: what happens to such clips, for the warning.
        device: the device for communication between processes.
    """

    def __init__(self, names: NDArray[np.str_], consequence: str, device: torch.device) -> None:
        self._names, self._consequence, self._device = names, consequence, device
        self._seen: list[tuple[Tensor, Tensor]] = []
        self._reported: set[int] = set()

    def add(self, indices: Tensor, flags: Tensor) -> None:
        """Record which of the clips with these indices (N,) are unusable, (N,) bool; nothing is read on the host."""
        self._seen.append((indices, flags))

    def report(self, count: int | None = None, world: World = ALONE) -> None:
        """Warn about newly found clips; `count`, if known, is the number that all processes found."""
        seen, self._seen = self._seen, []
        if count == 0:
            return
        marks = torch.zeros(len(self._names), device=self._device)
        for indices, flags in seen:
            marks[indices[flags]] = 1.0
        world.all_reduce_sum(marks)
        found = {int(number) for number in marks.nonzero().flatten()}
        if new := sorted(found - self._reported):
            warn_about_unusable([str(self._names[number]) for number in new], self._consequence)
        self._reported |= found


def warn_about_unusable(names: Sequence[str], consequence: str) -> None:
    """Warn about clips by name, with the consequence."""
    clips = f"{counted(len(names), 'clip')} {'has' if len(names) == 1 else 'have'}"
    _log.warning(
        f"{clips} values that no model can take (not finite, too large, or no body): "
        f"{first_few(names, _NAMES_SHOWN)}. Such clips {consequence}. Check their recordings, and "
        "whether data.min_confidence leaves no joint of them."
    )
