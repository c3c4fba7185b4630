"""Reading of device values on the host with a delay of a few steps, so that neither waits."""

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

_LAG_STEPS = 8

Note = TypeVar("Note")


@dataclass(frozen=True)
class _Entry(Generic[Note]):
    values: Tensor
    copied: torch.cuda.Event | None
    note: Note


class DelayedReader(Generic[Note]):
    """Copy small device tensors to the host with a fixed delay in steps.

    The delay is counted in steps and not in time, so that several processes read the same values at the same step. It
    also keeps the host from running further ahead of the device than that.

    Args:
        device: where the tensors are.
        lag: the delay in steps; None means 8 on CUDA and 0 elsewhere, where reading costs nothing.
    """

    def __init__(self, device: torch.device, lag: int | None = None) -> None:
        self._crosses = device.type == "cuda"
        self._lag = (_LAG_STEPS if self._crosses else 0) if lag is None else lag
        self._entries: deque[_Entry[Note]] = deque()

    def put(self, values: Tensor, note: Note) -> None:
        """Start the transfer of `values`, with a `note` that is returned with them."""
        if not self._crosses:
            self._entries.append(_Entry(values, None, note))
            return
        host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        host.copy_(values, non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record()
        self._entries.append(_Entry(host, copied, note))

    def due(self) -> list[tuple[list[float], Note]]:
        """Return the values whose delay has passed, oldest first."""
        return [self._take() for _ in range(len(self._entries) - self._lag)]

    def rest(self) -> list[tuple[list[float], Note]]:
        """Return all values still in transfer; the host waits for the device."""
        return [self._take() for _ in range(len(self._entries))]

    def _take(self) -> tuple[list[float], Note]:
        entry = self._entries.popleft()
        if entry.copied is not None:
            entry.copied.synchronize()
        return entry.values.tolist(), entry.note
