"""Batches of clips: which, in which order, and reading them from a store.

Legend: N clips, M bodies, C coordinates, T frames, V joints, B bodies present in the batch.
"""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from . import counter
from .config import HardwareConfig, SamplingConfig
from .sampling import evaluation_positions, read_positions, training_positions
from .store import Store


@dataclass
class Batch:
    """Clips sampled to T frames, not yet augmented.

    Attributes:
        joints: (N, C, T, V, M) in metres, zeros where a body is absent.
        valid: (N, M, T) bool, whether the body is there in that frame.
        rows: (B,) the places n * M + m of the bodies that are there at all, known on the host.
        labels: (N,) classes from 0.
        numbers: (N,) the clips' numbers in the store.
        keys: (N,) what the clips' random choices depend on.
    """

    joints: Tensor
    valid: Tensor
    rows: Tensor
    labels: Tensor
    numbers: Tensor
    keys: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def bodies(self) -> Tensor:
        """Return which bodies are there at all, (N, M) bool."""
        return self.valid.any(dim=2)

    def to(self, device: torch.device) -> Self:
        """Return the batch on `device`, copied without waiting where its memory is pinned."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """Return the batch in page-locked memory; torch's DataLoader calls this."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        return type(self)(**{item.name: change(getattr(self, item.name)) for item in fields(self)})


def _leave_signals_to_the_trainer(_worker: int) -> None:
    """Let Ctrl-C, which reaches every process of a terminal, end a worker only when the trainer ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@dataclass(frozen=True)
class Draw:
    """Ask for one batch: the clips, and the key of each one's random choices."""

    numbers: Tensor
    keys: Tensor


class TrainOrder(Sampler[Draw]):
    """Draw every clip `repeat` times an epoch, in an order that is a function of (seed, epoch).

    Of several processes each draws its part of every batch. A batch with fewer clips than processes gives those that
    would have none its first clip, so that all have as many batches; `parts` tells.

    Args:
        numbers: the clips.
        batch_size: clips of a batch, over all processes.
        seed: of the run.
        repeat: how often an epoch draws each clip.
        rank, processes: which of how many processes this is.
    """

    def __init__(
        self,
        numbers: NDArray[np.int64],
        batch_size: int,
        seed: int,
        repeat: int = 1,
        *,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.numbers, self.batch_size = torch.from_numpy(numbers), batch_size
        self.seed, self.repeat = seed, repeat
        self.rank, self.processes = rank, processes
        self.epoch = 0
        self.start = 0  # so many clips of the epoch have been drawn earlier

    def __len__(self) -> int:
        return -(-(self.clips - self.start) // self.batch_size)

    @property
    def clips(self) -> int:
        """Return how many clips an epoch has."""
        return len(self.numbers) * self.repeat

    def parts(self) -> list[tuple[int, int]]:
        """Return, for every batch to come, how many clips it has and how many of them are this process's own."""
        sizes = [min(self.batch_size, self.clips - drawn) for drawn in range(self.start, self.clips, self.batch_size)]
        return [(size, len(range(size)[self._part(size)])) for size in sizes]

    def __iter__(self) -> Iterator[Draw]:
        if self.start >= self.clips:
            return
        passes = [counter.shuffled(self.seed, self.epoch, self.numbers, each) for each in range(self.repeat)]
        keys = [counter.clip_keys(self.seed, self.epoch, order, each) for each, order in enumerate(passes)]
        batches = zip(
            torch.split(torch.cat(passes)[self.start :], self.batch_size),
            torch.split(torch.cat(keys)[self.start :], self.batch_size),
            strict=True,
        )
        for numbers, of_numbers in batches:
            part = self._part(len(numbers))
            if part.start == part.stop:
                part = slice(0, 1)
            yield Draw(numbers[part], of_numbers[part])

    def _part(self, clips: int) -> slice:
        """Return this process's part of a batch of so many clips."""
        return slice(clips * self.rank // self.processes, clips * (self.rank + 1) // self.processes)


class TestOrder(Sampler[Draw]):
    """Draw every clip once, in the order of their numbers."""

    __test__ = False  # not a test class, whatever pytest makes of its name

    def __init__(self, numbers: NDArray[np.int64], batch_size: int) -> None:
        self.numbers, self.batch_size = torch.from_numpy(numbers), batch_size

    def __len__(self) -> int:
        return -(-len(self.numbers) // self.batch_size)

    @property
    def clips(self) -> int:
        """Return how many clips there are."""
        return len(self.numbers)

    def __iter__(self) -> Iterator[Draw]:
        batches = torch.split(self.numbers, self.batch_size)  # of no clips one without any
        return (Draw(numbers, numbers) for numbers in batches if len(numbers))


class SampledClips(Dataset[Batch]):
    """Read whole batches from a store, each clip sampled to T frames.

    Args:
        store: where the clips are.
        frames: T.
        config: how a clip is sampled.
        training: sample at random by each clip's key; otherwise at the fixed places of test draw `test_draw`.
    """

    def __init__(
        self, store: Store, frames: int, config: SamplingConfig, *, training: bool, test_draw: int = 0
    ) -> None:
        self.store, self.frames, self.config = store, frames, config
        self.training, self.test_draw = training, test_draw
        self.max_bodies = int(store.clips["bodies"].max())

    def __getitem__(self, draw: Draw) -> Batch:
        clips = self.store.clips[draw.numbers.numpy()]
        lengths = torch.from_numpy(clips["frames"].astype(np.int64))
        if self.training:
            positions = training_positions(lengths, self.frames, self.config, draw.keys)
        else:
            positions = evaluation_positions(lengths, self.frames, self.config, draw.numbers, self.test_draw)
        joints, valid = read_positions(
            self.store.joints,
            self.store.valid,
            torch.from_numpy(clips["offset"].astype(np.int64)),
            lengths,
            torch.from_numpy(clips["bodies"].astype(np.int64)),
            positions,
            self.max_bodies,
        )
        return Batch(
            joints=joints.permute(0, 4, 2, 3, 1),  # (N, M, T, V, C) -> (N, C, T, V, M)
            valid=valid,
            rows=valid.any(dim=2).flatten().nonzero().squeeze(1),
            labels=torch.from_numpy(clips["label"].astype(np.int64)),
            numbers=draw.numbers,
            keys=draw.keys,
        )


def build_loader(clips: SampledClips, order: TrainOrder | TestOrder, hardware: HardwareConfig) -> DataLoader[Batch]:
    """Return a loader that reads one batch for each draw of `order`, in this process or in workers.

    Its generator is its own, because torch's DataLoader draws a number from it that nobody needs: from the global one
    that would shift what dropout draws next, at other times with workers than without.
    """
    options: dict[str, Any] = {}
    if hardware.num_workers:
        options = {"prefetch_factor": hardware.prefetch_factor, "persistent_workers": True}
        options["worker_init_fn"] = _leave_signals_to_the_trainer
    return DataLoader(
        clips,
        sampler=order,
        batch_size=None,
        num_workers=hardware.num_workers,
        pin_memory=hardware.pin_memory and torch.cuda.is_available(),
        generator=torch.Generator(),
        **options,
    )
