"""Process groups: rank and size, and collective operations.

`torchrun` starts the processes and sets their ranks in the environment. The first process (rank 0) reads and
writes the run's files and sends the others the needed content as plain bytes.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from ..utils.errors import PeerLost, ReportedElsewhere, TimeIsOver, TimeIsOverElsewhere, UserError

_RESUME_HINT = "Start all processes again; --resume continues from the newest checkpoint."
_LOCK_WAIT_S = 0.2
_RETURNED, _REFUSED, _TIME_IS_OVER = range(3)  # what became of a computation of the first process


@dataclass(frozen=True)
class World:
    """The processes of one training, and the rank of this one."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Tell whether this process writes files and log messages."""
        return self.rank == 0

    def all_reduce_sum(self, tensor: Tensor) -> None:
        """Replace `tensor`, in place, by its sum over all processes."""
        if self.size > 1:
            dist.all_reduce(tensor)

    def broadcast(self, compute: Callable[[], bytes]) -> bytes:
        """Run `compute` in the first process and return its result in every process.

        Raises:
            UserError: `compute` raised it; every process raises it, so that none waits for another.
            TimeIsOver: the same.
        """
        if self.size == 1:
            return compute()
        content, outcome, error = b"", _RETURNED, None
        if self.is_first:
            try:
                content = compute()
            except UserError as raised:
                content, error = str(raised).encode(), raised
                outcome = _TIME_IS_OVER if isinstance(raised, TimeIsOver) else _REFUSED
        outcome, content = self._broadcast(content, outcome)
        if error is not None:
            raise error
        if outcome != _RETURNED:
            raise (TimeIsOverElsewhere if outcome == _TIME_IS_OVER else ReportedElsewhere)(content.decode())
        return content

    def agree(self, check: Callable[[], object]) -> None:
        """Run `check` in the first process and wait for it in every process.

        Raises:
            UserError: `check` raised it; every process raises it.
        """

        def checked() -> bytes:
            check()
            return b""

        self.broadcast(checked)

    def barrier(self) -> None:
        """Wait until every process has reached this point."""
        self.broadcast(bytes)

    def _broadcast(self, content: bytes, outcome: int) -> tuple[int, bytes]:
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        header = torch.tensor([len(content), outcome], device=device)
        dist.broadcast(header, src=0)
        length, outcome = header.tolist()
        body = torch.empty(length, dtype=torch.uint8)
        if self.is_first and length:
            body = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        body = body.to(device)
        if length:
            dist.broadcast(body, src=0)
        return outcome, body.cpu().numpy().tobytes()


ALONE = World()


def rank() -> int:
    """Return this process's rank, 0 for a single process."""
    return _number("RANK", 0)


def processes_here() -> int:
    """Return the number of processes on this machine."""
    return _number("LOCAL_WORLD_SIZE", 1)


def device_index() -> int:
    """Return the index of this process's GPU on its machine."""
    return _number("LOCAL_RANK", 0)


@contextmanager
def joined(device: torch.device, timeout_minutes: float) -> Iterator[World]:
    """Join the processes that `torchrun` started and yield the world; a single process is a world of its own.

    Args:
        device: where this process computes; it decides the backend (NCCL between GPUs, else gloo).
        timeout_minutes: how long a process waits for the others before it gives up.

    Raises:
        PeerLost: the others did not connect in time, or one of them has exited or cannot be reached.
    """
    size = _number("WORLD_SIZE", 1)
    if size == 1:
        yield ALONE
        return
    if dist.is_initialized():
        yield World(dist.get_rank(), size)
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    try:
        _meet(backend, timedelta(minutes=timeout_minutes))
    except RuntimeError as error:
        if not _is_peer_failure(error):
            raise
        raise PeerLost(
            f"Not all of the {size} processes of this training came together within {timeout_minutes:g} minutes at "
            f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}: {error} {_RESUME_HINT}"
        ) from error
    try:
        yield World(dist.get_rank(), size)
    except RuntimeError as error:
        if not _is_peer_failure(error):
            raise
        raise PeerLost(
            f"Another process of this training has ended, or did not respond for {timeout_minutes:g} minutes "
            f"(distributed.timeout_minutes); its own message gives the reason. {_RESUME_HINT}"
        ) from error
    finally:
        # gloo's threads need Python's global lock to free the last tensors they sent. A thread that acquires it only
        # while Python exits aborts the process, so this thread releases the lock for a moment.
        time.sleep(_LOCK_WAIT_S)
        dist.destroy_process_group()


def _meet(backend: str, timeout: timedelta) -> None:
    """Join the other processes at the address in the environment; each attempt of `torchrun --max_restarts` separately.

    With torch alone, a new attempt finds the addresses left by the processes of the last one.
    """
    store, rank, size = next(rendezvous("env://", timeout=timeout))
    store = PrefixStore(f"attempt {_number('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timeout)


def _is_peer_failure(error: RuntimeError) -> bool:
    """Tell whether an error is a communication error; gloo's errors have no type of their own, only a text."""
    return isinstance(error, dist.DistError) or "/gloo/" in str(error)


def _number(name: str, missing: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else missing
