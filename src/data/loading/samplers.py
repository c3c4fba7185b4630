"""Samplers: which clips form a batch, and in which order.

Legend: N clips.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

from . import counter_rng
from .annealing import Annealing
from .class_balance import ClassDraws


@dataclass(frozen=True)
class BatchIndices:
    """The clips of one batch, their RNG keys, and the strength of augmentation from 0 to 1."""

    indices: Tensor
    rng_keys: Tensor
    strength: float = 1.0


class BatchSampler(Protocol):
    """A sampler of batches of clips."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[BatchIndices]: ...


class TrainSampler(Sampler[BatchIndices]):
    """Sample every clip `repeats_per_epoch` times per epoch, in an order that is a function of (seed, epoch).

    With `classes` an epoch has as many clips, of each class as many as these say.

    Each process gets its part of every batch. If a batch has fewer clips than processes, processes without a clip get
    the first one, so that all have the same number of batches; see `parts`.

    Args:
        indices: the clips.
        batch_size: clips per batch, over all processes.
        seed: of the run.
        repeats_per_epoch: how often each clip is seen per epoch.
        fixed_augmentations: number of fixed augmented views per clip, used in turn; 0 for a new one each time.
        classes: the draws of each class, as many as an epoch has in total; None to draw each clip equally often.
        rank, processes: rank of this process and the number of processes.
        annealing: the course of the strength of augmentation.
    """

    def __init__(
        self,
        indices: NDArray[np.int64],
        batch_size: int,
        seed: int,
        repeats_per_epoch: int = 1,
        *,
        fixed_augmentations: int = 0,
        classes: Sequence[ClassDraws] | None = None,
        rank: int = 0,
        processes: int = 1,
        annealing: Annealing = Annealing(),  # noqa: B008 - it is frozen
    ) -> None:
        self.indices, self.batch_size, self.annealing = torch.from_numpy(indices), batch_size, annealing
        self.seed, self.repeats_per_epoch, self.fixed_augmentations = seed, repeats_per_epoch, fixed_augmentations
        self.classes, self.rank, self.processes = classes, rank, processes
        self.epoch = 0
        self.start = 0  # clips of the epoch that were used before a resume

    def __len__(self) -> int:
        return -(-(self.num_clips - self.start) // self.batch_size)

    @property
    def num_clips(self) -> int:
        """Return how many clips an epoch has."""
        return len(self.indices) * self.repeats_per_epoch

    @property
    def strength(self) -> float:
        """Return the strength of augmentation in the epoch."""
        return self.annealing.strength(self.epoch)

    def parts(self) -> list[tuple[int, int]]:
        """Return, for each remaining batch, its number of clips and how many of them belong to this process."""
        starts = range(self.start, self.num_clips, self.batch_size)
        sizes = [min(self.batch_size, self.num_clips - start) for start in starts]
        return [(size, len(range(size)[self._part(size)])) for size in sizes]

    def __iter__(self) -> Iterator[BatchIndices]:
        if self.start >= self.num_clips:
            return
        drawn, keys = self._equally_often() if self.classes is None else self._by_class(self.classes)
        batches = zip(
            torch.split(drawn[self.start :], self.batch_size),
            torch.split(keys[self.start :], self.batch_size),
            strict=True,
        )
        for indices, rng_keys in batches:
            part = self._part(len(indices))
            if part.start == part.stop:
                part = slice(0, 1)
            yield BatchIndices(indices[part], rng_keys[part], self.strength)

    def _equally_often(self) -> tuple[Tensor, Tensor]:
        """Return the clips of the epoch in order, pass by pass, and their RNG keys."""
        passes = [
            counter_rng.shuffled(self.seed, self.epoch, self.indices, each) for each in range(self.repeats_per_epoch)
        ]
        keys = [self._keys(order, each) for each, order in enumerate(passes)]
        return torch.cat(passes), torch.cat(keys)

    def _by_class(self, classes: Sequence[ClassDraws]) -> tuple[Tensor, Tensor]:
        """Return the clips of the epoch in order, drawn by class, and their RNG keys."""
        passes = [drawn for each in classes for drawn in each.in_epoch(self.seed, self.epoch)]
        clips = torch.cat([drawn for _, drawn in passes])
        keys = torch.cat([self._keys_of_pass(drawn, number) for number, drawn in passes])
        order = counter_rng.shuffled(self.seed, self.epoch, torch.arange(len(clips)))
        return clips[order], keys[order]

    def _keys_of_pass(self, indices: Tensor, number: int) -> Tensor:
        """Return the RNG keys of clips in a pass over their class, of which an epoch may have several."""
        if self.fixed_augmentations:
            return counter_rng.fixed_keys(indices, number % self.fixed_augmentations)
        return counter_rng.clip_keys(self.seed, number, indices)

    def _keys(self, indices: Tensor, repetition: int) -> Tensor:
        """Return the RNG keys of clips in one pass of the epoch."""
        if self.fixed_augmentations:
            passes = self.epoch * self.repeats_per_epoch + repetition
            return counter_rng.fixed_keys(indices, passes % self.fixed_augmentations)
        return counter_rng.clip_keys(self.seed, self.epoch, indices, repetition)

    def _part(self, num_clips: int) -> slice:
        """Return this process's slice of a batch with that many clips."""
        return slice(num_clips * self.rank // self.processes, num_clips * (self.rank + 1) // self.processes)


class FixedAugmentationSampler(Sampler[BatchIndices]):
    """Sample every clip once in each of its fixed augmented views, view by view.

    Args:
        indices: (n,) the clips.
        fixed_augmentations: R, the number of views per clip.
        batch_size: clips per batch, all in the same view.
        strength: returns the strength of augmentation when the clips are sampled.
    """

    def __init__(
        self,
        indices: Tensor,
        fixed_augmentations: int,
        batch_size: int = 1,
        strength: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self.indices, self.fixed_augmentations, self.batch_size = indices, fixed_augmentations, batch_size
        self.strength = strength
        self.start = 0  # batches that were used before a resume

    def __len__(self) -> int:
        return self.fixed_augmentations * self._batches - self.start

    @property
    def num_clips(self) -> int:
        """Return how many clips are sampled in total."""
        return len(self.indices) * self.fixed_augmentations

    @property
    def rng_keys(self) -> Tensor:
        """Return the RNG keys (n, R) of all views."""
        return torch.stack(
            [counter_rng.fixed_keys(self.indices, each) for each in range(self.fixed_augmentations)], dim=1
        )

    @property
    def _batches(self) -> int:
        """Return how many batches a view has."""
        return -(-len(self.indices) // self.batch_size)

    def clips_before(self, batch: int) -> int:
        """Return how many clips precede a batch."""
        views, batches = divmod(batch, self._batches)
        return views * len(self.indices) + batches * self.batch_size

    def view(self, batch: int) -> int:
        """Return the view of a batch."""
        return batch // self._batches

    def __iter__(self) -> Iterator[BatchIndices]:
        for batch in range(self.start, self.fixed_augmentations * self._batches):
            begin = batch % self._batches * self.batch_size
            indices = self.indices[begin : begin + self.batch_size]
            yield BatchIndices(indices, counter_rng.fixed_keys(indices, self.view(batch)), self.strength())


class EvalSampler(Sampler[BatchIndices]):
    """Sample every clip once, in order."""

    __test__ = False  # not a test class, despite its name

    def __init__(self, indices: NDArray[np.int64], batch_size: int) -> None:
        self.indices, self.batch_size = torch.from_numpy(indices), batch_size

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    @property
    def num_clips(self) -> int:
        """Return how many clips there are."""
        return len(self.indices)

    def __iter__(self) -> Iterator[BatchIndices]:
        batches = torch.split(self.indices, self.batch_size)  # an empty tensor still gives one empty batch
        return (BatchIndices(indices, indices) for indices in batches if len(indices))
